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
/// An amount is no negative one. The rule is cheap even where the API server counts with the longest text that a request may have.
const QUANTITY_RULE: &str = "type(self) == int ? self >= 0 : isQuantity(self) && !self.startsWith('-')";
const QUANTITY_MESSAGE: &str =
    "write an amount as Kubernetes has it, not a negative one: 500m or 2 of CPU, 512Mi or 16Gi of memory or storage";

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
            "x-kubernetes-validations": [{"rule": QUANTITY_RULE, "message": QUANTITY_MESSAGE}],
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
pub(crate) const DURATION_PATTERN: &str = "^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$";
const DURATION_MESSAGE: &str =
    "write hours, minutes and seconds as whole numbers, the largest first, for example 90s, 10m or 8h30m";

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

/// A span of time, or `auto`: as long as starts of nodes were seen to take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeadTime(pub String);

impl LeadTime {
    /// The span of time; `None` for `auto`.
    #[must_use]
    pub fn fixed(&self) -> Option<Duration> {
        (self.0 != AUTO).then(|| Duration(self.0.clone()))
    }
}

const AUTO: &str = "auto";

impl JsonSchema for LeadTime {
    fn schema_name() -> Cow<'static, str> {
        "LeadTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let message = "leadTime is how long before its start a floor is raised: write between 1s and 24h, for example 5m, or auto, or leave it out";
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": DURATION_MAX_LENGTH,
            "x-kubernetes-validations": [{
                "rule": format!("self == '{AUTO}' || (self.matches('{DURATION_PATTERN}') && duration(self) > duration('0s') && duration(self) <= duration('24h'))"),
                "message": message,
            }],
        })
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
            "x-kubernetes-validations": [{"rule": format!("self.matches('{DURATION_PATTERN}')"), "message": DURATION_MESSAGE}],
        })
    }
}
