use super::*;

fn key() -> (String, String) {
    ("uid".into(), "PodsPending".into())
}

#[test]
fn the_same_text_is_told_once_an_hour() {
    let (mut told, now) = (Told::new(), Instant::now());
    assert!(is_news(&mut told, key(), "image not found", now));
    assert!(!is_news(
        &mut told,
        key(),
        "image not found",
        now + Duration::from_secs(60)
    ));
    assert!(is_news(&mut told, key(), "image not found", now + QUIET));
}

#[test]
fn another_text_is_news_at_once() {
    let (mut told, now) = (Told::new(), Instant::now());
    assert!(is_news(&mut told, key(), "image not found", now));
    assert!(is_news(&mut told, key(), "no node has 8 CPU", now));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let note = shortened("ä".repeat(2000));
    assert!(note.len() <= LONGEST_NOTE && note.ends_with("..."));
    assert_eq!(shortened("short".into()), "short");
}
