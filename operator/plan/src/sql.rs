//! The administrative SQL that operator and engines share: StarRocks' grammar, StarRocks' column names.

use std::fmt;

use serde::Serialize;

mod rows;

pub use rows::{AnswerError, ComputeNodeRow, DrainOrder, DrainState, FrontendConfigRow, FrontendRow, WarehouseRow};

/// Lists the frontends; see [`FrontendRow::parse`].
pub const SHOW_FRONTENDS: &str = "SHOW FRONTENDS";
/// Lists the compute nodes; see [`ComputeNodeRow::parse`].
pub const SHOW_COMPUTE_NODES: &str = "SHOW COMPUTE NODES";
/// Lists the warehouses; see [`WarehouseRow::parse`]. Asked where [`crate::flavour::Capabilities::queue`] holds.
pub const SHOW_WAREHOUSES: &str = "SHOW WAREHOUSES";

/// Lists the settings of the frontend that is asked; see [`FrontendConfigRow::parse`]. Asked where
/// [`crate::lake_cluster::reads_settings_back`] holds.
pub const SHOW_FRONTEND_CONFIG: &str = "ADMIN SHOW FRONTEND CONFIG";

/// A statement that changes the engine's membership, accounts or settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum AdminStatement {
    /// A warehouse is made, if there is none of that name.
    CreateWarehouse {
        /// Its name.
        warehouse: String,
    },
    /// A compute node is made known. Repeating it is an error of the engine that means it is known already.
    AddComputeNode {
        /// Host name that the node registers under.
        host: String,
        /// Its heartbeat port.
        port: u16,
        /// The warehouse that it serves.
        warehouse: String,
    },
    /// A compute node gets nothing new and finishes what it has.
    DrainComputeNode {
        /// `ComputeNodeId`: digits.
        node_id: String,
        /// Host name as the row shows it, for people.
        host: String,
    },
    /// A compute node that drains is not waited for when it is stopped.
    ForceDrainComputeNode {
        /// `ComputeNodeId`: digits.
        node_id: String,
        /// Host name as the row shows it, for people.
        host: String,
    },
    /// A compute node that drains takes work again.
    CancelDrainComputeNode {
        /// `ComputeNodeId`: digits.
        node_id: String,
        /// Host name as the row shows it, for people.
        host: String,
    },
    /// A compute node is forgotten: the row with this id, so that a node that came back under the same host name stays.
    DropComputeNode {
        /// `ComputeNodeId`: digits.
        node_id: String,
        /// Host name as the row shows it, for people.
        host: String,
        /// The warehouse that it serves.
        warehouse: String,
    },
    /// A compute node is forgotten by its address, where the engine's grammar knows no ids.
    DropComputeNodeAt {
        /// `ComputeNodeId`, for people.
        node_id: String,
        /// Host name as the row shows it.
        host: String,
        /// Its heartbeat port.
        port: u16,
        /// The warehouse that it serves.
        warehouse: String,
    },
    /// The leading frontend writes its catalog as one image, and reads it back.
    CreateImage,
    /// A frontend is made known, so that it may join.
    AddFollower {
        /// Its host name.
        host: String,
        /// Its port for the replication of metadata.
        port: u16,
    },
    /// A frontend that does not lead is forgotten: it has no vote any more, and never serves again with the metadata that it has.
    DropFollower {
        /// Its host name as the row shows it.
        host: String,
        /// Its port for the replication of metadata.
        port: u16,
    },
    /// Frontends get another value of a setting, at once and until they are started again.
    SetFrontendConfig {
        /// Its name in SQL.
        name: String,
        /// The value.
        value: String,
    },
    /// The operator's account is made, with a password from a Secret. Only engines that keep their accounts in the catalog need it.
    CreateOperatorAccount {
        /// Name of the account.
        user: String,
        /// Secret with the password under `password`.
        secret: String,
    },
    /// The operator's account gets the password of a Secret, whatever it had.
    SetOperatorPassword {
        /// Name of the account.
        user: String,
        /// Secret with the password under `password`.
        secret: String,
    },
    /// The operator's account gets the roles that it needs.
    GrantOperatorRoles {
        /// Name of the account.
        user: String,
    },
    /// The operator's account has its roles from its login on; without this it would have to ask for them in each session.
    ActivateOperatorRoles {
        /// Name of the account.
        user: String,
    },
    /// Whoever runs this has the password of a Secret from now on.
    SetOwnPassword {
        /// Secret with the password under `password`.
        secret: String,
    },
}

/// The text of a statement. Values that are secret are not in it: they stand as `{password}`, to be put in as a quoted literal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SqlText {
    /// The statement.
    pub text: String,
    /// The Secret whose key `password` replaces `{password}`.
    pub password_from: Option<String>,
}

