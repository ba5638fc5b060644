#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use serde_json::json;

use super::*;

fn group(schedules: serde_json::Value) -> ComputeGroup {
    let body = json!({
        "metadata": {"namespace": "retail", "name": "etl"},
        "spec": {"cluster": "lake", "replicas": 2, "schedules": schedules},
    });
    serde_json::from_value(body).unwrap()
}

fn two_days(group: &ComputeGroup) -> Result<String, PreviewError> {
    let from = "2026-11-22T23:00:00Z".parse().unwrap();
    render(
        group,
        &Surroundings::default(),
        from,
        from + chrono::TimeDelta::days(2),
        None,
    )
}

#[test]
fn a_day_with_a_window_shows_its_three_parts_in_the_windows_own_time() {
    let group = group(
        json!([{"name": "morning", "start": "0 8 * * MON", "until": "18:00", "timeZone": "Europe/Prague",
        "minReplicas": 8, "leadTime": "5m"}]),
    );
    insta::assert_snapshot!(two_days(&group).unwrap(), @r"
    ComputeGroup retail/etl, replicas 2, times in Europe/Prague
    # floor  + wanted above it  . free below the ceiling  | ceiling, > beyond the axis  ! look here

                                floor wanted ceiling  0     2     4     6     8

    Monday 23 November 2026
      00:00 - 07:55                 -      2       -  ++++++
      07:55 - 18:00                 8      8       -  ########################  morning
      18:00 - Wed 25 Nov 00:00      -      2       -  ++++++
    ");
}

#[test]
fn no_windows_is_said() {
    let text = two_days(&group(json!([]))).unwrap();
    assert!(text.contains("spec.schedules is empty"), "{text}");
}

#[test]
fn a_suspended_cluster_is_said() {
    let mut group = group(json!([]));
    group.status = serde_json::from_value(json!({"scaling": {"decidedBy": "Suspension"}})).unwrap();
    let text = two_days(&group).unwrap();
    assert!(text.contains("! the cluster is suspended"), "{text}");
}

#[test]
fn written_values_that_are_not_accepted_are_said_to_be_what_is_drawn() {
    let line_of = |status: serde_json::Value| {
        let mut group = group(json!([
            {"name": "morning", "start": "0 8 * * MON", "until": "18:00", "timeZone": "UTC", "minReplicas": 8},
        ]));
        group.status = serde_json::from_value(status).unwrap();
        let text = two_days(&group).unwrap();
        assert!(text.contains("morning"), "the written window is drawn: {text}");
        text.lines().find(|line| line.starts_with("! ")).map(str::to_owned)
    };
    let accepted = |status: &str, message: &str| {
        json!([{"type": "Accepted", "status": status, "reason": "Any", "message": message,
            "lastTransitionTime": "2026-11-22T08:00:00Z"}])
    };
    let too_many = "schedules[morning].minReplicas: 8 is more than 4; the last accepted values stay in force";
    let refused = line_of(json!({
        "conditions": accepted("False", too_many),
        "acceptedSpec": {"cluster": "lake", "replicas": 2},
    }));
    assert_eq!(
        refused.as_deref(),
        Some(
            "! the written values, which are drawn here, are not accepted, and the last accepted ones are in force: \
             schedules[morning].minReplicas: 8 is more than 4; the last accepted values stay in force"
        )
    );
    let never_accepted = line_of(json!({"conditions": accepted("False", "replicas: -1 is negative")}));
    assert_eq!(
        never_accepted.as_deref(),
        Some(
            "! the written values, which are drawn here, are not accepted, and none are in force yet: replicas: -1 is negative"
        )
    );
    let fine = json!({"conditions": accepted("True", "the written values are in force")});
    assert_eq!(line_of(fine), None);
}

#[test]
fn a_window_that_makes_no_sense_is_named() {
    let group = group(
        json!([{"name": "morning", "start": "0 8 * * *", "duration": "1h", "timeZone": "Europe/Atlantis", "minReplicas": 1}]),
    );
    let message = two_days(&group).unwrap_err().to_string();
    assert!(message.starts_with("spec.schedules[0].timeZone"), "{message}");
}

#[test]
fn calendars_single_windows_and_ramps_are_drawn() {
    let group = group(json!([
        {"name": "weekdays", "start": "0 8 * * *", "until": "18:00", "timeZone": "UTC", "minReplicas": 4, "calendars": ["bank"]},
        {"name": "fair", "at": "2026-11-24T10:00", "duration": "2h", "timeZone": "UTC", "minReplicas": 8, "rampDown": "1h"},
    ]));
    let calendar = json!({"metadata": {"name": "bank"}, "spec": {"excludedDates": [{"from": "2026-11-23"}]}});
    let surroundings = Surroundings {
        calendars: vec![serde_json::from_value(calendar).unwrap()],
        room: Some(Room {
            nodes: 7,
            by: "quota department (cpu)".to_owned(),
        }),
    };
    let from = "2026-11-23T00:00:00Z".parse().unwrap();
    let text = render(&group, &surroundings, from, from + chrono::TimeDelta::days(2), None).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn a_day_on_which_clocks_change_says_so() {
    let group = group(
        json!([{"name": "night", "start": "30 2 * * *", "duration": "1h", "timeZone": "Europe/Prague", "minReplicas": 3}]),
    );
    let from = "2026-03-28T23:00:00Z".parse().unwrap();
    let text = render(
        &group,
        &Surroundings::default(),
        from,
        from + chrono::TimeDelta::days(2),
        None,
    )
    .unwrap();
    assert!(
        text.contains("Sunday 29 March 2026   ! clocks go forward: this day has 23 h\n"),
        "{text}"
    );
    assert!(text.contains("Monday 30 March 2026\n"), "{text}");
}

#[test]
fn floors_ceilings_and_what_is_wanted_between_them_are_drawn() {
    let group = group(json!([
        {"name": "budget", "start": "0 0 * * *", "until": "23:00", "timeZone": "Europe/Prague", "maxReplicas": 5},
        {"name": "reports", "start": "0 8 * * *", "until": "18:00", "timeZone": "Europe/Prague",
         "minReplicas": 4, "maxReplicas": 8, "leadTime": "10m"},
        {"name": "the-month-end-close-of-the-whole-retail-group", "at": "2026-10-24T16:00", "duration": "2h",
         "timeZone": "Europe/Prague", "minReplicas": 9},
        {"name": "quiet", "at": "2026-10-25T19:00", "duration": "2h", "timeZone": "Europe/Prague", "maxReplicas": 0},
    ]));
    let surroundings = Surroundings {
        calendars: Vec::new(),
        room: Some(Room {
            nodes: 6,
            by: "quota department (requests.memory)".to_owned(),
        }),
    };
    let from = "2026-10-23T22:00:00Z".parse().unwrap();
    let text = render(&group, &surroundings, from, from + chrono::TimeDelta::days(3), None).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn a_time_that_clocks_show_twice_is_told_apart() {
    let group = group(
        json!([{"name": "hourly", "start": "0 * * * *", "duration": "20m", "timeZone": "Europe/Prague", "minReplicas": 3}]),
    );
    let from = "2026-10-24T23:30:00Z".parse().unwrap();
    let text = render(
        &group,
        &Surroundings::default(),
        from,
        from + chrono::TimeDelta::hours(3),
        None,
    )
    .unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn a_month_fits_into_a_hundred_columns() {
    let names = [
        "eu-peak",
        "us-peak",
        "batch-of-the-night",
        "reports-of-the-finance-department",
    ];
    let zones = [
        "Europe/Prague",
        "America/Argentina/Buenos_Aires",
        "Australia/Sydney",
        "America/New_York",
    ];
    let windows = names.iter().zip(zones).enumerate().map(|(index, (name, zone))| {
        json!({"name": name, "start": "30 6 * * *", "duration": "14h", "timeZone": zone, "minReplicas": 900 + index,
            "maxReplicas": 1000 - index, "leadTime": "20m", "rampDown": "20s"})
    });
    let group = group(windows.collect());
    let surroundings = Surroundings {
        calendars: Vec::new(),
        room: Some(Room {
            nodes: 899,
            by: "quota department (requests.ephemeral-storage)".to_owned(),
        }),
    };
    for from in ["2026-03-14T00:00:00Z", "2026-10-14T00:00:00Z", "2026-12-14T00:00:00Z"] {
        let from = from.parse().unwrap();
        let text = render(&group, &surroundings, from, from + chrono::TimeDelta::days(30), None).unwrap();
        let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 100, "{widest}");
    }
}

#[test]
fn a_calendar_that_is_not_there_is_named() {
    let group = group(json!([
        {"name": "w", "start": "0 8 * * *", "until": "18:00", "timeZone": "UTC", "minReplicas": 4, "calendars": ["bank"]},
    ]));
    let message = two_days(&group).unwrap_err().to_string();
    assert!(
        message.starts_with("spec.schedules[0].calendars: there is no Calendar bank"),
        "{message}"
    );
}

#[test]
fn a_calendar_that_went_after_its_window_was_accepted_is_named_and_the_window_is_drawn() {
    let window = |floor: i32, calendars: &[&str]| {
        json!([{"name": "w", "start": "0 8 * * *", "until": "18:00", "timeZone": "UTC", "minReplicas": floor,
            "calendars": calendars}])
    };
    let accepted = |schedules: serde_json::Value| {
        let mut group = group(window(4, &["bank", "shops"]));
        let status = json!({"acceptedSpec": {"cluster": "lake", "replicas": 7, "schedules": schedules}});
        group.status = serde_json::from_value(status).unwrap();
        group
    };
    let group = accepted(window(4, &["bank", "shops"]));
    let calendar = |spec: serde_json::Value| -> Calendar {
        serde_json::from_value(json!({"metadata": {"name": "shops"}, "spec": spec})).unwrap()
    };
    let from = "2026-11-23T00:00:00Z".parse().unwrap();
    let with = |calendars: Vec<Calendar>| {
        let surroundings = Surroundings { calendars, room: None };
        render(&group, &surroundings, from, from + chrono::TimeDelta::days(2), None).unwrap()
    };
    let text = with(vec![calendar(json!({"excludedDates": [{"from": "2026-11-23"}]}))]);
    let troubles: Vec<&str> = text.lines().filter(|line| line.starts_with("! ")).collect();
    assert_eq!(
        troubles,
        [
            "! there is no Calendar bank any more: window w opens as if it had none; make it again, or take it off the list"
        ]
    );
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("08:00")).collect();
    assert_eq!(rows.len(), 2, "the dates of the Calendar that is left count: {text}");
    let without_any = with(Vec::new());
    assert!(
        without_any.contains("! there is no Calendar shops any more"),
        "{without_any}"
    );
    let message = two_days(&accepted(window(3, &["bank", "shops"])))
        .unwrap_err()
        .to_string();
    assert!(message.contains("there is no Calendar bank"), "{message}");
}

#[test]
fn a_sunday_on_which_clocks_change_is_shown_to_a_group_with_windows_from_monday_to_friday() {
    let group = group(json!([
        {"name": "berlin", "start": "0 8 * * MON-FRI", "until": "18:00", "timeZone": "Europe/Berlin", "minReplicas": 3},
        {"name": "sydney", "start": "0 8 * * MON-FRI", "until": "18:00", "timeZone": "Australia/Sydney", "minReplicas": 2},
    ]));
    let from = "2026-03-27T00:00:00Z".parse().unwrap();
    let days = chrono::TimeDelta::days(12);
    let text = render(&group, &Surroundings::default(), from, from + days, None).unwrap();
    for line in [
        "Sunday 29 March 2026   ! clocks go forward: this day has 23 h",
        "Sunday 05 April 2026   ! clocks go back: this day has 25 h in Australia/Sydney",
    ] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}\n{text}");
    }
    assert_eq!(text.matches("Sunday").count(), 2, "{text}");
}

#[test]
fn a_preview_that_ends_early_says_where() {
    let every_minute = group(json!([
        {"name": "w", "start": "*/2 * * * *", "duration": "1m", "minReplicas": 1, "leadTime": "0s"},
    ]));
    let from = "2026-01-01T00:00:00Z".parse().unwrap();
    let of_days = |days| {
        let to = from + chrono::TimeDelta::days(days);
        render(&every_minute, &Surroundings::default(), from, to, None).unwrap()
    };
    let ends = |text: &str| text.lines().find(|line| line.contains("it ends at")).map(str::to_owned);
    assert_eq!(ends(&of_days(30)), None);
    assert_eq!(
        ends(&of_days(366)).as_deref(),
        Some("! it ends at 2026-05-19 21:20, after 200000 edges: ask for fewer days")
    );
}
