//! `SET`.

use springtide_mysql::MysqlError;
use springtide_sql::{Parameter, SessionValues, SetItem, SetValue};

use super::{
    Shared, accounts,
    connection::Login,
    errors::{Kind, from_core},
    variables,
};

pub(super) async fn run(shared: &Shared, login: &mut Login, item: &SetItem) -> Result<(), MysqlError> {
    match item {
        SetItem::Variable { global, name, value } => variable(shared, login, *global, name, value.as_ref()).await,
        SetItem::UserVariable { name, value } => {
            let value = match text(login, value)? {
                Some(text) => text.parse().map_or_else(|_| Parameter::Text(text), Parameter::Int),
                None => Parameter::Null,
            };
            login.session.set_user_variable(name.clone(), value)
        }
        SetItem::Names { charset } => {
            variables::check_charset(charset)?;
            for name in [
                "character_set_client",
                "character_set_connection",
                "character_set_results",
            ] {
                login.session.variables.set(name, Some(charset.clone()));
            }
            Ok(())
        }
        SetItem::Password { user, password } => {
            let name = user
                .as_ref()
                .map_or(&login.session.account.name, |user| &user.name)
                .clone();
            accounts::set_password(shared, &login.session, name, password).await
        }
        SetItem::Catalog(name) if name == "default_catalog" => Ok(()),
        SetItem::Catalog(name) => Err(Kind::UnknownCatalog.error(format!("Unknown catalog '{name}'"))),
        SetItem::Warehouse(name) => warehouse(shared, login, name),
        SetItem::Ignored => Ok(()),
    }
}

fn warehouse(shared: &Shared, login: &mut Login, name: &str) -> Result<(), MysqlError> {
    if !shared.core.catalog().warehouses().iter().any(|known| known == name) {
        return Err(Kind::Invalid.error(format!("Warehouse {name} not exist.")));
    }
    name.clone_into(&mut login.session.warehouse);
    login.guard.set_warehouse(name);
    Ok(())
}

/// The value as text; `None` is `NULL`.
fn text(login: &Login, value: &SetValue) -> Result<Option<String>, MysqlError> {
    Ok(match value {
        SetValue::Text(text) => Some(text.clone()),
        SetValue::Null => None,
        SetValue::Variable(name) => Some(
            login
                .session
                .variables
                .get(name)
                .ok_or_else(|| variables::unknown(name))?
                .to_owned(),
        ),
        SetValue::UserVariable(name) => match login.session.user_variable(name) {
            Parameter::Text(text) => Some(text),
            Parameter::Int(value) => Some(value.to_string()),
            _ => None,
        },
    })
}

async fn variable(
    shared: &Shared,
    login: &mut Login,
    global: bool,
    name: &str,
    value: Option<&SetValue>,
) -> Result<(), MysqlError> {
    let value = match value {
        // A user variable that was never set: the default, as scripts of mysqldump need it.
        Some(value) => match text(login, value)? {
            Some(text) => Some(variables::checked(name, &text)?),
            None => None,
        },
        None => None,
    };
    if login.session.variables.get(name).is_none() {
        return Err(variables::unknown(name));
    }
    if !global {
        login.session.variables.set(name, value);
        return Ok(());
    }
    login.session.require_admin("OPERATE", "SYSTEM")?;
    let (key, kept) = (name.to_owned(), value.clone());
    shared
        .core
        .edit(move |catalog| catalog.set_global(&key, kept))
        .await
        .map_err(|error| from_core(&error))?;
    login.session.variables.set_global(name, value);
    Ok(())
}
