//! Why a text is not a statement.

/// What is wrong with a text, in StarRocks' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// It does not follow the grammar.
    #[error("Getting syntax error at line {line}, column {column}. Detail message: {detail}")]
    Syntax {
        /// Line, from 1.
        line: u64,
        /// Column, from 0, as StarRocks counts.
        column: u64,
        /// What was found and what was expected.
        detail: String,
    },
    /// It follows the grammar and makes no sense.
    #[error("Getting analyzing error. Detail message: {0}")]
    Invalid(String),
    /// Two columns have one name.
    #[error("Getting analyzing error. Detail message: Duplicate column name '{0}'.")]
    DuplicateColumn(String),
    /// Two partitions have one name.
    #[error("Getting analyzing error. Detail message: Duplicate partition name {0}.")]
    DuplicatePartition(String),
    /// There is no such system variable.
    #[error("Getting analyzing error. Detail message: Unknown system variable '{0}'.")]
    UnknownVariable(String),
    /// StarRocks knows it; this engine does not.
    #[error("Getting analyzing error. Detail message: {feature} is not supported yet{remedy}.")]
    Unsupported {
        /// What.
        feature: String,
        /// What to write instead, beginning with a comma; may be empty.
        remedy: String,
    },
    /// It is longer or deeper than what can be parsed safely.
    #[error("Getting analyzing error. Detail message: The statement is too complex: {0}.")]
    TooComplex(&'static str),
}

impl SqlError {
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid(detail.into())
    }

    pub(crate) fn unsupported(feature: impl Into<String>, remedy: &str) -> Self {
        Self::Unsupported {
            feature: feature.into(),
            remedy: if remedy.is_empty() {
                String::new()
            } else {
                format!(", {remedy}")
            },
        }
    }
}
