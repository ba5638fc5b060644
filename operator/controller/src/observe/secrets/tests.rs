use super::*;

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

#[test]
fn an_empty_value_is_no_value() {
    assert_eq!(
        facts(&data(&[("token", ""), ("other", "x")]), "key").keys,
        BTreeSet::from(["other".to_owned()])
    );
}

#[test]
fn any_change_changes_the_hash() {
    let hash = |pairs: &[(&str, &str)]| facts(&data(pairs), "key").hash;
    assert_eq!(hash(&[("a", "bc")]), hash(&[("a", "bc")]));
    assert_ne!(hash(&[("a", "bc")]), hash(&[("ab", "c")]));
    assert_ne!(hash(&[("a", "bc")]), hash(&[("a", "bd")]));
    assert_ne!(hash(&[]), hash(&[("a", "")]));
}

#[test]
fn a_hash_says_nothing_to_who_lacks_the_token() {
    let hash = |token: &str| facts(&data(&[("password", "swordfish")]), token).hash;
    assert_ne!(hash("one"), hash("another"));
}

#[test]
fn values_are_not_in_what_is_logged() {
    let secret = ReadSecret {
        data: data(&[("password", "swordfish")]),
        ..ReadSecret::default()
    };
    let values = SecretValues {
        cluster: None,
        asked: BTreeSet::new(),
        secrets: BTreeMap::from([("lake-admin".to_owned(), secret)]),
    };
    assert!(!format!("{values:?} {:?}", values.facts("lake")).contains("swordfish"));
}
