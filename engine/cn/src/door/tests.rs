use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::{basic_credentials, redirect};

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

#[test]
fn a_redirect_of_a_frontend_is_known_by_its_number() {
    assert_eq!(redirect(Some("redirect=18446744073709551615")), Some(u64::MAX));
    assert_eq!(redirect(Some("x=1&redirect=7")), Some(7));
    assert_eq!(
        redirect(Some("redirect=1&redirect=7")),
        Some(7),
        "the frontend adds its own at the end"
    );
    for none in [
        None,
        Some(""),
        Some("redirect"),
        Some("redirect=no"),
        Some("redirect=-1"),
        Some("redirected=7"),
    ] {
        assert_eq!(redirect(none), None, "{none:?}");
    }
}
