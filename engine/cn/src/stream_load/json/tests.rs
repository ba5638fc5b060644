use super::OuterArray;

/// Strips `body` in every possible cut in two, which must not matter.
fn check(body: &str, expected: Result<&str, &str>) {
    for cut in 0..=body.len() {
        let mut array = OuterArray::default();
        let stripped = array
            .strip(&body.as_bytes()[..cut])
            .map(std::borrow::Cow::into_owned)
            .and_then(|head| Ok([head, array.strip(&body.as_bytes()[cut..])?.into_owned()].concat()))
            .and_then(|whole| array.finish().map(|()| whole));
        match (&stripped, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(String::from_utf8_lossy(found), expected, "cut at {cut}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found} (cut at {cut})"),
            _ => panic!("{stripped:?} is not {expected:?} (cut at {cut})"),
        }
    }
}

#[test]
fn brackets_and_commas_of_the_outer_array_only_become_spaces() {
    check(r#"[{"a":[1,2]},{"b":"],[\""}]"#, Ok(r#" {"a":[1,2]} {"b":"],[\""} "#));
    check("[]", Ok("  "));
    check(" \n[{}] ", Ok(" \n {}  "));
}

#[test]
fn a_body_that_is_no_array_is_refused() {
    check(r#"{"a":1}"#, Err("does not begin"));
    check("[{}", Err("ends within"));
    check("[{}] x", Err("more after"));
    check("", Err("empty"));
}
