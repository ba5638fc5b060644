//! Settings that frontends take while they run.

/// A setting of frontends that is changed by `ADMIN SET FRONTEND CONFIG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicSetting {
    /// Its name in `frontends.config`.
    pub name: &'static str,
    /// Its name in SQL.
    pub sql_name: &'static str,
    /// The engine's value where nobody has written one: what it is set to when somebody takes theirs out.
    pub default: String,
}
