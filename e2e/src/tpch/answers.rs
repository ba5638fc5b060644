//! The queries and the answers that they must give.
//!
//! Answers stand in `tpch/answers/<folder>/<query>.csv`, computed by another engine over the same Parquet files (see
//! `tpch/README.md`). They are compared value by value: numbers by a relative tolerance, since engines differ in the scale
//! that they give an average; everything else exactly.

use super::ScaleFactor;
use crate::{Error, Result};

/// Numbers may differ by this part of themselves (an average of decimals is rounded to six digits, or is a double) ...
const RELATIVE_TOLERANCE: f64 = 1e-6;
/// ... or by this much, near zero.
const ABSOLUTE_TOLERANCE: f64 = 1e-6;

macro_rules! queries {
    ($($number:literal)*) => {
        /// The queries' texts by number, 1 to 22, with the specification's validation parameters.
        pub const QUERIES: [(u8, &str); 22] = [$(($number, include_str!(concat!("../../tpch/queries/q", $number, ".sql")))),*];

        fn answer(folder: &str, query: u8) -> Option<&'static str> {
            match (folder, query) {
                $(("sf0.01", $number) => Some(include_str!(concat!("../../tpch/answers/sf0.01/q", $number, ".csv"))),)*
                $(("sf1", $number) => Some(include_str!(concat!("../../tpch/answers/sf1/q", $number, ".csv"))),)*
                _ => None,
            }
        }
    };
}

queries!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22);

/// A query's text.
pub fn query(number: u8) -> Result<&'static str> {
    QUERIES
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, text)| *text)
        .ok_or_else(|| Error::Missing(format!("TPC-H has queries 1 to 22, not {number}")))
}

/// A query's right answer at a scale factor, as rows of text; `None` where none is known.
pub fn expected(sf: ScaleFactor, number: u8) -> Option<Vec<Vec<String>>> {
    answer(&sf.folder(), number).map(|text| text.lines().skip(1).map(split_csv).collect())
}

/// Compares an answer with the right one, row by row.
pub fn check(what: &str, expected: &[Vec<String>], found: &[Vec<String>]) -> Result<()> {
    if expected.len() != found.len() {
        return Err(Error::Wrong {
            what: what.into(),
            expected: format!("{} rows", expected.len()),
            found: format!("{} rows", found.len()),
        });
    }
    for (number, (right, row)) in expected.iter().zip(found).enumerate() {
        let same = right.len() == row.len() && right.iter().zip(row).all(|(right, value)| same_value(right, value));
        if !same {
            return Err(Error::Wrong {
                what: format!("{what}, row {}", number + 1),
                expected: right.join(" | "),
                found: row.join(" | "),
            });
        }
    }
    Ok(())
}

fn same_value(right: &str, value: &str) -> bool {
    if right == value {
        return true;
    }
    match (right.parse::<f64>(), value.parse::<f64>()) {
        (Ok(right), Ok(value)) => (right - value).abs() <= (right.abs() * RELATIVE_TOLERANCE).max(ABSOLUTE_TOLERANCE),
        _ => false,
    }
}

/// One line of RFC 4180 text without line breaks in values, which TPC-H has not.
fn split_csv(line: &str) -> Vec<String> {
    let (mut values, mut value, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if inside && characters.peek() == Some(&'"') => {
                characters.next();
                value.push('"');
            }
            '"' => inside = !inside,
            ',' if !inside => values.push(std::mem::take(&mut value)),
            _ => value.push(character),
        }
    }
    values.push(value);
    values
}
