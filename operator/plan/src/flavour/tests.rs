use super::*;
use crate::fixture::{cluster, group_of};

fn shape(kind: &str) -> ClusterShape {
    let fixture = if kind == "StarRocks" {
        cluster("demo").starrocks()
    } else {
        cluster("demo")
    };
    let observed = fixture.0;
    ClusterShape::new(&observed.cluster, &observed.cluster.spec, &observed.settings).unwrap()
}

#[test]
fn every_setting_of_fe_conf_is_one_that_starrocks_has() {
    let known: Vec<&str> = include_str!("../../fixtures/starrocks/frontend-config-keys.txt")
        .lines()
        .collect();
    let conf = &StarRocks.frontend_files(&shape("StarRocks"))["fe.conf"];
    let settings: Vec<&str> = conf
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(" = ").expect("every line is a setting").0)
        .collect();
    assert!(settings.len() > 10);
    for setting in settings {
        assert!(known.contains(&setting), "{setting} is no setting of StarRocks");
    }
}

#[test]
fn no_secret_stands_in_a_file() {
    let conf = &StarRocks.frontend_files(&shape("StarRocks"))["fe.conf"];
    assert!(conf.contains("aws_s3_access_key = ${S3_ACCESS_KEY}\n"), "{conf}");
    let pod = StarRocks.frontend_pod(&shape("StarRocks"), "demo-engine-1");
    let env = pod.engine.env.unwrap();
    let key = env.iter().find(|env| env.name == "S3_ACCESS_KEY").unwrap();
    let from = key.value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap();
    assert_eq!((from.name.as_str(), from.key.as_str()), ("s3", "access-key-id"));
}

#[test]
fn the_engines_configuration_is_read_by_the_engine() {
    let files = Bundled.frontend_files(&shape("Bundled"));
    let config: springtide_contract::config::EngineConfig = serde_json::from_str(&files["engine.json"]).unwrap();
    assert_eq!(config.cluster_name, "retail/demo");
    assert_eq!(config.cluster_id, "0b9b3ff6-5c52-4d0e-9d55-0a5f2f3e7c11");
    assert_eq!(config.frontend, springtide_contract::config::FrontendConfig::default());
}

#[test]
fn what_the_other_side_reads_rolls_nobody() {
    let mut cluster = shape("Bundled");
    let before = Bundled.frontend_files(&cluster);
    cluster
        .compute_config
        .insert("memoryLimitBytes".to_owned(), "1000000".to_owned());
    assert_eq!(Bundled.frontend_files(&cluster), before);
    cluster
        .frontend_config
        .insert("queryTimeoutS".to_owned(), "900".to_owned());
    assert_ne!(Bundled.frontend_files(&cluster), before);
}

#[test]
fn a_compute_node_holds_no_account() {
    for fixture in [
        group_of("etl", cluster("demo")),
        group_of("etl", cluster("demo").starrocks()),
    ] {
        let objects = crate::fixture::applied(&fixture.plan());
        let pod = objects["StatefulSet retail/etl-cn"]["spec"]["template"].to_string();
        for secret in ["demo-admin", "demo-operator"] {
            assert!(!pod.contains(secret), "{pod}");
        }
    }
}

#[test]
fn capabilities_and_order_of_upgrades() {
    insta::assert_yaml_snapshot!(
        "capabilities",
        [EngineKind::Bundled, EngineKind::StarRocks].map(|kind| {
            let flavour = flavour(kind);
            (kind, flavour.capabilities(), flavour.upgrade_order())
        })
    );
}

#[test]
fn the_tag_of_an_image_is_replaced() {
    assert_eq!(
        with_tag("springtide.dev/engine:0.1.0", "0.2.0"),
        "springtide.dev/engine:0.2.0"
    );
    assert_eq!(with_tag("registry:5000/engine", "1"), "registry:5000/engine:1");
    assert_eq!(with_tag("engine", "1"), "engine:1");
}

#[test]
fn roots_password_is_set_when_the_operators_account_is_whole() {
    let statements = StarRocks.make_accounts("demo-operator", "demo-admin");
    let secrets: Vec<Option<String>> = statements
        .iter()
        .map(|statement| statement.text().password_from)
        .collect();
    let of = |secret: &str| Some(secret.to_owned());
    assert_eq!(
        secrets,
        [of("demo-operator"), of("demo-operator"), None, None, of("demo-admin")]
    );
    let last = AdminStatement::SetOwnPassword {
        secret: "demo-admin".to_owned(),
    };
    assert_eq!(statements.last(), Some(&last));
    assert_eq!(Bundled.make_accounts("demo-operator", "demo-admin"), []);
}

