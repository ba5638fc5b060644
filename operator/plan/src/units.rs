//! Amounts and spans of time, read from their texts.

use std::time::Duration as StdDuration;

use springtide_crds::{Duration, Quantity};
use thiserror::Error;

/// Why a text is not an amount or a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Not a quantity of Kubernetes.
    #[error("{text:?} is not an amount; write for example 500m, 2 or 4Gi")]
    Quantity {
        /// The text.
        text: String,
    },
    /// Not a span of time.
    #[error("{text:?} is not a span of time; write for example 90s, 10m or 8h30m")]
    Duration {
        /// The text.
        text: String,
    },
}

/// Thousandths of the unit: of a core, of a byte.
fn thousandths(text: &str) -> Option<u128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 20 || fraction.len() > 9 {
        return None;
    }
    // Nine decimals are the finest that Kubernetes knows.
    let billionths =
        format!("0{whole}").parse::<u128>().ok()? * 1_000_000_000 + format!("{fraction:0<9}").parse::<u128>().ok()?;
    let scaled = match suffix {
        "n" => billionths.div_ceil(1_000_000_000),
        "u" => billionths.div_ceil(1_000_000),
        "m" => billionths.div_ceil(1_000),
        "" => billionths,
        "k" => billionths.checked_mul(1_000)?,
        "M" => billionths.checked_mul(1_000_000)?,
        "G" => billionths.checked_mul(1_000_000_000)?,
        "T" => billionths.checked_mul(1_000_000_000_000)?,
        "P" => billionths.checked_mul(1_000_000_000_000_000)?,
        "E" => billionths.checked_mul(1_000_000_000_000_000_000)?,
        "Ki" => billionths.checked_mul(1 << 10)?,
        "Mi" => billionths.checked_mul(1 << 20)?,
        "Gi" => billionths.checked_mul(1 << 30)?,
        "Ti" => billionths.checked_mul(1 << 40)?,
        "Pi" => billionths.checked_mul(1 << 50)?,
        "Ei" => billionths.checked_mul(1 << 60)?,
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10_u128.checked_pow(power.unsigned_abs())?;
            if power < 0 {
                billionths.div_ceil(factor)
            } else {
                billionths.checked_mul(factor)?
            }
        }
    };
    Some(scaled.div_ceil(1_000_000))
}

/// CPU in thousandths of a core, rounded up.
///
/// # Errors
/// The text is not a quantity.
pub fn cpu_milli(quantity: &Quantity) -> Result<u64, UnitError> {
    amount_milli(&quantity.0)
}

/// Any amount in thousandths of its unit, rounded up.
///
/// # Errors
/// The text is not a quantity.
pub fn amount_milli(text: &str) -> Result<u64, UnitError> {
    thousandths(text)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| UnitError::Quantity { text: text.to_owned() })
}

/// Bytes, rounded up.
///
/// # Errors
/// The text is not a quantity.
pub fn bytes(quantity: &Quantity) -> Result<u64, UnitError> {
    thousandths(&quantity.0)
        .and_then(|value| u64::try_from(value.div_ceil(1000)).ok())
        .ok_or_else(|| UnitError::Quantity {
            text: quantity.0.clone(),
        })
}

/// Whether two texts are the same amount: `1024Mi` and `1Gi`.
pub(crate) fn same_amount(left: &str, right: &str) -> bool {
    match (thousandths(left), thousandths(right)) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// A span of time.
///
/// # Errors
/// The text is not a sequence of hours, minutes and seconds.
pub fn duration(duration: &Duration) -> Result<StdDuration, UnitError> {
    let malformed = || UnitError::Duration {
        text: duration.0.clone(),
    };
    let mut rest = duration.0.as_str();
    let mut seconds = 0_u64;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some((number, tail)) = rest.split_once(unit) else {
            continue;
        };
        let number: u64 = number
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| number.parse().ok())
            .flatten()
            .filter(|_| number.len() <= 8)
            .ok_or_else(malformed)?;
        seconds += number * factor;
        rest = tail;
    }
    if rest.is_empty() && !duration.0.is_empty() {
        Ok(StdDuration::from_secs(seconds))
    } else {
        Err(malformed())
    }
}

#[cfg(test)]
mod tests;
