//! Variables, accounts, and what MySQL has and StarRocks answers for its tools.

use springtide_contract::settings::FRONTEND_SETTINGS;
use springtide_mysql::MysqlError;
use springtide_sql::{ShowKind, UserName};

use super::Context;
use crate::front::{errors, rows::Rows, session::role_name, variables::Variables};

const TRIGGERS: &[&str] = &[
    "Trigger",
    "Event",
    "Table",
    "Statement",
    "Timing",
    "Created",
    "sql_mode",
    "Definer",
    "character_set_client",
    "collation_connection",
    "Database Collation",
];
const EVENTS: &[&str] = &[
    "Db",
    "Name",
    "Definer",
    "Time",
    "Type",
    "Execute at",
    "Interval value",
    "Interval field",
    "Status",
    "Ends",
    "Status",
    "Originator",
    "character_set_client",
    "collation_connection",
    "Database Collation",
];
const PLUGINS: &[&str] = &[
    "Name",
    "Type",
    "Description",
    "Version",
    "JavaVersion",
    "ClassName",
    "SoName",
    "Sources",
    "Status",
    "Properties",
];
const PROCEDURES: &[&str] = &[
    "Db",
    "Name",
    "Type",
    "Definer",
    "Modified",
    "Created",
    "Security_type",
    "Comment",
    "character_set_client",
    "collation_connection",
    "Database Collation",
];

pub(super) fn rows_of(context: Context<'_>, what: &ShowKind) -> Result<Rows, MysqlError> {
    Ok(match what {
        ShowKind::Variables { global } => variables(context, *global),
        ShowKind::Engines => fixed(
            &["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"],
            &[&["OLAP", "YES", "Default storage engine of StarRocks", "NO", "NO", "NO"]],
        ),
        ShowKind::Charsets => fixed(
            &["Charset", "Description", "Default collation", "Maxlen"],
            &[&["utf8", "UTF-8 Unicode", "utf8_general_ci", "3"]],
        ),
        ShowKind::Collations => fixed(
            &["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen"],
            &[
                &["utf8_general_ci", "utf8", "33", "Yes", "Yes", "1"],
                &["binary", "binary", "63", "Yes", "Yes", "1"],
            ],
        ),
        ShowKind::Catalogs => catalogs(),
        ShowKind::StorageVolumes => fixed(&["Storage Volume"], &[&["builtin_storage_volume"]]),
        ShowKind::Grants { user } => grants(context, user.as_ref())?,
        ShowKind::Users => users(context)?,
        ShowKind::Roles => fixed(
            &["Name", "Builtin", "Comment"],
            &[
                &["root", "true", "everything"],
                &[
                    "db_admin",
                    "true",
                    "reads and writes all tables, makes and drops databases and tables",
                ],
            ],
        ),
        ShowKind::Authentication => authentication(context)?,
        ShowKind::Status => Rows::new(&["Variable_name", "Value"]),
        ShowKind::Warnings | ShowKind::Errors => Rows::new(&["Level", "Code", "Message"]),
        ShowKind::Brokers => Rows::new(&[
            "Name",
            "IP",
            "Port",
            "Alive",
            "LastStartTime",
            "LastUpdateTime",
            "ErrMsg",
        ]),
        ShowKind::Privileges => Rows::new(&["Privilege", "Context", "Comment"]),
        ShowKind::Plugins => Rows::new(PLUGINS),
        ShowKind::Triggers => Rows::new(TRIGGERS),
        ShowKind::Events => Rows::new(EVENTS),
        ShowKind::Functions => Rows::new(&["Function Name"]),
        ShowKind::Procedures => Rows::new(PROCEDURES),
        ShowKind::OpenTables => Rows::new(&["Database", "Table", "In_use", "Name_locked"]),
        ShowKind::FrontendConfig => frontend_config(context)?,
        other => return Err(errors::Kind::Internal.error(format!("{other:?} has no rows"))),
    })
}

