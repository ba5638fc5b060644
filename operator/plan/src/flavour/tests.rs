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
