use kube::Config;

use super::*;

/// Events for an API server that refuses connections.
fn events(most_waiting: usize) -> Events {
    let nobody = Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = Client::try_from(nobody).unwrap();
    Events::with_room(client, "springtide-0", Dropped::default(), most_waiting)
}

fn notice(reason: &str) -> Notice {
    Notice {
        is_warning: false,
        reason: reason.to_owned(),
        action: "Ready".to_owned(),
        note: "it is so".to_owned(),
    }
}

fn about() -> ObjectReference {
    ObjectReference {
        uid: Some("uid".to_owned()),
        namespace: Some("retail".to_owned()),
        ..ObjectReference::default()
    }
}

fn pending(note: &str) -> (String, String, u64) {
    key("uid", "PodsPending", note)
}

#[test]
fn the_same_text_is_told_once_an_hour() {
    let (mut told, now) = (Told::new(), Instant::now());
    assert!(is_news(&mut told, pending("image not found"), now));
    let soon = now + Duration::from_secs(60);
    assert!(!is_news(&mut told, pending("image not found"), soon));
    assert!(is_news(&mut told, pending("image not found"), now + QUIET));
}

#[test]
fn another_text_is_news_at_once() {
    let (mut told, now) = (Told::new(), Instant::now());
    assert!(is_news(&mut told, pending("image not found"), now));
    assert!(is_news(&mut told, pending("no node has 8 CPU"), now));
    // Two that take turns are not told at each look.
    assert!(!is_news(&mut told, pending("image not found"), now));
    assert!(!is_news(&mut told, pending("no node has 8 CPU"), now));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let note = shortened("ä".repeat(2000));
    assert!(note.len() <= LONGEST_NOTE && note.ends_with("..."));
    assert_eq!(shortened("short".into()), "short");
}

#[tokio::test]
async fn an_event_for_which_there_was_no_room_is_news_the_next_time() {
    let events = events(1);
    // Nothing is written before this test waits.
    assert!(events.tell(&about(), notice("Serving")));
    assert!(!events.tell(&about(), notice("Serving")), "it was told");
    assert!(!events.tell(&about(), notice("ComputeStarting")), "there is no room");
    assert_eq!(events.dropped.get_or_create(&FULL).get(), 1);
    assert!(!events.is_news(&about(), "Serving", "it is so", Instant::now()));
    assert!(events.is_news(&about(), "ComputeStarting", "it is so", Instant::now()));
}

#[tokio::test]
async fn an_operator_that_is_told_to_stop_tries_to_write_what_waits_and_does_not_wait_for_ever() {
    let events = events(10);
    events.tell(&about(), notice("Serving"));
    assert_eq!(events.unwritten.load(Ordering::SeqCst), 1);
    events.finish(Duration::ZERO).await;
    assert_eq!(events.unwritten.load(Ordering::SeqCst), 1);
    events.finish(TIMEOUT * 2).await;
    assert_eq!(events.unwritten.load(Ordering::SeqCst), 0);
    let lost = [&REFUSED, &TIMED_OUT].map(|cause| events.dropped.get_or_create(cause).get());
    assert_eq!(
        lost.iter().sum::<u64>(),
        1,
        "it is counted that nobody reads it: {lost:?}"
    );
}
