use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::basic_credentials;

fn check(value: &str, expected: Option<(&str, &str)>) {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    let found = basic_credentials(&headers).map(|(user, password)| (user, password.0));
    assert_eq!(
        found,
        expected.map(|(user, password)| (user.to_owned(), password.to_owned())),
        "{value}"
    );
}

#[test]
fn basic_credentials_are_read_and_anything_else_is_none() {
    check("Basic YWRtaW46c2VjcmV0", Some(("admin", "secret")));
    check("basic YTpiOmM=", Some(("a", "b:c")));
    check("Bearer YWRtaW46c2VjcmV0", None);
    check("Basic !!!", None);
    check("Basic YWRtaW4=", None);
    check("Basic", None);
}
