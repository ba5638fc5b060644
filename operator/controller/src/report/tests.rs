use super::*;

fn morning() -> ActiveWindow {
    ActiveWindow {
        name: "morning".into(),
        opens_at: "2026-11-23T08:00:00Z".into(),
        min_replicas: Some(4),
        ..ActiveWindow::default()
    }
}

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

fn ready(ready_at: Option<&str>, late: bool) -> ActiveWindow {
    ActiveWindow {
        ready_at: ready_at.map(|time| format!("2026-11-23T{time}Z")),
        late,
        ..morning()
    }
}

#[test]
fn lateness_is_from_the_opening_to_the_last_node_also_after_a_restart() {
    let of = |ready_at, late, now| lateness(&ready(ready_at, late), at(now));
    assert_eq!(of(Some("07:51:30"), false, "07:51:31"), Some(-510.0));
    assert_eq!(of(Some("07:51:30"), false, "11:00:00"), Some(-510.0));
    assert_eq!(of(Some("08:00:20"), true, "08:00:21"), Some(20.0));
}

#[test]
fn a_window_that_still_lacks_nodes_is_later_from_look_to_look_and_one_without_an_opening_is_not() {
    let of = |ready_at, late, now| lateness(&ready(ready_at, late), at(now));
    assert_eq!(of(None, true, "08:01:00"), Some(60.0));
    assert_eq!(of(None, true, "08:02:00"), Some(120.0));
    assert_eq!(of(None, false, "07:59:00"), None);
    assert_eq!(
        of(Some("09:00:00"), false, "09:00:01"),
        None,
        "it was written while it was open"
    );
}

#[test]
fn a_cause_is_not_repeated() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;
    assert_eq!(chain(&Outer(Inner)), "outer: inner");
}
