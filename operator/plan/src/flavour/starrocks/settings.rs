//! Settings of StarRocks by their names: those that are not for people to write, and those that a frontend takes while it runs.

/// Settings that follow from the API, and where they are written there.
pub(super) const RESERVED: &[(&str, &str)] = &[
    ("run_mode", "nothing: clusters are always shared-data"),
    ("cloud_native_storage_type", "storage"),
    ("aws_s3_path", "storage.bucket and storage.prefix"),
    ("aws_s3_region", "storage.region"),
    ("aws_s3_endpoint", "storage.endpoint"),
    ("aws_s3_access_key", "storage.credentials"),
    ("aws_s3_secret_key", "storage.credentials"),
    ("aws_s3_use_aws_sdk_default_behavior", "storage.credentials"),
    (
        "enable_load_volume_from_conf",
        "nothing: the storage volume always comes from storage",
    ),
    ("aws_s3_use_instance_profile", "storage.credentials"),
    ("aws_s3_iam_role_arn", "storage.credentials"),
    ("aws_s3_external_id", "storage.credentials"),
    ("cloud_native_meta_port", FIXED_PORT),
    ("http_port", FIXED_PORT),
    ("query_port", FIXED_PORT),
    ("rpc_port", FIXED_PORT),
    ("edit_log_port", FIXED_PORT),
    ("be_port", FIXED_PORT),
    ("be_http_port", FIXED_PORT),
    ("heartbeat_service_port", FIXED_PORT),
    ("brpc_port", FIXED_PORT),
    ("starlet_port", FIXED_PORT),
    ("meta_dir", "frontends.metadataVolume"),
    ("storage_root_path", "cacheSize of the ComputeGroup"),
    ("mem_limit", "resources of the ComputeGroup"),
    ("loop_count_wait_fragments_finish", "drain.timeout of the ComputeGroup"),
    (
        "graceful_exit_wait_for_frontend_heartbeat",
        "drain.timeout of the ComputeGroup",
    ),
    ("datacache_enable", "cacheSize of the ComputeGroup"),
    ("priority_networks", POD_ADDRESS),
    ("frontend_address", POD_ADDRESS),
    (
        "edit_log_type",
        "nothing: frontends replicate their metadata among themselves",
    ),
    ("cloud_native_hdfs_url", OTHER_STORE),
    ("azure_blob_path", OTHER_STORE),
    ("azure_adls2_path", OTHER_STORE),
    ("gcp_gcs_path", OTHER_STORE),
    ("arrow_flight_port", FIXED_PORT),
    // An alias of be_http_port.
    ("webserver_port", FIXED_PORT),
    ("sys_log_dir", LOG_VOLUME),
    ("audit_log_dir", LOG_VOLUME),
    ("dump_log_dir", LOG_VOLUME),
    ("internal_log_dir", LOG_VOLUME),
    ("big_query_log_dir", LOG_VOLUME),
    ("profile_log_dir", LOG_VOLUME),
    ("feature_log_dir", LOG_VOLUME),
    (
        "custom_config_dir",
        "nothing: the files of a pod are those of its ConfigMap",
    ),
];
const FIXED_PORT: &str = "nothing: probes, Services and network policies know the ports";
const POD_ADDRESS: &str = "nothing: pods are known by their host names, whatever their addresses";
const OTHER_STORE: &str = "storage, which is S3";
const LOG_VOLUME: &str = "nothing: logs go to the pod's output and to a volume of their own";

/// Settings for one start by hand, to save what is left of a cluster. In a file they would count again at every start. And what opens a
/// cluster to everybody.
pub(super) const DANGEROUS: &[(&str, &str)] = &[
    ("bdbje_reset_election_group", FORGETS_FRONTENDS),
    ("start_with_incomplete_meta", LOSES_METADATA),
    ("metadata_enable_recovery_mode", LOSES_METADATA),
    ("metadata_journal_ignore_replay_failure", LOSES_METADATA),
    ("metadata_journal_skip_bad_journal_ids", LOSES_METADATA),
    ("metadata_ignore_unknown_operation_type", LOSES_METADATA),
    ("metadata_ignore_unknown_subtype", LOSES_METADATA),
    // An older name of metadata_ignore_unknown_operation_type.
    ("ignore_unknown_log_id", LOSES_METADATA),
    (
        "ignore_meta_check",
        "a frontend that is far behind the leader would answer with old data",
    ),
    (
        "recover_with_empty_tablet",
        "rows that cannot be read would be missing, and nobody would be told",
    ),
    (
        "meta_sync_force_delete_shard_meta",
        "data on S3 that metadata still names could be deleted",
    ),
    ("enable_auth_check", "everybody could log in as anybody"),
];
const FORGETS_FRONTENDS: &str = "each start would make a cluster of one frontend, and forget what the others have";
const LOSES_METADATA: &str =
    "what a frontend cannot read of its metadata would be lost at each start, and nobody would be told";

/// What a dynamic setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Number,
    Switch,
}

/// A setting that a frontend takes while it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dynamic {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
}

