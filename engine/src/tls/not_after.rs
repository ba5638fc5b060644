//! Until when a certificate is good. Of its DER, only what stands before that is passed over (RFC 5280, section 4.1).

use chrono::NaiveDateTime;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// Tag of the version, which certificates of version 1 do not have.
const VERSION: u8 = 0xa0;
/// Years of two digits from here on are of the last century.
const LAST_CENTURY_FROM: u8 = 50;

/// `notAfter` of a certificate in seconds since 1970; `None` where the bytes are no certificate.
pub(super) fn read(certificate: &[u8]) -> Option<i64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (fields, _) = element(certificate, SEQUENCE)?;
    let rest = element(fields, VERSION).map_or(fields, |(_, rest)| rest);
    let (_serial, rest) = element(rest, INTEGER)?;
    let (_signature, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _not_before, rest) = any_element(validity)?;
    let (tag, text, _) = any_element(rest)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

fn time(tag: u8, text: &str) -> Option<i64> {
    let with_century = match tag {
        GENERALIZED_TIME => text.to_owned(),
        UTC_TIME => {
            let year: u8 = text.get(..2)?.parse().ok()?;
            let century = if year < LAST_CENTURY_FROM { "20" } else { "19" };
            format!("{century}{text}")
        }
        _ => return None,
    };
    let time = NaiveDateTime::parse_from_str(&with_century, "%Y%m%d%H%M%SZ").ok()?;
    Some(time.and_utc().timestamp())
}

/// The content of an element with this tag, and what comes behind the element.
fn element(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any_element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of an element, and what comes behind it.
fn any_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (number(digits)?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// A length of one to four bytes.
fn number(digits: &[u8]) -> Option<usize> {
    if !(1..=4).contains(&digits.len()) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0_u64, |number, digit| (number << 8) | u64::from(*digit));
    usize::try_from(number).ok()
}
