use super::*;

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    serde_json::from_value(serde_json::json!({
        "type": type_,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-11-23T08:00:00Z",
    }))
    .unwrap()
}

fn conditions_in(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("springtide_condition{"))
        .collect()
}

#[test]
fn names_and_labels_are_what_alerts_ask_for() {
    let metrics = Metrics::default();
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    metrics.reconciled("ComputeGroup", "ok", Duration::from_millis(3), at(1_700_000_000));
    metrics.reconciled("ComputeGroup", "failed", Duration::from_millis(3), at(1_700_000_060));
    metrics.count_write("StatefulSet", "apply");
    metrics.group_replicas("retail", "etl", [4, 4, 3]);
    let leaving = DrainingNode {
        phase: DrainPhase::Leaving,
        ..DrainingNode::default()
    };
    metrics.group_draining("retail", "etl", &[leaving.clone(), leaving]);
    metrics.window_ready("retail", "etl", "opening-hours", -12.5);
    metrics.conditions(
        "Department",
        "",
        "retail",
        &[condition("Available", "True", "AllReady")],
    );
    metrics.told("ComputeGroup", "retail", "DrainForced", true);
    let text = metrics.render();
    for line in [
        "springtide_operator_leader 0",
        r#"springtide_reconciles_total{kind="ComputeGroup",outcome="ok"} 1"#,
        // Of the last one that ended well.
        r#"springtide_reconcile_last_success_timestamp_seconds{kind="ComputeGroup"} 1700000000"#,
        r#"springtide_kubernetes_writes_total{kind="StatefulSet",verb="apply"} 1"#,
        r#"springtide_group_replicas{namespace="retail",group="etl",state="serving"} 3"#,
        r#"springtide_group_draining_nodes{namespace="retail",group="etl",phase="Draining"} 0"#,
        r#"springtide_group_draining_nodes{namespace="retail",group="etl",phase="Leaving"} 2"#,
        r#"springtide_window_lateness_seconds{namespace="retail",group="etl",window="opening-hours"} -12.5"#,
        r#"springtide_condition{kind="Department",namespace="",name="retail",type="Available",reason="AllReady"} 1"#,
        r#"springtide_events_total{kind="ComputeGroup",namespace="retail",reason="DrainForced",type="Warning"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_group_that_is_gone_is_not_reported() {
    let metrics = Metrics::default();
    metrics.group_replicas("retail", "etl", [4, 4, 4]);
    metrics.group_draining("retail", "etl", &[]);
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

#[test]
fn a_condition_has_one_reason_at_a_time_and_unknown_is_not_well() {
    let metrics = Metrics::default();
    let show = |conditions: &[Condition]| metrics.conditions("ComputeGroup", "retail", "etl", conditions);
    show(&[
        condition("Available", "True", "Serving"),
        condition("Ready", "False", "ComputeStarting"),
    ]);
    show(&[
        condition("Available", "Unknown", "Unknown"),
        condition("Ready", "True", "AllReady"),
    ]);
    let of = r#"springtide_condition{kind="ComputeGroup",namespace="retail",name="etl","#;
    let expected = [
        format!(r#"{of}type="Available",reason="Unknown"}} 0"#),
        format!(r#"{of}type="Ready",reason="AllReady"}} 1"#),
    ];
    let text = metrics.render();
    let mut found = conditions_in(&text);
    found.sort_unstable();
    assert_eq!(found, expected);
    let since = r#"springtide_condition_since_timestamp_seconds{kind="ComputeGroup",namespace="retail",name="etl","#;
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with(since)).collect();
    // 2026-11-23T08:00:00Z
    let expected = format!(r#"{since}type="Available",reason="Unknown"}} 1795420800"#);
    assert_eq!(told, [expected], "nobody asks since when all is well");
}

#[test]
fn conditions_of_an_object_that_is_gone_are_not_reported_and_those_of_others_are() {
    let metrics = Metrics::default();
    let all = [condition("Ready", "True", "AllReady")];
    let ill = [all[0].clone(), condition("UpToDate", "False", "UpdatePending")];
    metrics.conditions("ComputeGroup", "retail", "etl", &ill);
    metrics.conditions("ComputeGroup", "retail", "etl-2", &all);
    metrics.conditions("LakeCluster", "retail", "etl", &all);
    metrics.conditions("ComputeGroup", "retail", "etl", &[]);
    let text = metrics.render();
    let found = conditions_in(&text);
    assert_eq!(found.len(), 2, "{text}");
    let gone = r#"kind="ComputeGroup",namespace="retail",name="etl","#;
    assert!(!text.contains(gone), "{text}");
}
