use super::*;
use crate::fixture::{ClusterFixture, cluster, condition, ready_pod};

/// A cluster whose frontend runs and answers so to the operator's account and to the initial one.
fn answers(sql: SqlAnswer, initial_account: InitialAccount) -> ClusterFixture {
    cluster("demo").starrocks().secrets().with(|observed| {
        observed.pods = vec![ready_pod("demo-fe-0")];
        observed.sql = sql;
        observed.initial_account = initial_account;
    })
}

fn refused() -> SqlAnswer {
    SqlAnswer::LoginRefused {
        message: "Access denied".to_owned(),
    }
}

fn let_in() -> SqlAnswer {
    cluster("demo").serving().0.sql
}

/// The texts of what is run as the initial account.
fn as_initial_account(fixture: &ClusterFixture) -> Vec<String> {
    let plan = fixture.plan();
    let texts = plan.actions.iter().filter_map(|action| match action {
        Action::SqlAsInitialAccount(statement) => Some(statement.text().text),
        _ => None,
    });
    texts.collect()
}

const ALL: [&str; 5] = [
    "CREATE USER IF NOT EXISTS springtide_operator IDENTIFIED WITH mysql_native_password BY {password}",
    "ALTER USER springtide_operator IDENTIFIED BY {password}",
    "GRANT cluster_admin TO USER springtide_operator",
    "ALTER USER springtide_operator DEFAULT ROLE ALL",
    "SET PASSWORD = PASSWORD({password})",
];

fn told(fixture: &ClusterFixture, type_: &str) -> String {
    condition(&fixture.plan().status.unwrap().conditions, type_)
}

#[test]
fn a_new_cluster_has_its_accounts_made_and_is_closed_last() {
    let fresh = answers(refused(), InitialAccount::Open);
    assert_eq!(as_initial_account(&fresh), ALL);
    let expected = "Unknown Unknown: the account root has no password yet; the operator makes its own account, and gives root the password of Secret demo-admin";
    assert_eq!(told(&fresh, "OperatorAccountReady"), expected);
    assert_eq!(
        told(&fresh, "Available"),
        "False FrontendStarting: a frontend has started, and its accounts are being made"
    );
    assert!(
        fresh
            .plan()
            .events
            .iter()
            .all(|event| event.severity == crate::Severity::Normal),
        "nobody has to look"
    );
}

/// The operator's account was made, and then the operator ended.
#[test]
fn an_account_that_is_still_open_is_closed_although_the_operator_is_let_in_already() {
    let half_done = answers(let_in(), InitialAccount::Open);
    assert_eq!(as_initial_account(&half_done), ALL);
    let status = half_done.plan().status.unwrap();
    assert_eq!(status.cluster_id, None, "it is not noted as done");
    assert_eq!(initial_account(&half_done.0.cluster), Some("root"));
}

#[test]
fn once_the_operator_was_let_in_and_nothing_is_open_the_initial_account_is_never_tried_again() {
    let done = answers(let_in(), InitialAccount::Closed);
    assert_eq!(as_initial_account(&done), [""; 0]);
    let settled = done.settled();
    assert_eq!(initial_account(&settled.0.cluster), None);
    let refused_later = settled.with(|observed| {
        observed.sql = refused();
        observed.initial_account = InitialAccount::NotTried;
    });
    let refused_later = refused_later.settled();
    assert_eq!(initial_account(&refused_later.0.cluster), None);
    assert_eq!(as_initial_account(&refused_later), [""; 0]);
}

#[test]
fn a_cluster_that_was_asleep_from_the_start_has_its_accounts_made_when_it_wakes() {
    let asleep = cluster("demo")
        .starrocks()
        .secrets()
        .with(|observed| observed.cluster.spec.suspend = true);
    let asleep = asleep.settled();
    assert_eq!(initial_account(&asleep.0.cluster), Some("root"));
}

#[test]
fn an_adopted_cluster_says_what_a_person_runs() {
    let adopted = answers(refused(), InitialAccount::Closed);
    assert_eq!(as_initial_account(&adopted), [""; 0]);
    let secret = "'<password of Secret demo-operator>'";
    let expected = format!(
        "False LoginRefused: the engine refuses the operator's account, and the operator does not use root: Access denied. Run as root: \
         CREATE USER IF NOT EXISTS springtide_operator IDENTIFIED WITH mysql_native_password BY {secret}; \
         ALTER USER springtide_operator IDENTIFIED BY {secret}; GRANT cluster_admin TO USER springtide_operator; \
         ALTER USER springtide_operator DEFAULT ROLE ALL"
    );
    assert_eq!(told(&adopted, "OperatorAccountReady"), expected);
}

#[test]
fn the_bundled_engine_has_no_account_to_begin_with() {
    let bundled = cluster("demo");
    assert_eq!(initial_account(&bundled.0.cluster), None);
    let never = bundled
        .secrets()
        .serving()
        .with(|observed| observed.initial_account = InitialAccount::NotTried);
    assert_eq!(as_initial_account(&never), [""; 0]);
}

#[test]
fn the_administrator_of_starrocks_is_root() {
    let user_of = |fixture: ClusterFixture| {
        let plan = fixture.plan();
        plan.actions.iter().find_map(|action| match action {
            Action::CreateSecretOnce(secret) if secret.name == "demo-admin" => Some(secret.fields["username"].clone()),
            _ => None,
        })
    };
    let text = |text: &str| Some(crate::SecretField::Text(text.to_owned()));
    assert_eq!(user_of(cluster("demo").starrocks()), text("root"));
    assert_eq!(user_of(cluster("demo")), text("admin"));
}
