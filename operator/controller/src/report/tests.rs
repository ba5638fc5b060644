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

/// The lateness after each of these looks.
fn looks(looks: &[(&str, i32)]) -> Vec<Option<f64>> {
    let watch = WindowWatch::default();
    looks
        .iter()
        .map(|(time, serving)| watch.look("retail", "etl", &morning(), *serving, at(time)))
        .collect()
}

#[test]
fn lateness_is_known_once_when_the_last_node_serves() {
    assert_eq!(
        looks(&[("07:50:00", 1), ("07:51:30", 4), ("08:00:00", 4), ("08:01:00", 4)]),
        [None, Some(-510.0), None, None]
    );
    assert_eq!(looks(&[("07:59:00", 1), ("08:00:20", 4)]), [None, Some(20.0)]);
}

#[test]
fn a_restart_in_the_middle_of_a_window_reports_no_lateness() {
    assert_eq!(looks(&[("11:00:00", 4), ("11:01:00", 4)]), [None, None]);
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