fn fixed(columns: &[&'static str], values: &[&[&str]]) -> Rows {
    let mut rows = Rows::new(columns);
    for value in values {
        rows.push(value.iter().map(|text| Some((*text).to_owned())).collect());
    }
    rows
}

pub(super) fn catalogs() -> Rows {
    fixed(
        &["Catalog", "Type", "Comment"],
        &[&[
            "default_catalog",
            "Internal",
            "An internal catalog contains this cluster's self-managed tables.",
        ]],
    )
}

fn variables(context: Context<'_>, global: bool) -> Rows {
    let catalog = context.shared.core.catalog();
    let globals = Variables::new(catalog.globals());
    let variables = if global { &globals } else { &context.session.variables };
    let mut rows = Rows::new(&["Variable_name", "Value"]);
    for (name, value) in variables.list() {
        let value = if name == "warehouse" && !global {
            &context.session.warehouse
        } else {
            value
        };
        rows.push_text([name.to_owned(), value.to_owned()]);
    }
    rows
}

fn grants(context: Context<'_>, user: Option<&UserName>) -> Result<Rows, MysqlError> {
    let own = &context.session.account;
    let (name, role) = match user {
        Some(user) if user.name != own.name => {
            context.session.require_admin("GRANT", "SYSTEM")?;
            let catalog = context.shared.core.catalog();
            let user = catalog
                .user(&user.name)
                .cloned()
                .ok_or_else(|| errors::Kind::Invalid.analyzing(&format!("cannot find user {user}")))?;
            let role = match user.role {
                springtide_catalog::Role::Admin => "root",
                springtide_catalog::Role::ReadWrite => "db_admin",
            };
            (user.name.clone(), role)
        }
        _ => (own.name.clone(), role_name(own)),
    };
    let mut rows = Rows::new(&["UserIdentity", "Catalog", "Grants"]);
    rows.push(vec![
        Some(format!("'{name}'@'%'")),
        None,
        Some(format!("GRANT '{role}' TO '{name}'@'%'")),
    ]);
    Ok(rows)
}

fn users(context: Context<'_>) -> Result<Rows, MysqlError> {
    context.session.require_admin("GRANT", "SYSTEM")?;
    let mut rows = Rows::new(&["User"]);
    for user in context.shared.core.catalog().users() {
        rows.push_text([format!("'{}'@'%'", user.name)]);
    }
    Ok(rows)
}

fn authentication(context: Context<'_>) -> Result<Rows, MysqlError> {
    context.session.require_admin("GRANT", "SYSTEM")?;
    let mut rows = Rows::new(&["UserIdentity", "Password", "AuthPlugin", "UserForAuthPlugin"]);
    for user in context.shared.core.catalog().users() {
        rows.push(vec![
            Some(format!("'{}'@'%'", user.name)),
            Some("Yes".to_owned()),
            Some("MYSQL_NATIVE_PASSWORD".to_owned()),
            None,
        ]);
    }
    Ok(rows)
}

/// The frontend's settings as they are now.
fn frontend_config(context: Context<'_>) -> Result<Rows, MysqlError> {
    context.session.require_admin("OPERATE", "SYSTEM")?;
    let settings = context.shared.core.settings();
    let mut rows = Rows::new(&["Key", "AliasNames", "Value", "Type", "IsMutable", "Comment"]);
    for setting in FRONTEND_SETTINGS {
        rows.push_text([
            setting.sql_name.to_owned(),
            format!("[{}]", setting.name),
            setting.of(&settings).to_string(),
            "long".to_owned(),
            setting.is_dynamic.to_string(),
            format!("{} {}", setting.unit, setting.meaning),
        ]);
    }
    rows.push_text([
        "run_mode".to_owned(),
        "[]".to_owned(),
        "shared_data".to_owned(),
        "String".to_owned(),
        "false".to_owned(),
        String::new(),
    ]);
    Ok(rows)
}
