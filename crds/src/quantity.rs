//! Amounts and spans of time as people write them in YAML: text with a pattern, checked by the API server.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// An amount of CPU, memory or storage in Kubernetes' notation: `500m`, `2`, `16Gi`.
///
/// A bare number is accepted as well, because `cpu: 2` is what people write; it is kept as its decimal text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// Longest text of a [`Quantity`].
const QUANTITY_MAX_LENGTH: u32 = 32;
/// The notations of Kubernetes that make sense for an amount: no sign, no exponent.
const QUANTITY_PATTERN: &str = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

impl Quantity {
    /// Wraps a text; whether it is an amount is decided where it is validated.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrText {
            Int(i64),
            Text(String),
        }
        Ok(match IntOrText::deserialize(deserializer)? {
            IntOrText::Int(number) => Self(number.to_string()),
            IntOrText::Text(text) => Self(text),
        })
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": QUANTITY_MAX_LENGTH,
            "minimum": 0,
            "pattern": QUANTITY_PATTERN,
        })
    }
}

/// A span of time in hours, minutes and seconds: `90s`, `10m`, `8h30m`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// Longest text of a [`Duration`].
const DURATION_MAX_LENGTH: u32 = 16;
/// At least one part, each part at most once, in falling order.
const DURATION_PATTERN: &str = r"^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$";

impl Duration {
    /// Wraps a text; whether it is a span of time is decided where it is validated.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": DURATION_MAX_LENGTH,
            "pattern": DURATION_PATTERN,
        })
    }
}
