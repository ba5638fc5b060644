//! The SQL accounts of an engine that keeps them in its catalog, and begins with one that may do everything and has no password.
//!
//! While the operator's own account has never been accepted, that one is tried without a password, and with nothing else. Where it lets the
//! operator in, it makes the operator's account and, last, sets the password of the administrators' Secret. So however often this is
//! broken off, either the account is still open and all is done again, or all has been done. Afterwards it is never used again, not even
//! when the operator's account is refused one day: that is a person's to mend.

use springtide_crds::{LakeCluster, Reason};

use super::ClusterShape;
use crate::action::Action;
use crate::condition::Finding;
use crate::flavour::flavour;
use crate::names;
use crate::observed::{InitialAccount, ObservedLakeCluster, SqlAnswer};

/// The account to try without a password; `None` where the engine has none, or once the operator's own account was accepted.
#[must_use]
pub fn initial_account(cluster: &LakeCluster) -> Option<&'static str> {
    let status = cluster.status.as_ref();
    // Noted when the operator was let in for the first time, and never taken back.
    let was_let_in = status.is_some_and(|status| status.cluster_id.is_some());
    let account = flavour(cluster.spec.engine.kind).capabilities().initial_account;
    account.filter(|_| !was_let_in)
}

/// Makes the accounts while the initial one is open.
pub(super) fn statements(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Vec<Action> {
    if observed.initial_account != InitialAccount::Open {
        return Vec::new();
    }
    let statements =
        flavour(shape.engine).make_accounts(&names::operator_secret(&shape.name), &names::admin_secret(&shape.name));
    statements.into_iter().map(Action::SqlAsInitialAccount).collect()
}

/// Whether the operator was let in, and the account that the engine begins with is not open.
pub(super) fn are_made(observed: &ObservedLakeCluster) -> bool {
    observed.initial_account != InitialAccount::Open && matches!(observed.sql, SqlAnswer::Answered { .. })
}

/// Of the condition `OperatorAccountReady`.
pub(super) fn finding(observed: &ObservedLakeCluster, shape: &ClusterShape) -> Finding {
    let flavour = flavour(shape.engine);
    let initial = flavour.capabilities().initial_account;
    if let (Some(user), InitialAccount::Open) = (initial, observed.initial_account) {
        return Finding::unknown(format!(
            "the account {user} has no password yet; the operator makes its own account, and gives {user} the password of Secret {}",
            names::admin_secret(&shape.name)
        ));
    }
    match &observed.sql {
        SqlAnswer::Answered { .. } => Finding::holds(Reason::AllReady, "the operator's account is accepted"),
        SqlAnswer::LoginRefused { message } => Finding::fails(
            Reason::LoginRefused,
            match initial {
                None => format!("the engine refuses the operator's account: {message}"),
                Some(user) => format!(
                    "the engine refuses the operator's account, and the operator does not use {user}: {message}. Run as {user}: {}",
                    by_hand(shape)
                ),
            },
        ),
        SqlAnswer::CertificateNotTrusted { message } => Finding::fails(
            Reason::CertificateNotTrusted,
            format!("the operator does not log in: {message}"),
        ),
        SqlAnswer::NotAsked | SqlAnswer::Unreachable { .. } => Finding::unknown("no frontend answers"),
    }
}

/// What a person runs who knows the administrator's password: all but the statement that sets it.
fn by_hand(shape: &ClusterShape) -> String {
    let operator_secret = names::operator_secret(&shape.name);
    let admin_secret = names::admin_secret(&shape.name);
    let texts: Vec<String> = flavour(shape.engine)
        .make_accounts(&operator_secret, &admin_secret)
        .iter()
        .map(crate::sql::AdminStatement::text)
        .filter(|text| text.password_from.as_deref() != Some(admin_secret.as_str()))
        .map(|text| {
            let placeholder = format!("'<password of Secret {operator_secret}>'");
            text.text.replace("{password}", &placeholder)
        })
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
