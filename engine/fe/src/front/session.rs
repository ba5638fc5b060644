//! What one connection has set, and what its queries may ask about it.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use springtide_model::DEFAULT_WAREHOUSE;
use springtide_mysql::MysqlError;
use springtide_sql::{Parameter, SessionValues, SqlError};

use super::{
    errors::{self, Kind},
    statement_clock::StatementClock,
    variables::Variables,
};
use crate::core::Account;

/// User variables of one session, and bytes of one value: they are kept in memory until the connection ends.
const MAX_USER_VARIABLES: usize = 1024;

/// The state of a connection after its login.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection_id: u32,
    pub(crate) peer: SocketAddr,
    pub(crate) account: Account,
    pub(crate) database: Option<String>,
    pub(crate) warehouse: String,
    pub(crate) variables: Variables,
    /// Of the statement that runs.
    pub(crate) clock: Arc<StatementClock>,
    user_variables: HashMap<String, Parameter>,
}

impl Session {
    pub(crate) fn new(connection_id: u32, peer: SocketAddr, account: Account, variables: Variables) -> Self {
        Self {
            connection_id,
            peer,
            account,
            database: None,
            warehouse: variables.get("warehouse").unwrap_or(DEFAULT_WAREHOUSE).to_owned(),
            variables,
            clock: Arc::new(StatementClock::start(Duration::MAX)),
            user_variables: HashMap::new(),
        }
    }

    /// The database of a name that may have one.
    pub(crate) fn database_or<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, MysqlError> {
        named.or(self.database.as_deref()).ok_or_else(errors::no_database)
    }

    pub(crate) fn set_user_variable(&mut self, name: String, value: Parameter) -> Result<(), MysqlError> {
        if self.user_variables.len() >= MAX_USER_VARIABLES && !self.user_variables.contains_key(&name) {
            return Err(Kind::Invalid.error(format!(
                "A session may have at most {MAX_USER_VARIABLES} user variables."
            )));
        }
        self.user_variables.insert(name, value);
        Ok(())
    }
}

impl SessionValues for Session {
    fn variable(&self, _global: bool, name: &str) -> Result<Parameter, SqlError> {
        if name == "warehouse" {
            return Ok(Parameter::Text(self.warehouse.clone()));
        }
        self.variables
            .constant(name)
            .ok_or_else(|| SqlError::UnknownVariable(name.to_owned()))
    }

    fn user_variable(&self, name: &str) -> Parameter {
        self.user_variables.get(name).cloned().unwrap_or(Parameter::Null)
    }

    fn function(&self, name: &str) -> Option<Parameter> {
        let text = |text: String| Some(Parameter::Text(text));
        match name {
            "database" | "schema" => text(self.database.clone().unwrap_or_default()),
            "user" | "session_user" | "system_user" => text(format!("'{}'@'{}'", self.account.name, self.peer.ip())),
            "current_user" => text(format!("'{}'@'%'", self.account.name)),
            "current_role" => text(role_name(&self.account).to_owned()),
            "catalog" => text("default_catalog".to_owned()),
            "current_warehouse" => text(self.warehouse.clone()),
            "version" => text(super::variables::SERVER_VERSION.to_owned()),
            "current_version" => text(super::variables::VERSION_COMMENT.to_owned()),
            "connection_id" => Some(Parameter::Int(self.connection_id.into())),
            _ => None,
        }
    }
}

/// The role under the name that StarRocks has for about the same.
pub(crate) fn role_name(account: &Account) -> &'static str {
    match account.role {
        springtide_catalog::Role::Admin => "root",
        springtide_catalog::Role::ReadWrite => "db_admin",
    }
}

impl Session {
    pub(crate) fn is_admin(&self) -> bool {
        self.account.is_admin()
    }

    pub(crate) fn require_admin(&self, privilege: &str, object: &str) -> Result<(), MysqlError> {
        if self.is_admin() {
            Ok(())
        } else {
            Err(errors::access_denied(privilege, object))
        }
    }
}
