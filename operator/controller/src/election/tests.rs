use super::*;

fn settings() -> ElectionSettings {
    ElectionSettings {
        namespace: "springtide-system".into(),
        name: "springtide-operator".into(),
        identity: "me".into(),
        duration: Duration::from_secs(15),
    }
}

fn held_by(holder: &str) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(4),
        acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
        renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
        ..LeaseSpec::default()
    }
}

/// What is decided about `lease` when it has not changed for `unchanged`.
#[allow(clippy::needless_pass_by_value, reason = "a literal at each call")]
fn decided(lease: Option<LeaseSpec>, unchanged: Duration) -> Decision {
    let start = Instant::now();
    let sighting = lease.clone().map(|spec| Sighting { spec, seen: start });
    decide(
        &settings(),
        lease.as_ref(),
        sighting.as_ref(),
        start + unchanged,
        Timestamp::MAX,
    )
}

fn written(decision: Decision) -> LeaseSpec {
    match decision {
        Decision::Write(spec) => spec,
        Decision::Wait { holder } => panic!("waits for {holder}"),
    }
}

#[test]
fn no_lease_is_created() {
    let spec = written(decided(None, Duration::ZERO));
    assert_eq!(spec.holder_identity.as_deref(), Some("me"));
    assert_eq!(spec.lease_transitions, Some(0));
}

#[test]
fn a_living_leader_is_left_alone_even_if_its_clock_is_years_behind() {
    assert_eq!(
        decided(Some(held_by("other")), Duration::from_millis(14_999)),
        Decision::Wait { holder: "other".into() }
    );
}

#[test]
fn a_silent_leader_is_replaced_and_the_change_counted() {
    let spec = written(decided(Some(held_by("other")), Duration::from_secs(15)));
    assert_eq!(spec.holder_identity.as_deref(), Some("me"));
    assert_eq!(spec.lease_transitions, Some(5));
}

#[test]
fn a_lease_never_seen_before_is_not_taken_at_once() {
    let lease = held_by("other");
    let decision = decide(&settings(), Some(&lease), None, Instant::now(), Timestamp::MAX);
    assert_eq!(decision, Decision::Wait { holder: "other".into() });
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let spec = written(decided(Some(held_by("")), Duration::ZERO));
    assert_eq!(spec.lease_transitions, Some(5));
}

#[test]
fn renewing_keeps_the_time_of_acquisition() {
    let spec = written(decided(Some(held_by("me")), Duration::from_secs(60)));
    assert_eq!(spec.acquire_time, Some(MicroTime(Timestamp::UNIX_EPOCH)));
    assert_eq!(spec.renew_time, Some(MicroTime(Timestamp::MAX)));
    assert_eq!(spec.lease_transitions, Some(4));
}

#[test]
fn a_leader_stops_before_another_may_start() {
    let settings = settings();
    assert!(settings.deadline() + settings.duration / 7 * 6 / 5 * 2 <= settings.duration * 11 / 10);
    assert!(settings.deadline() < settings.duration);
}
