//! The settings of frontends by their names, and which of them may be changed while a frontend runs.
//!
//! Files and the API write a name as in JSON (`queryTimeoutS`); SQL shows it as StarRocks does its own (`query_timeout_s`), and takes both.

use thiserror::Error;

use crate::config::FrontendConfig;

/// A setting of frontends: a field of [`FrontendConfig`].
#[derive(Clone, Copy, Debug)]
pub struct FrontendSetting {
    /// Its name in files and in the API.
    pub name: &'static str,
    /// Its name in SQL.
    pub sql_name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// Least value that makes sense.
    pub least: u64,
    /// Greatest value that makes sense.
    pub most: u64,
    /// Whether a frontend takes another value while it runs; otherwise it reads it when it starts.
    pub is_dynamic: bool,
    /// What it does, for people.
    pub meaning: &'static str,
    read: fn(&FrontendConfig) -> u64,
    write: fn(&mut FrontendConfig, u64),
}

/// Every setting of frontends, in the order of their names.
pub const FRONTEND_SETTINGS: &[FrontendSetting] = &[
    FrontendSetting {
        name: "heartbeatIntervalMs",
        sql_name: "heartbeat_interval_ms",
        unit: "milliseconds",
        least: 50,
        most: 60_000,
        is_dynamic: true,
        meaning: "between two heartbeats to a compute node",
        read: |config| config.heartbeat_interval_ms,
        write: |config, value| config.heartbeat_interval_ms = value,
    },
    FrontendSetting {
        name: "heartbeatRetryTimes",
        sql_name: "heartbeat_retry_times",
        unit: "heartbeats",
        least: 0,
        most: 1_000,
        is_dynamic: true,
        meaning: "that may fail in a row before a node counts as not alive",
        read: |config| config.heartbeat_retry_times.into(),
        write: |config, value| config.heartbeat_retry_times = count(value),
    },
    FrontendSetting {
        name: "imageEveryRecords",
        sql_name: "image_every_records",
        unit: "journal records",
        least: 1,
        most: MOST,
        is_dynamic: true,
        meaning: "after which a new image of the catalog is written",
        read: |config| config.image_every_records,
        write: |config, value| config.image_every_records = value,
    },
    FrontendSetting {
        name: "maxConnections",
        sql_name: "max_connections",
        unit: "connections",
        // The operator and an administrator need one each, or nobody could set it to more.
        least: 10,
        most: 1_000_000,
        is_dynamic: true,
        meaning: "of clients at once; one more is refused with error 1040, and those that are open stay",
        read: |config| config.max_connections.into(),
        write: |config, value| config.max_connections = count(value),
    },
    FrontendSetting {
        name: "queryTimeoutS",
        sql_name: "query_timeout_s",
        unit: "seconds",
        least: 0,
        most: MOST,
        is_dynamic: true,
        meaning: "that a statement may run where neither its session nor a global variable has set query_timeout; 0 is no limit",
        read: |config| config.query_timeout_s,
        write: |config, value| config.query_timeout_s = value,
    },
    FrontendSetting {
        name: "resultHoldBytes",
        sql_name: "result_hold_bytes",
        unit: "bytes",
        least: 0,
        // Of memory, for each statement that runs.
        most: 1 << 30,
        is_dynamic: true,
        meaning: "of a result that are held back, so that a lost compute node can be hidden by one retry",
        read: |config| config.result_hold_bytes,
        write: |config, value| config.result_hold_bytes = value,
    },
];

/// What every number of SQL can hold.
const MOST: u64 = i64::MAX as u64;

fn count(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl FrontendSetting {
    /// The setting of this name, in either spelling.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        FRONTEND_SETTINGS
            .iter()
            .find(|setting| setting.name.eq_ignore_ascii_case(name) || setting.sql_name.eq_ignore_ascii_case(name))
    }

    /// Its value.
    #[must_use]
    pub fn of(&self, config: &FrontendConfig) -> u64 {
        (self.read)(config)
    }

    /// Its value where nobody has written one.
    #[must_use]
    pub fn default_value(&self) -> u64 {
        self.of(&FrontendConfig::default())
    }

    /// Whether the value makes sense; a text may be no number at all.
    ///
    /// # Errors
    /// [`SettingError::NotAValue`], with what makes sense.
    pub fn check(&self, text: &str) -> Result<u64, SettingError> {
        let value: Option<u64> = text.trim().parse().ok();
        value
            .filter(|value| (self.least..=self.most).contains(value))
            .ok_or_else(|| SettingError::NotAValue {
                name: self.name,
                value: text.to_owned(),
                unit: self.unit,
                least: self.least,
                most: self.most,
            })
    }
}

impl FrontendConfig {
    /// Changes a setting that a running frontend may be told.
    ///
    /// # Errors
    /// There is no such setting, or it is read at start only; or the value makes no sense. `self` is as before.
    pub fn change(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let setting = FrontendSetting::find(name)
            .filter(|setting| setting.is_dynamic)
            .ok_or_else(|| SettingError::NotDynamic { name: name.to_owned() })?;
        let value = setting.check(value)?;
        (setting.write)(self, value);
        Ok(())
    }
}

/// Why a setting cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is no setting of this name that can be changed while a frontend runs.
    #[error(
        "Config '{name}' does not exist or is not mutable; those that can be set are {}",
        dynamic_names()
    )]
    NotDynamic {
        /// The name.
        name: String,
    },
    /// The value is no number, or one that makes no sense.
    #[error("{name}: {value:?} is not a whole number of {unit} from {least} to {most}")]
    NotAValue {
        /// The setting.
        name: &'static str,
        /// The value.
        value: String,
        /// What it counts.
        unit: &'static str,
        /// Least value.
        least: u64,
        /// Greatest value.
        most: u64,
    },
}

fn dynamic_names() -> String {
    let names: Vec<&str> = FRONTEND_SETTINGS
        .iter()
        .filter(|setting| setting.is_dynamic)
        .map(|setting| setting.name)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
