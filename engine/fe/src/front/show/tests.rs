use super::{bytes_text, time_text};

#[test]
fn figures_look_as_in_starrocks() {
    assert_eq!(bytes_text(0), "0B");
    assert_eq!(bytes_text(8 << 30), "8.000GB");
    assert_eq!(bytes_text(1536), "1.500KB");
    assert_eq!(time_text(None), None);
    assert_eq!(time_text(Some(0)), None);
    assert_eq!(time_text(Some(1_795_368_272_000)).unwrap(), "2026-11-22 17:24:32");
}
