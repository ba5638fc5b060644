//! Where the operator mounts what the engine and the sidecar read.

/// The engine's configuration, a JSON document of [`crate::config::EngineConfig`].
pub const ENGINE_CONFIG: &str = "/etc/springtide/engine/engine.json";
/// Directory with the file `token`: the secret that every internal call carries.
pub const INTERNAL: &str = "/etc/springtide/internal";
/// File name of the cluster token in [`INTERNAL`].
pub const TOKEN_FILE: &str = "token";
/// File name in [`INTERNAL`]; it may be missing. A token that is accepted as well, while the other one is replaced.
pub const SECOND_TOKEN_FILE: &str = "second-token";
/// Directory with `access-key-id` and `secret-access-key`; absent when a service account gives access to the bucket.
pub const STORAGE_CREDENTIALS: &str = "/etc/springtide/storage";
/// File name in [`STORAGE_CREDENTIALS`].
pub const ACCESS_KEY_ID_FILE: &str = "access-key-id";
/// File name in [`STORAGE_CREDENTIALS`].
pub const SECRET_ACCESS_KEY_FILE: &str = "secret-access-key";
/// Directory with `username` and `password` of the department's SQL administrator. The catalog is made with them; after that, another
/// password is taken over, once for each content of the Secret.
pub const ADMIN_ACCOUNT: &str = "/etc/springtide/admin";
/// Directory with `username` and `password` of the operator's SQL account; read at each login, never stored in the catalog.
pub const OPERATOR_ACCOUNT: &str = "/etc/springtide/operator";
/// File name in [`ADMIN_ACCOUNT`] and [`OPERATOR_ACCOUNT`].
pub const USERNAME_FILE: &str = "username";
/// File name in [`ADMIN_ACCOUNT`] and [`OPERATOR_ACCOUNT`].
pub const PASSWORD_FILE: &str = "password";
/// File name in [`OPERATOR_ACCOUNT`]; it may be missing. A password that opens the account as well, while the other one is replaced.
pub const SECOND_PASSWORD_FILE: &str = "second-password";
/// Directory with `tls.crt`, `tls.key` and `ca.crt` when the cluster has TLS.
pub const TLS: &str = "/etc/springtide/tls";
/// FE: the volume with the catalog's journal and images.
pub const FE_META: &str = "/var/lib/springtide/meta";
/// CN: the volume with spill files and the data cache; nothing on it matters.
pub const CN_LOCAL: &str = "/var/lib/springtide/local";
/// Where a process that refuses to start leaves one line for the operator (see [`crate::config::Refusal`]).
pub const TERMINATION_LOG: &str = "/dev/termination-log";
