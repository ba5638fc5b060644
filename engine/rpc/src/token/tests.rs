use super::*;

#[track_caller]
fn check(token: &ClusterToken, shown: &str, accepted: &[&str]) {
    assert_eq!(token.header(), format!("Bearer {shown}"));
    for given in ["old", "new", "ne", "news", "", "Bearer new"] {
        let header = format!("Bearer {given}");
        assert_eq!(
            token.accepts(Some(header.as_bytes())),
            accepted.contains(&given),
            "{given:?}"
        );
    }
    assert!(!token.accepts(None) && !token.accepts(Some(b"new")) && !token.accepts(Some(b"Bearer")));
}

#[test]
fn a_token_is_replaced_in_three_steps_and_others_are_let_in_at_each() {
    let token = ClusterToken::new(" old\n").unwrap();
    let clone = token.clone();
    check(&token, "old", &["old"]);
    for (first, second, accepted) in [
        ("old", "new", &["old", "new"][..]),
        ("new", "old\n", &["old", "new"]),
        ("new", " \n", &["new"]),
    ] {
        token.replace_with(&ClusterToken::with_second(first, second).unwrap());
        check(&token, first, accepted);
        check(&clone, first, accepted);
    }
    assert!(ClusterToken::with_second("", "new").is_none());
    assert_eq!(format!("{token:?}"), "ClusterToken(***)");
}
