use super::*;

#[test]
fn a_quantile_is_one_of_the_values() {
    let values = [4.0, 1.0, 3.0, 2.0];
    assert_eq!(quantile(&values, 0.5), 2.0);
    assert_eq!(quantile(&values, 0.95), 4.0);
    assert_eq!(quantile(&values, 0.0), 1.0);
    assert_eq!(quantile(&[], 0.5), 0.0);
    assert_eq!(median(&[5.0, 7.0, 6.0]), 6.0);
}

#[test]
fn figures_are_one_line_of_json() {
    let figures = Figures {
        bench: "query",
        commit: "abc".into(),
        cores: 2,
        metrics: [("tpch_sf1_vs_duckdb", rounded(1.234))].into(),
    };
    assert_eq!(
        serde_json::to_string(&figures).unwrap(),
        r#"{"bench":"query","commit":"abc","cores":2,"metrics":{"tpch_sf1_vs_duckdb":1.23}}"#
    );
}
