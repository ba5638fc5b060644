use super::*;

const UID: &str = "5d2c";
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_counts_progress_is_told_at_first_and_then_every_two_seconds() {
    let (held_back, begun) = (HeldBack::default(), Instant::now());
    assert_eq!(held_back.until(UID, Telling::Progress, false, begun), None);
    held_back.told(UID, begun);
    let again = held_back.until(UID, Telling::Progress, false, begun + SECOND);
    assert_eq!(again, Some(SECOND));
    assert_eq!(held_back.until(UID, Telling::Progress, false, begun + SECOND * 2), None);
}

#[test]
fn what_says_the_same_in_other_words_is_told_later() {
    let (held_back, begun) = (HeldBack::default(), Instant::now());
    held_back.told(UID, begun);
    let again = held_back.until(UID, Telling::Wording, false, begun + SECOND);
    assert_eq!(again, Some(WORDING - SECOND));
    assert_eq!(held_back.until(UID, Telling::Wording, false, begun + WORDING), None);
    assert_eq!(held_back.until(UID, Telling::AfterActions, false, begun + SECOND), None);
}

#[test]
fn the_look_after_one_that_acted_tells() {
    let (held_back, begun) = (HeldBack::default(), Instant::now());
    let again = held_back.until(UID, Telling::AfterActions, true, begun);
    assert_eq!(again, Some(AFTER_ACTIONS));
    assert_eq!(
        held_back.until(UID, Telling::AfterActions, false, begun + AFTER_ACTIONS),
        None
    );
}

#[test]
fn an_object_on_which_each_look_acts_is_told_of_nevertheless() {
    let (held_back, begun) = (HeldBack::default(), Instant::now());
    let looks = (0..20).map(|number| begun + SECOND / 5 * number);
    let told: Vec<bool> = looks
        .map(|now| {
            let is_told = held_back.until(UID, Telling::AfterActions, true, now).is_none();
            if is_told {
                held_back.told(UID, now);
            }
            is_told
        })
        .collect();
    assert_eq!(told.iter().filter(|is_told| **is_told).count(), 1, "{told:?}");
    assert!(told[10]);
}

#[test]
fn what_is_pressing_is_told_at_once() {
    let (held_back, begun) = (HeldBack::default(), Instant::now());
    held_back.told(UID, begun);
    assert_eq!(held_back.until(UID, Telling::Now, true, begun), None);
    assert_eq!(held_back.until(UID, Telling::AfterActions, false, begun), None);
}
