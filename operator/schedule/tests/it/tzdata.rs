//! Time zones come with the program: an image without the system's database of zones, or with a wrong one, changes no answer.
//!
//! What must not be there is kept away from a process of its own, which has read nothing before, and the kernel counts what that
//! process reads.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use springtide_schedule::{Window, WindowSpec, evaluate};

const CHILD: &str = "tzdata::answers_of_a_process_without_a_database_of_zones";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// From eight to nine, local time.
fn morning(time_zone: &str) -> [Window; 1] {
    let spec = WindowSpec {
        name: "morning".into(),
        start: "0 8 * * *".into(),
        duration: Some(Duration::from_secs(3600)),
        time_zone: time_zone.into(),
        min_replicas: Some(10),
        ..WindowSpec::default()
    };
    [Window::parse(&spec).unwrap_or_else(|error| panic!("{time_zone}: {error}"))]
}

/// Calls of this thread that read from a file, by the kernel's count.
fn reads() -> u64 {
    let counters = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let count = counters.lines().find_map(|line| line.strip_prefix("syscr: "));
    count.expect("the kernel counts what a thread reads").parse().unwrap()
}

/// Calls that read from a file within `work`, and its answer.
fn reads_of<Answer>(work: impl FnOnce() -> Answer) -> (u64, Answer) {
    // Looking costs some itself.
    let (first, second) = (reads(), reads());
    let cost = second - first;
    let before = reads();
    let answer = work();
    (reads() - before - cost, answer)
}

#[test]
fn keda_932_a_slim_image_without_tzdata_knew_no_zones() {
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-zones");
    std::fs::create_dir_all(&empty).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--test-threads=1"])
        .env_clear()
        .env("TZDIR", &empty)
        .env("TZ", "Europe/Atlantis")
        .current_dir(&empty)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Runs in a process of its own, too, started by the test above.
#[test]
fn answers_of_a_process_without_a_database_of_zones() {
    let (reads, floors) = reads_of(|| {
        let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| morning(zone.name()));
        let around_the_year = [at("2026-01-09T07:30:00Z"), at("2026-07-09T06:30:00Z")];
        let open = |window: &[Window; 1]| around_the_year.map(|now| evaluate(window, now).floor.is_some());
        let all: usize = zones.filter(|window| open(window) != [false, false]).count();
        let floors = ["Europe/Prague", "UTC", "America/New_York"].map(|zone| open(&morning(zone)));
        (all, floors)
    });
    assert_eq!(floors.1, [[true, true], [false, false], [false, false]]);
    assert!(floors.0 > 30, "half past eight in all of Central Europe");
    assert_eq!(reads, 0, "something was read from a file");
}

#[test]
fn a_file_that_is_read_is_counted() {
    let (reads, _) = reads_of(|| std::fs::read("/proc/self/cmdline").unwrap());
    assert!(reads > 0);
    assert_eq!(reads_of(|| ()).0, 0);
}
