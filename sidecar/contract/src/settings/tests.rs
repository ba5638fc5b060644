use serde_json::{Value, json};

use super::*;
use crate::config::ComputeConfig;

/// The page with all settings.
const PAGE: &str = include_str!("../../../../docs/configuration.md");

#[test]
fn every_field_is_a_setting_and_the_other_way_round() {
    let fields = serde_json::to_value(FrontendConfig::default()).unwrap();
    let fields: Vec<&String> = fields.as_object().unwrap().keys().collect();
    let mut names: Vec<&str> = FRONTEND_SETTINGS.iter().map(|setting| setting.name).collect();
    assert!(names.is_sorted());
    names.sort_unstable();
    let mut fields: Vec<&str> = fields.into_iter().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, names);
}

/// A setting that reads one field and writes another would be a disaster that nobody sees.
#[test]
fn a_setting_reads_and_writes_the_field_of_its_name() {
    for setting in FRONTEND_SETTINGS {
        let mut config = FrontendConfig::default();
        let another = setting.default_value() + 1;
        config.change(setting.sql_name, &another.to_string()).unwrap();
        assert_eq!(setting.of(&config), another);
        let mut expected = serde_json::to_value(FrontendConfig::default()).unwrap();
        expected[setting.name] = json!(another);
        assert_eq!(serde_json::to_value(&config).unwrap(), expected, "{}", setting.name);
        assert!(setting.check(&setting.default_value().to_string()).is_ok());
    }
}

#[test]
fn both_spellings_are_one_name() {
    let snake = |name: &str| {
        name.chars().fold(String::new(), |text, letter| match letter {
            'A'..='Z' => format!("{text}_{}", letter.to_ascii_lowercase()),
            letter => format!("{text}{letter}"),
        })
    };
    for setting in FRONTEND_SETTINGS {
        assert_eq!(setting.sql_name, snake(setting.name));
        for name in [setting.name, setting.sql_name, &setting.name.to_lowercase()] {
            assert_eq!(FrontendSetting::find(name).map(|found| found.name), Some(setting.name));
        }
    }
    assert!(FrontendSetting::find("query_timeout").is_none());
}

#[test]
fn what_cannot_be_set_is_refused_with_what_can_and_nothing_changes() {
    let refused = |name: &str, value: &str| {
        let mut config = FrontendConfig::default();
        let refused = config.change(name, value).unwrap_err().to_string();
        assert_eq!(config, FrontendConfig::default());
        refused
    };
    let unknown = refused("run_mode", "shared_nothing");
    assert!(
        unknown.starts_with("Config 'run_mode' does not exist or is not mutable; those that can be set are "),
        "{unknown}"
    );
    assert!(unknown.contains("maxConnections, queryTimeoutS"), "{unknown}");
    for (name, value) in [
        ("queryTimeoutS", "soon"),
        ("queryTimeoutS", "-1"),
        ("queryTimeoutS", ""),
        ("max_connections", "9"),
        ("max_connections", "5000000000"),
        ("resultHoldBytes", "1073741825"),
        ("heartbeat_interval_ms", "0"),
    ] {
        let told = refused(name, value);
        assert!(told.contains("is not a whole number of"), "{told}");
        assert!(told.contains(&format!("{value:?}")), "{told}");
    }
}

/// Rows of the table of `docs/configuration.md` that begins with this heading: the cells of each.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

#[test]
fn the_page_has_every_setting_of_frontends_as_it_is() {
    let expected: Vec<Vec<String>> = FRONTEND_SETTINGS
        .iter()
        .map(|setting| {
            let bounds = match setting.most {
                MOST => format!("{} or more", setting.least),
                most => format!("{} to {most}", setting.least),
            };
            vec![
                format!("`{}`", setting.name),
                setting.unit.to_owned(),
                setting.default_value().to_string(),
                bounds,
                if setting.is_dynamic { "yes" } else { "no" }.to_owned(),
                setting.meaning.to_owned(),
            ]
        })
        .collect();
    assert_eq!(rows("Frontends of the bundled engine"), expected);
}

#[test]
fn the_page_has_every_setting_of_compute_nodes_with_its_default() {
    let Value::Object(fields) = serde_json::to_value(ComputeConfig::default()).unwrap() else {
        unreachable!("a struct is an object")
    };
    let mut expected: Vec<(String, String)> = fields
        .iter()
        .map(|(name, default)| (format!("`{name}`"), default.to_string()))
        .collect();
    expected.sort();
    let found: Vec<(String, String)> = rows("Compute nodes of the bundled engine")
        .into_iter()
        .map(|cells| (cells[0].clone(), cells[2].clone()))
        .collect();
    assert_eq!(found, expected);
}
