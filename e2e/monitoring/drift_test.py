"""What drift.py finds, each on a text of a few lines."""

import unittest

import drift

OPERATOR = """
use prometheus_client::registry::Registry;
struct Metrics { leader: Gauge, reconciles: Family<Labels, Counter>, seconds: Family<Labels, Histogram> }
let mut registry = Registry::with_prefix("springtide");
registry.register("operator_leader", "1 while it leads", leader.clone());
registry.register(
    "reconciles",
    "Reconciles",
    reconciles.clone(),
);
registry.register("reconcile_seconds", "Time", seconds.clone());
"""

FRONTEND = """
use prometheus_client::metrics::gauge::Gauge;
    let levels = [
        ("table_num", "Tables", 1),
        (
            "txn_running",
            "Loads",
            2,
        ),
    ];
    let fe = registry.sub_registry_with_prefix("starrocks_fe");
    fe.register(name, help, gauge);
    fe.register("max_journal_id", "Last", journal);
    registry.register("springtide_fe_waiting", "Wait", waiting);
"""

PAGE = "# Late\n" + "".join(f"\n## {section}\n\ntext\n" for section in drift.SECTIONS)


class Drift(unittest.TestCase):
    def test_metrics_are_read_with_prefix_type_and_suffix(self):
        expected = {
            "springtide_operator_leader": "gauge",
            "springtide_reconciles_total": "counter",
            "springtide_reconcile_seconds": "histogram",
        }
        self.assertEqual(drift.metrics_of(OPERATOR), expected)

    def test_metrics_that_are_made_from_a_list_are_read(self):
        names = ["springtide_fe_waiting", "starrocks_fe_max_journal_id", "starrocks_fe_table_num", "starrocks_fe_txn_running"]
        self.assertEqual(sorted(drift.metrics_of(FRONTEND)), names)

    def test_a_metric_that_is_registered_in_a_way_that_is_not_understood_is_no_silence(self):
        with self.assertRaises(SystemExit):
            drift.metrics_of(OPERATOR + 'registry.register("more", concat!("a", "b"), more.clone());')

    def test_the_documentation_has_types_and_a_section_of_others(self):
        text = "## Operator\n| `a_total` | counter | | | Is. |\n## Of others\n| `up` | gauge | | | Is. |\n"
        self.assertEqual(drift.documented(text), ({"a_total": "counter"}, {"up"}))

    def test_the_parts_of_a_histogram_are_asked_for_as_one(self):
        text = "rate(springtide_reconcile_seconds_bucket[5m]) / springtide_errors_count"
        asked = drift.asked_for(text, {"springtide_reconcile_seconds"})
        self.assertEqual(asked, {"springtide_reconcile_seconds", "springtide_errors_count"})

    def test_a_page_has_its_name_and_all_its_sections(self):
        self.assertEqual(drift.page_faults("Late", PAGE), [])
        self.assertEqual(len(drift.page_faults("Later", PAGE)), 1)
        self.assertEqual(len(drift.page_faults("Late", PAGE.replace("## What to do", "## To do"))), 1)

    def test_what_is_in_one_and_not_in_the_other_is_named(self):
        self.assertEqual(drift.differences("missing", ["a", "b"], ["b"]), ["a: missing"])


if __name__ == "__main__":
    unittest.main()
