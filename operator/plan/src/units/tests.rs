use super::*;

#[test]
fn cpu_is_read_in_thousandths() {
    for (text, milli) in [
        ("500m", 500),
        ("2", 2000),
        ("0.25", 250),
        ("1.5", 1500),
        ("1n", 1),
        ("2k", 2_000_000),
        ("1e3", 1_000_000),
        (".5", 500),
        ("2.", 2000),
        ("+2", 2000),
        ("5e-1", 500),
        ("1E-3", 1),
    ] {
        assert_eq!(cpu_milli(&Quantity::new(text)), Ok(milli), "{text}");
    }
}

#[test]
fn memory_is_read_in_bytes() {
    for (text, expected) in [
        ("1Ki", 1024),
        ("4Gi", 4 << 30),
        ("1.5Gi", 3 << 29),
        ("100M", 100_000_000),
        ("128", 128),
        ("1Ei", 1 << 60),
        ("1E", 1_000_000_000_000_000_000),
    ] {
        assert_eq!(bytes(&Quantity::new(text)), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_amount_is_an_error() {
    for text in [
        "",
        "m",
        "-1",
        "1 Gi",
        "1GiB",
        ".",
        "+",
        "1e",
        "99999999999999999999Pi",
        "1e99",
    ] {
        assert!(amount_milli(text).is_err(), "{text}");
    }
}

#[test]
fn the_same_amount_has_many_texts() {
    assert!(same_amount("1024Mi", "1Gi"));
    assert!(same_amount("0.5", "500m"));
    assert!(!same_amount("1G", "1Gi"));
    assert!(!same_amount("x", "x"));
}

#[test]
fn spans_of_time_are_read() {
    for (text, seconds) in [
        ("90s", 90),
        ("10m", 600),
        ("8h30m", 30_600),
        ("1h1m1s", 3661),
        ("0s", 0),
    ] {
        assert_eq!(
            duration(&Duration::new(text)),
            Ok(StdDuration::from_secs(seconds)),
            "{text}"
        );
    }
    for text in ["", "10", "m", "1s1m", "1d", "-1s", "1.5h", "999999999h"] {
        assert!(duration(&Duration::new(text)).is_err(), "{text}");
    }
}