impl AdminStatement {
    /// The statement in the grammar that both engines answer.
    #[must_use]
    pub fn text(&self) -> SqlText {
        let mut password_from = None;
        let text = match self {
            Self::CreateWarehouse { warehouse } => format!("CREATE WAREHOUSE IF NOT EXISTS {}", Identifier(warehouse)),
            Self::AddComputeNode { host, port, warehouse } => format!(
                "ALTER SYSTEM ADD COMPUTE NODE {} INTO WAREHOUSE {}",
                Quoted(&format!("{host}:{port}")),
                Identifier(warehouse)
            ),
            Self::DrainComputeNode { node_id, host: _ } => format!("ALTER SYSTEM DRAIN COMPUTE NODE {node_id}"),
            Self::ForceDrainComputeNode { node_id, host: _ } => {
                format!("ALTER SYSTEM DRAIN COMPUTE NODE {node_id} FORCE")
            }
            Self::CancelDrainComputeNode { node_id, host: _ } => {
                format!("ALTER SYSTEM CANCEL DRAIN COMPUTE NODE {node_id}")
            }
            Self::DropComputeNode {
                node_id,
                host: _,
                warehouse,
            } => format!(
                "ALTER SYSTEM DROP COMPUTE NODE {node_id} FROM WAREHOUSE {}",
                Identifier(warehouse)
            ),
            Self::DropComputeNodeAt {
                node_id: _,
                host,
                port,
                warehouse,
            } => format!(
                "ALTER SYSTEM DROP COMPUTE NODE {} FROM WAREHOUSE {}",
                Quoted(&format!("{host}:{port}")),
                Identifier(warehouse)
            ),
            Self::CreateImage => "ALTER SYSTEM CREATE IMAGE".to_owned(),
            Self::AddFollower { host, port } => {
                format!("ALTER SYSTEM ADD FOLLOWER {}", Quoted(&format!("{host}:{port}")))
            }
            Self::DropFollower { host, port } => {
                format!("ALTER SYSTEM DROP FOLLOWER {}", Quoted(&format!("{host}:{port}")))
            }
            Self::SetFrontendConfig { name, value } => {
                // The grammar of StarRocks takes one setting at a time.
                format!("ADMIN SET FRONTEND CONFIG ({}={})", Quoted(name), Quoted(value))
            }
            Self::CreateOperatorAccount { user, secret } => {
                password_from = Some(secret.clone());
                format!(
                    "CREATE USER IF NOT EXISTS {} IDENTIFIED WITH mysql_native_password BY {{password}}",
                    Identifier(user)
                )
            }
            Self::SetOperatorPassword { user, secret } => {
                password_from = Some(secret.clone());
                format!("ALTER USER {} IDENTIFIED BY {{password}}", Identifier(user))
            }
            Self::GrantOperatorRoles { user } => {
                format!("GRANT cluster_admin TO USER {}", Identifier(user))
            }
            Self::ActivateOperatorRoles { user } => {
                format!("ALTER USER {} DEFAULT ROLE ALL", Identifier(user))
            }
            Self::SetOwnPassword { secret } => {
                password_from = Some(secret.clone());
                "SET PASSWORD = PASSWORD({password})".to_owned()
            }
        };
        SqlText { text, password_from }
    }

    /// Host name of the node that the engine forgets by it.
    #[must_use]
    pub fn forgets(&self) -> Option<&str> {
        match self {
            Self::DropComputeNode { host, .. } | Self::DropComputeNodeAt { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Whether an error of the engine says that the statement had been done before.
    #[must_use]
    pub fn is_done_already(&self, message: &str) -> bool {
        let message = message.to_ascii_lowercase();
        match self {
            Self::CreateWarehouse { .. }
            | Self::AddComputeNode { .. }
            | Self::AddFollower { .. }
            | Self::CreateOperatorAccount { .. } => message.contains("already exist"),
            Self::DropComputeNode { .. } | Self::DropComputeNodeAt { .. } | Self::DropFollower { .. } => {
                message.contains("does not exist")
            }
            Self::DrainComputeNode { .. }
            | Self::ForceDrainComputeNode { .. }
            | Self::CancelDrainComputeNode { .. }
            | Self::CreateImage
            | Self::SetFrontendConfig { .. }
            | Self::SetOperatorPassword { .. }
            | Self::GrantOperatorRoles { .. }
            | Self::ActivateOperatorRoles { .. }
            | Self::SetOwnPassword { .. } => false,
        }
    }
}

/// A text literal in single quotes, so that `ANSI_QUOTES` makes no difference.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "'{}'", self.0.replace('\\', "\\\\").replace('\'', "''"))
    }
}

/// An identifier, in backquotes only where it needs them: `default_warehouse`, `` `month-end` ``.
struct Identifier<'a>(&'a str);

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self
            .0
            .starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && self
                .0
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || character == '_');
        if plain {
            formatter.write_str(self.0)
        } else {
            write!(formatter, "`{}`", self.0.replace('`', "``"))
        }
    }
}

#[cfg(test)]
mod tests;
