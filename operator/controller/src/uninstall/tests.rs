use serde_json::json;

use super::*;

/// A group that scales itself from one node on, with a window for each of these minimums.
fn autoscaled(replicas: i32, minimums: &[i32]) -> ComputeGroupSpec {
    let schedules: Vec<_> = minimums
        .iter()
        .map(|minimum| {
            json!({"name": format!("for-{minimum}"), "start": "0 8 * * *", "duration": "2h", "timeZone": "Etc/UTC",
                "minReplicas": minimum})
        })
        .collect();
    let spec = json!({"cluster": "lake", "replicas": replicas, "schedules": schedules,
        "autoscaling": {"minReplicas": 1, "maxReplicas": 20}});
    serde_json::from_value(spec).unwrap()
}

#[test]
fn no_size_that_a_window_gave_an_autoscaler_stays_for_good() {
    // The window is open; one with a lower floor is left; the floor falls; the window is over, and the drain is not.
    for floor in [Some(8), Some(3), Some(7), None] {
        assert_eq!(base(&autoscaled(8, &[8, 3]), floor), 1, "{floor:?}");
    }
    // A window that was taken off the spec a moment ago.
    assert_eq!(base(&autoscaled(8, &[]), Some(8)), 1);
}

#[test]
fn what_load_asked_for_stays() {
    assert_eq!(base(&autoscaled(9, &[8, 3]), Some(8)), 9);
    assert_eq!(base(&autoscaled(5, &[]), None), 5);
}

#[test]
fn what_people_wrote_is_the_base_of_a_group_without_an_autoscaler() {
    let spec = ComputeGroupSpec {
        autoscaling: None,
        ..autoscaled(2, &[8])
    };
    assert_eq!(base(&spec, Some(8)), 2);
}
