use super::*;

#[test]
fn names_and_labels_are_what_alerts_ask_for() {
    let metrics = Metrics::default();
    metrics.reconciled("ComputeGroup", "ok", Duration::from_millis(3));
    metrics.count_write("StatefulSet", "apply");
    metrics.group_replicas("retail", "etl", [4, 4, 3]);
    metrics.window_ready("retail", "etl", "opening-hours", -12.5);
    let text = metrics.render();
    for line in [
        "springtide_operator_leader 0",
        r#"springtide_reconciles_total{kind="ComputeGroup",outcome="ok"} 1"#,
        r#"springtide_kubernetes_writes_total{kind="StatefulSet",verb="apply"} 1"#,
        r#"springtide_group_replicas{namespace="retail",group="etl",state="serving"} 3"#,
        r#"springtide_window_lateness_seconds{namespace="retail",group="etl",window="opening-hours"} -12.5"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_group_that_is_gone_is_not_reported() {
    let metrics = Metrics::default();
    metrics.group_replicas("retail", "etl", [4, 4, 4]);
    metrics.window_ready("retail", "etl", "opening-hours", 1.0);
    metrics.forget_group("retail", "etl");
    assert!(!metrics.render().contains("etl"));
}

#[test]
fn a_window_that_was_taken_out_is_not_reported_and_others_are() {
    let metrics = Metrics::default();
    for (group, window) in [("etl", "month-end"), ("etl", "opening-hours"), ("etl-2", "month-end")] {
        metrics.window_ready("retail", group, window, 1.0);
    }
    metrics.forget_windows("retail", "etl", |window| window == "opening-hours");
    let text = metrics.render();
    let reported: Vec<&str> = text.lines().filter(|line| line.contains("lateness_seconds{")).collect();
    assert_eq!(reported.len(), 2, "{text}");
    assert!(!text.contains(r#"group="etl",window="month-end""#), "{text}");
}
