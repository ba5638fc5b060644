//! What somebody may have meant who has mistyped a name.

/// The known name that is nearest to `name`, if one is near. How words are joined and capitals make no difference: `query_timeout_s` is
/// near to `queryTimeoutS`.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(name);
    // A third of a name may be wrong.
    let farthest = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (distance(&wanted, &letters(known)), known))
        .min()
        .filter(|(distance, _)| *distance <= farthest)
        .map(|(_, known)| known)
}

/// Of an unfinished name only what is there counts, and one step for what is not.
fn distance(wanted: &str, known: &str) -> usize {
    if wanted.len() >= 4 && known.starts_with(wanted) {
        return usize::from(known != wanted);
    }
    strsim::osa_distance(wanted, known)
}

fn letters(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn what_is_mistyped_has_a_nearest_name_and_what_is_another_thing_has_none() {
        let known = ["maxConnections", "queryTimeoutS", "resultHoldBytes"];
        for (name, expected) in [
            ("queryTimeout", Some("queryTimeoutS")),
            ("query_timeout_s", Some("queryTimeoutS")),
            ("query", Some("queryTimeoutS")),
            ("QueryTimeSOut", Some("queryTimeoutS")),
            ("maxConnection", Some("maxConnections")),
            ("resultHoldByte", Some("resultHoldBytes")),
            ("qe_max_connection", Some("maxConnections")),
            ("nosuch", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
