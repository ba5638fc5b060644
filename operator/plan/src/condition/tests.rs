use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

const NINE: &str = "2026-11-23T09:00:00Z";
const TEN: &str = "2026-11-23T10:00:00Z";

fn starting() -> Finding {
    Finding::fails(Reason::FrontendStarting, "starting")
}

#[test]
fn the_time_of_a_condition_moves_only_with_its_status() {
    let (first, _) = update(&[], Some(1), at(NINE), vec![(ConditionType::Available, starting())]);
    let no_leader = Finding::fails(Reason::NoLeader, "no leader");
    let (second, _) = update(&first, Some(1), at(TEN), vec![(ConditionType::Available, no_leader)]);
    assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
    let serving = Finding::holds(Reason::Serving, "serves");
    let (third, _) = update(&second, Some(1), at(TEN), vec![(ConditionType::Available, serving)]);
    assert_eq!(third[0].last_transition_time, time(at(TEN)));
}

#[test]
fn an_event_is_told_when_the_reason_changes_and_not_again() {
    let (first, events) = update(&[], Some(1), at(NINE), vec![(ConditionType::Available, starting())]);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].severity, Severity::Normal);
    let (_, events) = update(&first, Some(1), at(TEN), vec![(ConditionType::Available, starting())]);
    assert_eq!(events, []);
    let refused = Finding::fails(Reason::BucketNotFound, "there is no bucket");
    let (_, events) = update(&first, Some(1), at(TEN), vec![(ConditionType::Available, refused)]);
    assert_eq!(events[0].severity, Severity::Warning);
}

#[test]
fn a_cause_of_two_conditions_is_told_once() {
    let both =
        |finding: fn() -> Finding| vec![(ConditionType::Available, finding()), (ConditionType::Ready, finding())];
    let (first, events) = update(&[], Some(1), at(NINE), both(starting));
    assert_eq!(events.len(), 1);
    let (_, events) = update(
        &first,
        Some(1),
        at(TEN),
        both(|| Finding::holds(Reason::Serving, "serves")),
    );
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].reason, events[0].action.as_str()),
        (Reason::Serving, "Available")
    );
}

#[test]
fn a_long_message_is_cut() {
    let finding = Finding::fails(Reason::PodCrashing, "ä".repeat(5000));
    let (conditions, _) = update(&[], None, at(NINE), vec![(ConditionType::Ready, finding)]);
    assert_eq!(conditions[0].message.chars().count(), MESSAGE_MAX_CHARACTERS);
}

#[test]
fn what_is_not_known_is_not_told_and_what_is_found_then_is() {
    let well = Finding::holds(Reason::AllReady, "it is reached");
    let (known, _) = update(&[], Some(1), at(NINE), vec![(ConditionType::StorageReady, well)]);
    let unknown = || Finding::unknown("no frontend has started");
    let (unknown, events) = update(&known, Some(1), at(TEN), vec![(ConditionType::StorageReady, unknown())]);
    assert_eq!(events, []);
    let refused = Finding::fails(Reason::BucketNotFound, "there is no bucket");
    let (_, events) = update(&unknown, Some(1), at(TEN), vec![(ConditionType::StorageReady, refused)]);
    assert_eq!(events[0].severity, Severity::Warning);
}

#[test]
fn how_many_nodes_serve_is_told_with_ready_alone() {
    let findings = |reason, ready: Finding| {
        vec![
            (ConditionType::Available, Finding::holds(reason, "some serve")),
            (ConditionType::Ready, ready),
        ]
    };
    let starting = || Finding::fails(Reason::ComputeStarting, "3 of 4 nodes serve");
    let all = || Finding::holds(Reason::AllReady, "4 of 4 nodes serve");
    let (first, _) = update(&[], Some(1), at(NINE), findings(Reason::Serving, all()));
    let (second, events) = update(&first, Some(1), at(TEN), findings(Reason::PartlyServing, starting()));
    assert_eq!(
        events.iter().map(|event| event.reason).collect::<Vec<_>>(),
        [Reason::ComputeStarting]
    );
    let (_, events) = update(&second, Some(1), at(TEN), findings(Reason::Serving, all()));
    assert_eq!(
        events.iter().map(|event| event.reason).collect::<Vec<_>>(),
        [Reason::AllReady]
    );
    let none = vec![(ConditionType::Available, starting())];
    let (_, events) = update(&second, Some(1), at(TEN), none);
    assert_eq!(events.len(), 1, "that none serves is told");
}
