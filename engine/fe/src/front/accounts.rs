//! Users and what they may do: administrators do everything, everyone else reads and writes tables.

use springtide_catalog::{PasswordHash, Role};
use springtide_mysql::{MysqlError, OkResult};
use springtide_sql::{Password, Statement, UserName};

use super::{
    Shared,
    connection::Outcome,
    errors::{self, Kind, from_core},
    session::Session,
};

/// Names of StarRocks' roles that make an administrator.
const ADMIN_ROLES: &[&str] = &["root", "cluster_admin", "user_admin", "admin"];

pub(super) async fn run(shared: &Shared, session: &Session, statement: &Statement) -> Result<Outcome, MysqlError> {
    let core = &shared.core;
    let now = core.now_ms();
    match statement.clone() {
        Statement::CreateUser {
            user,
            password,
            if_not_exists,
        } => {
            session.require_admin("GRANT", "SYSTEM")?;
            check_host(&user)?;
            let Some(password) = password else {
                return Err(Kind::Invalid.analyzing("A user needs a password: add IDENTIFIED BY 'password'"));
            };
            let hash = hash(&password);
            core.edit(move |catalog| catalog.create_user(&user.name, hash, Role::ReadWrite, if_not_exists, now))
                .await
                .map_err(|error| from_core(&error))?;
        }
        Statement::AlterUser { user, password } => {
            check_host(&user)?;
            set_password(shared, session, user.name, &password).await?;
        }
        Statement::DropUser { user, if_exists } => {
            session.require_admin("GRANT", "SYSTEM")?;
            core.edit(move |catalog| catalog.drop_user(&user.name, if_exists))
                .await
                .map_err(|error| from_core(&error))?;
        }
        Statement::Grant {
            privileges,
            object,
            user,
            revoke,
        } => return grant(shared, session, &privileges, object.as_deref(), &user, revoke),
        other => return Err(Kind::Internal.error(format!("{other:?} is about no account"))),
    }
    Ok(Outcome::done())
}

/// Users may come from everywhere: networks are fenced by NetworkPolicy, not by account.
fn check_host(user: &UserName) -> Result<(), MysqlError> {
    if user.host == "%" {
        return Ok(());
    }
    Err(Kind::Invalid.analyzing(&format!("Host '{}' in {user} is not supported yet; use '%'", user.host)))
}

fn hash(password: &Password) -> PasswordHash {
    match password {
        Password::Clear(password) => PasswordHash::of_password(password.as_bytes()),
        Password::NativeHash(hash) => PasswordHash(*hash),
    }
}

/// Everyone may change their own password, administrators anyone's.
pub(super) async fn set_password(
    shared: &Shared,
    session: &Session,
    user: String,
    password: &Password,
) -> Result<(), MysqlError> {
    if session.account.is_operator && user == session.account.name {
        return Err(Kind::Invalid.error("The operator's password is in its mounted Secret; change it there."));
    }
    if user != session.account.name {
        session.require_admin("GRANT", "SYSTEM")?;
    }
    let hash = hash(password);
    shared
        .core
        .edit(move |catalog| catalog.set_password(&user, hash))
        .await
        .map_err(|error| from_core(&error))?;
    Ok(())
}

/// Every user may read and write all tables already, so that grants of that are accepted and change nothing. What a user
/// has not cannot be granted yet, and what it has cannot be taken away: that is said, never passed over.
fn grant(
    shared: &Shared,
    session: &Session,
    privileges: &[String],
    object: Option<&str>,
    user: &UserName,
    revoke: bool,
) -> Result<Outcome, MysqlError> {
    session.require_admin("GRANT", "SYSTEM")?;
    let catalog = shared.core.catalog();
    let known = catalog
        .user(&user.name)
        .ok_or_else(|| Kind::Invalid.analyzing(&format!("cannot find user {user}")))?;
    let wants_admin = match object {
        None => privileges
            .iter()
            .any(|role| ADMIN_ROLES.iter().any(|admin| role.eq_ignore_ascii_case(admin))),
        Some(object) => object.to_ascii_uppercase().starts_with("SYSTEM"),
    };
    let is_admin = known.role == Role::Admin;
    match (revoke, wants_admin) {
        (false, true) if !is_admin => Err(Kind::Invalid
            .analyzing("Making an administrator is not supported yet; the administrator is made with the cluster")),
        (false, _) => Ok(Outcome::Done(OkResult {
            info: "nothing changed: every user may read and write all tables already".to_owned(),
            ..OkResult::default()
        })),
        (true, _) => Err(errors::Kind::Invalid.analyzing(
            "REVOKE is not supported yet; every user may read and write all tables, DROP USER takes everything",
        )),
    }
}
