use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::{Arguments, Task, parse_timeout};

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn defaults_are_those_of_a_compute_node_pod() {
    let arguments = Arguments::parse_from(["springtide-sidecar", "drain"]);
    let Task::Drain(drain) = arguments.task;
    assert_eq!(drain.listen.to_string(), "0.0.0.0:9180");
    assert_eq!(drain.engine_url, "http://127.0.0.1:9050");
    assert_eq!(drain.timeout, Duration::from_secs(600));
    assert_eq!(drain.token_file.to_string_lossy(), "/etc/springtide/internal/token");
}

#[test]
fn timeouts_have_units() {
    for (text, seconds) in [("600", 600), ("45s", 45), ("10m", 600), ("1h", 3600), ("24h", 86_400)] {
        assert_eq!(parse_timeout(text), Ok(Duration::from_secs(seconds)));
    }
    for wrong in [
        "",
        "s",
        "0",
        "-1",
        "1.5h",
        "10 m",
        "25h",
        "1d",
        "99999999999999999999h",
        "５s",
    ] {
        assert!(parse_timeout(wrong).is_err(), "{wrong}");
    }
}