/// A setting that is another one in disguise would point the cluster at another bucket.
#[test]
fn settings_of_starrocks_cannot_be_smuggled_in() {
    let check = |name: &str, value: &str| {
        let settings = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        StarRocks.check_config(&settings, &BTreeMap::new())
    };
    assert_eq!(check("enable_udf", "true"), Ok(()));
    for name in ["aws_s3_path", "run_mode", "query_port", "aws_s3_iam_role_arn"] {
        assert!(matches!(check(name, "x"), Err(ConfigError::Reserved { .. })), "{name}");
    }
    for (name, value) in [
        (" aws_s3_path", "x"),
        ("aws_s3_path x", "y"),
        ("run_mode:x", "y"),
        ("a=b", "c"),
        ("RUN_MODE", "x"),
        ("", "x"),
        ("enable_udf", "true\nrun_mode = x"),
        ("enable_udf", "true\\"),
    ] {
        assert!(
            matches!(check(name, value), Err(ConfigError::Malformed { .. })),
            "{name:?} {value:?}"
        );
    }
}

/// Whatever the operator writes into a file of StarRocks is refused when somebody else writes it.
#[test]
fn every_setting_that_is_written_is_reserved() {
    let cluster = crate::fixture::cluster("demo").starrocks().secrets();
    let objects = crate::fixture::applied(&cluster.plan());
    let group = crate::fixture::group_of("etl", cluster);
    let files = objects
        .values()
        .chain(&[])
        .cloned()
        .chain(crate::fixture::applied(&group.plan()).into_values());
    let mut written = 0;
    for file in files.filter_map(|object| object["data"].as_object().cloned()).flatten() {
        let (name, text) = file;
        for line in text
            .as_str()
            .unwrap_or_default()
            .lines()
            .filter(|_| name.ends_with(".conf"))
        {
            let Some((setting, _)) = line.split_once(" = ") else {
                continue;
            };
            let settings = BTreeMap::from([(setting.to_owned(), "x".to_owned())]);
            let refused = StarRocks.check_config(&settings, &BTreeMap::new());
            assert!(matches!(refused, Err(ConfigError::Reserved { .. })), "{setting}");
            written += 1;
        }
    }
    assert!(written > 15, "{written}");
}

fn map(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let settings = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.collect()
}

/// With others and without any, and back: what is not dynamic stays as it is, to the byte.
#[test]
fn dynamic_settings_are_put_into_files_and_taken_out_again() {
    for (kind, flavour, fixed, dynamic, file, shows) in [
        (
            "Bundled",
            &Bundled as &dyn Flavour,
            map(&[]),
            map(&[("queryTimeoutS", "60"), ("maxConnections", "50")]),
            "engine.json",
            "\"queryTimeoutS\": 60",
        ),
        (
            "StarRocks",
            &StarRocks as &dyn Flavour,
            map(&[("qe_max_connection", "100"), ("sys_log_level", "WARN")]),
            map(&[("qe_slow_log_ms", "1"), ("enable_print_sql", "true")]),
            "fe.conf",
            "qe_slow_log_ms = 1\n",
        ),
    ] {
        let of = |config: BTreeMap<String, String>| {
            let mut shape = shape(kind);
            shape.frontend_config = config;
            flavour.frontend_files(&shape)
        };
        let without = of(fixed.clone());
        let with = of(fixed.clone().into_iter().chain(dynamic.clone()).collect());
        assert_ne!(with, without);
        assert_eq!(flavour.with_dynamic(&with, &map(&[])), without);
        let put_in = flavour.with_dynamic(&without, &dynamic);
        assert!(put_in[file].contains(shows), "{}", put_in[file]);
        assert_eq!(flavour.with_dynamic(&put_in, &dynamic), put_in);
        assert_eq!(flavour.with_dynamic(&put_in, &map(&[])), without);
        let defaults = flavour.dynamic_settings();
        let defaults = defaults
            .into_iter()
            .map(|setting| (setting.name.to_owned(), setting.default));
        assert_eq!(flavour.check_config(&defaults.collect(), &map(&[])), Ok(()));
        // What is not dynamic is nothing that this puts in.
        assert_eq!(flavour.with_dynamic(&without, &map(&[("run_mode", "x")])), without);
    }
    let unread = map(&[("engine.json", "{"), ("other", "x")]);
    assert_eq!(Bundled.with_dynamic(&unread, &map(&[("queryTimeoutS", "60")])), unread);
}

