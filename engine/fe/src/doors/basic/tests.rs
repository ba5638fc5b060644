use axum::http::HeaderValue;

use super::*;

#[track_caller]
fn check(header: &str, expected: Option<(&str, &str)>) {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
    let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
    assert_eq!(credentials(&headers), expected);
}

#[test]
fn credentials_are_read() {
    check("Basic YWRtaW46c2VjcmV0", Some(("admin", "secret")));
    check("basic YTpiOmM=", Some(("a", "b:c")));
}

#[test]
fn anything_else_is_no_credentials() {
    assert_eq!(credentials(&HeaderMap::new()), None);
    for header in [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Bearer YWRtaW46c2VjcmV0",
        "Basic YWRtaW4=",
    ] {
        check(header, None);
    }
    check(&format!("Basic {}", "A".repeat(5000)), None);
}
