use super::*;

#[test]
fn doubles_up_to_the_cap() {
    assert_eq!(wait_after(1, 1.0), FIRST);
    assert_eq!(wait_after(2, 1.0), FIRST * 2);
    assert_eq!(wait_after(4, 1.0), FIRST * 8);
    assert_eq!(wait_after(100, 1.0), LONGEST);
    assert_eq!(wait_after(u32::MAX, 0.0), LONGEST / 2);
}

#[test]
fn success_starts_over() {
    let backoff = Backoff::new();
    for _ in 0..20 {
        backoff.failed("group");
    }
    assert!(backoff.failed("group") >= LONGEST / 2);
    backoff.succeeded(&"group");
    assert!(backoff.failed("group") <= FIRST);
}
