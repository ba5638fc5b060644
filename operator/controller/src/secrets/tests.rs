use super::*;

#[test]
fn passwords_are_long_plain_and_never_twice_the_same() {
    let one = new_password();
    assert_eq!(one.len(), PASSWORD_CHARACTERS);
    assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(one, new_password());
}