#[test]
fn what_a_frontend_has_been_told_by_file_the_engine_reads() {
    let mut shape = shape("Bundled");
    shape.frontend_config = map(&[("queryTimeoutS", "60")]);
    let files = Bundled.with_dynamic(&Bundled.frontend_files(&shape), &map(&[("maxConnections", "77")]));
    let config: springtide_contract::config::EngineConfig = serde_json::from_str(&files["engine.json"]).unwrap();
    assert_eq!(
        (config.frontend.max_connections, config.frontend.query_timeout_s),
        (77, 300)
    );
}

/// With the type and the default that the recorded release shows.
#[test]
fn dynamic_settings_of_starrocks_are_mutable_there() {
    let recorded = include_str!("../../fixtures/starrocks/frontend-config-mutable.txt");
    let dynamic = StarRocks.dynamic_settings();
    assert!(dynamic.len() > 30);
    assert!(dynamic.is_sorted_by_key(|setting| setting.name));
    for setting in dynamic {
        let line = recorded
            .lines()
            .find(|line| line.split(' ').next() == Some(setting.name))
            .unwrap_or_else(|| panic!("{} is not mutable", setting.name));
        assert_eq!(line.splitn(3, ' ').nth(2), Some(setting.default.as_str()), "{line}");
        let wrong = match line.split(' ').nth(1) {
            Some("int" | "long") => "1.5",
            Some("double") => "much",
            Some("boolean") => "yes",
            other => panic!("{line}: {other:?}"),
        };
        let refused = StarRocks.check_config(&map(&[(setting.name, wrong)]), &map(&[]));
        assert!(matches!(refused, Err(ConfigError::NotAValue { .. })), "{line}");
    }
    let is_dynamic = |name: &str| StarRocks.dynamic_settings().iter().any(|setting| setting.name == name);
    assert!(!is_dynamic("qe_max_connection"), "frontends read it when they start");
}

#[test]
fn settings_that_do_harm_are_refused_with_the_harm() {
    let known = include_str!("../../fixtures/starrocks/frontend-config-keys.txt");
    for name in [
        "bdbje_reset_election_group",
        "start_with_incomplete_meta",
        "metadata_journal_skip_bad_journal_ids",
        "recover_with_empty_tablet",
        "enable_auth_check",
    ] {
        assert!(known.lines().any(|line| line == name), "{name}");
        let refused = StarRocks.check_config(&map(&[(name, "true")]), &map(&[])).unwrap_err();
        assert!(matches!(refused, ConfigError::Dangerous { .. }), "{refused}");
        assert!(
            refused
                .to_string()
                .starts_with(&format!("frontends.config: {name} is refused: ")),
            "{refused}"
        );
    }
    for name in [
        "priority_networks",
        "arrow_flight_port",
        "audit_log_dir",
        "webserver_port",
    ] {
        let refused = StarRocks.check_config(&map(&[]), &map(&[(name, "x")]));
        assert!(matches!(refused, Err(ConfigError::Reserved { .. })), "{name}");
    }
}

#[test]
fn what_is_mistyped_is_told_with_what_may_be_meant() {
    let told = |name: &str, value: &str| {
        let refused = Bundled.check_config(&map(&[(name, value)]), &map(&[]));
        refused.unwrap_err().to_string()
    };
    let mistyped = told("queryTimeout", "60");
    assert!(
        mistyped.starts_with("frontends.config: the engine has no setting \"queryTimeout\" (did you mean queryTimeoutS?); it has heartbeatIntervalMs, "),
        "{mistyped}"
    );
    let unknown = told("nosuch", "60");
    assert!(
        unknown.starts_with("frontends.config: the engine has no setting \"nosuch\"; it has "),
        "{unknown}"
    );
    assert_eq!(
        told("maxConnections", "0"),
        "frontends.config.maxConnections: \"0\" is no value of it; write a number of connections from 10 to 1000000"
    );
    assert!(told("queryTimeoutS", "soon").contains("is not a whole number of at least 0"));
    let compute = Bundled.check_config(&map(&[]), &map(&[("memoryLimit", "1")]));
    assert!(
        compute
            .unwrap_err()
            .to_string()
            .contains("(did you mean memoryLimitBytes?)")
    );
}
