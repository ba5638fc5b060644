use super::*;

#[test]
fn keys_are_those_of_kubernetes() {
    for key in [
        "team",
        "a",
        "example.com/team",
        "Cost_center.1",
        "9-lives",
        "sub.example-1.com/x.y",
    ] {
        assert!(is_key(key), "{key}");
    }
    let long = "x".repeat(64);
    for key in [
        "",
        "-a",
        "a-",
        "a b",
        "a/b/c",
        "/a",
        "a/",
        "Example.com/a",
        "example..com/a",
        "ä",
        &long,
    ] {
        assert!(!is_key(key), "{key}");
    }
}

#[test]
fn the_field_and_the_key_are_named() {
    let keys = ["good".to_owned(), "not good".to_owned()];
    let rejection = check_keys("placement.nodeSelector", &keys).unwrap_err();
    assert!(
        rejection
            .message
            .starts_with("placement.nodeSelector: \"not good\" is not a key; write"),
        "{rejection:?}"
    );
}
