use std::sync::Arc;

use super::{bytes_text, cluster::work, time_text};

#[test]
fn whoever_waits_for_a_node_or_cuts_it_off_is_told_of_each_load_and_statement() {
    let labels = |count: usize| -> Vec<String> { (0..count).map(|label| format!("orders_{label}")).collect() };
    let routes = |count: usize| -> Vec<Arc<str>> {
        (0..count)
            .map(|connection| format!("statement of connection {connection}").into())
            .collect()
    };
    let text = |fragments, loads, label_count, route_count| {
        work(fragments, loads, &labels(label_count), &routes(route_count)).join(", ")
    };
    assert_eq!(text(0, 0, 0, 0), "");
    assert_eq!(text(2, 1, 0, 1), "2 fragments, 1 load, statement of connection 0");
    // The node has not told of the second yet; or has told of one that the frontend does not know by name.
    assert_eq!(text(0, 1, 2, 0), "load orders_0, load orders_1");
    assert_eq!(
        text(1, 3, 2, 0),
        "1 fragment, load orders_0, load orders_1, 1 more load"
    );
    let many = text(0, 26, 26, 150);
    assert_eq!(many.split(", ").count(), 176, "{many}");
    assert!(text(0, 300, 300, 300).ends_with("statement of connection 199, 100 more statements"));
    assert!(text(0, 300, 300, 0).ends_with("load orders_199, 100 more loads"));
}

#[test]
fn figures_look_as_in_starrocks() {
    assert_eq!(bytes_text(0), "0B");
    assert_eq!(bytes_text(8 << 30), "8.000GB");
    assert_eq!(bytes_text(1536), "1.500KB");
    assert_eq!(time_text(None), None);
    assert_eq!(time_text(Some(0)), None);
    assert_eq!(time_text(Some(1_795_368_272_000)).unwrap(), "2026-11-22 17:24:32");
}