impl Dynamic {
    const fn new(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Self { name, kind, default }
    }

    /// Whether the engine reads the value as one of this kind. It reads every text but `true` as `false`, which nobody means.
    pub(super) fn takes(&self, value: &str) -> bool {
        match self.kind {
            Kind::Whole => value.parse::<i64>().is_ok(),
            Kind::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
            Kind::Switch => matches!(value, "true" | "false"),
        }
    }

    /// What makes sense.
    pub(super) fn expected(&self) -> &'static str {
        match self.kind {
            Kind::Whole => "a whole number",
            Kind::Number => "a number",
            Kind::Switch => "true or false",
        }
    }
}

/// Of those that the engine shows as mutable the ones that people set, with the defaults of the release that was recorded. For a setting
/// that is not here the frontends are rolled.
pub(super) const DYNAMIC: &[Dynamic] = &[
    Dynamic::new("broker_load_default_timeout_second", Kind::Whole, "14400"),
    Dynamic::new("catalog_trash_expire_second", Kind::Whole, "86400"),
    Dynamic::new("enable_collect_query_detail_info", Kind::Switch, "false"),
    Dynamic::new("enable_print_sql", Kind::Switch, "false"),
    Dynamic::new("enable_sql_blacklist", Kind::Switch, "false"),
    Dynamic::new("enable_statistic_collect", Kind::Switch, "true"),
    Dynamic::new("expr_children_limit", Kind::Whole, "10000"),
    Dynamic::new("heartbeat_retry_times", Kind::Whole, "3"),
    Dynamic::new("heartbeat_timeout_second", Kind::Whole, "5"),
    Dynamic::new("insert_load_default_timeout_second", Kind::Whole, "3600"),
    Dynamic::new("label_keep_max_num", Kind::Whole, "1000"),
    Dynamic::new("label_keep_max_second", Kind::Whole, "259200"),
    Dynamic::new("lake_autovacuum_grace_period_minutes", Kind::Whole, "30"),
    Dynamic::new("lake_autovacuum_partition_naptime_seconds", Kind::Whole, "180"),
    Dynamic::new("lake_compaction_max_tasks", Kind::Whole, "-1"),
    Dynamic::new("lake_compaction_score_selector_min_score", Kind::Number, "10.0"),
    Dynamic::new("lake_enable_ingest_slowdown", Kind::Switch, "true"),
    Dynamic::new("lake_ingest_slowdown_threshold", Kind::Whole, "100"),
    Dynamic::new("max_allowed_in_element_num_of_delete", Kind::Whole, "10000"),
    Dynamic::new("max_create_table_timeout_second", Kind::Whole, "600"),
    Dynamic::new("max_load_timeout_second", Kind::Whole, "259200"),
    Dynamic::new("max_partitions_in_one_batch", Kind::Whole, "4096"),
    Dynamic::new("max_query_retry_time", Kind::Whole, "2"),
    Dynamic::new("max_routine_load_task_concurrent_num", Kind::Whole, "5"),
    Dynamic::new("max_running_txn_num_per_db", Kind::Whole, "1000"),
    Dynamic::new("max_stream_load_timeout_second", Kind::Whole, "259200"),
    Dynamic::new("min_load_timeout_second", Kind::Whole, "1"),
    Dynamic::new("qe_slow_log_ms", Kind::Whole, "5000"),
    Dynamic::new("routine_load_task_consume_second", Kind::Whole, "15"),
    Dynamic::new("routine_load_task_timeout_second", Kind::Whole, "60"),
    Dynamic::new("statistic_auto_collect_ratio", Kind::Number, "0.8"),
    Dynamic::new("statistic_collect_interval_sec", Kind::Whole, "600"),
    Dynamic::new("stream_load_default_timeout_second", Kind::Whole, "600"),
    Dynamic::new("tablet_create_timeout_second", Kind::Whole, "10"),
    Dynamic::new("task_runs_concurrency", Kind::Whole, "4"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../../docs/configuration.md");

    fn section(heading: &str) -> &'static str {
        let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the section");
        section.split("\n## ").next().unwrap_or_default()
    }

    #[test]
    fn the_page_has_the_dynamic_settings_with_their_defaults() {
        let found: Vec<(String, String)> = section("Frontends of StarRocks")
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .map(|row| {
                let (name, rest) = row.split_once('`').expect("a name");
                let default = rest.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
                (name.to_owned(), default.to_owned())
            })
            .collect();
        let expected = DYNAMIC
            .iter()
            .map(|setting| (setting.name.to_owned(), setting.default.to_owned()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn the_page_has_what_is_refused_and_why() {
        let section = section("What is refused for StarRocks");
        for (name, says) in RESERVED.iter().chain(DANGEROUS) {
            let row = section.lines().find(|line| line.contains(&format!("`{name}`")));
            assert!(
                row.is_some_and(|row| row.ends_with(&format!("| {says} |"))),
                "{name}: {row:?}"
            );
        }
        let names = section.matches('`').count() / 2;
        assert_eq!(names, RESERVED.len() + DANGEROUS.len(), "and nothing else");
    }
}
