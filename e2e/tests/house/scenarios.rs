//! Scenarios of the whole cluster are told in their language (`tests/it/scenario.rs`), and wait for conditions and never for a time.

use std::path::{Path, PathBuf};

/// How a test begins.
const BEGINNING: &str = "let scenario = Scenario::begin(";
/// What waits for a time, as it is called.
const SLEEPS: &[&str] = &["sleep(", "sleep_until(", "sleep_ms(", "interval(", "interval_at("];

/// Files in which a sleep is no wait: programs of a department, which have a pace of their own, and the shell's command.
const PACED: &[&str] = &["programs.rs", "page.rs"];

/// What is wrong with a file of scenarios, a line each.
fn wrong_with(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.trim_start();
        if !code.starts_with("//") && SLEEPS.iter().any(|sleep| code.contains(sleep)) {
            wrong.push(format!(
                "line {number} waits for a time: wait for a condition, by `then`"
            ));
        }
    }
    let tests = text.split("#[tokio::test").skip(1);
    for test in tests {
        let signature = test.split_once('{').map_or(test, |(signature, _)| signature);
        let body = test.split_once('{').map_or("", |(_, body)| body);
        let words: Vec<&str> = body.split_whitespace().take(8).collect();
        if !words.join(" ").starts_with(BEGINNING) {
            let name = signature.split_once("fn ").map_or(signature, |(_, name)| name);
            let name = name.split('(').next().unwrap_or(name);
            wrong.push(format!("{name} does not begin with `{BEGINNING}...`"));
        }
    }
    wrong
}

/// The sources of the scenarios, those of sub-folders, too.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the scenarios") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_scenario_is_told_in_the_language_and_none_waits_for_a_time() {
    let sources = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")));
    let (mut wrong, mut tests) = (Vec::new(), 0);
    for source in &sources {
        let text = std::fs::read_to_string(source).expect("a text");
        tests += text.matches("#[tokio::test").count();
        let is_paced = PACED.iter().any(|paced| source.ends_with(paced));
        let found = wrong_with(&text)
            .into_iter()
            .filter(|what| !is_paced || !what.contains("waits for a time"));
        wrong.extend(found.map(|what| format!("{}: {what}", source.display())));
    }
    assert!(
        tests > 30,
        "only {tests} scenarios were found in {} files",
        sources.len()
    );
    assert!(wrong.is_empty(), "see e2e/README.md:\n  {}", wrong.join("\n  "));
}

#[test]
fn a_sleep_and_a_test_that_tells_nothing_are_found() {
    let told = "#[tokio::test]\nasync fn a() {\n    let scenario = Scenario::begin(\"it sleeps\");\n    // Never sleep(1).\n}\n";
    assert_eq!(wrong_with(told), [""; 0]);
    let untold = "#[tokio::test(flavor = \"multi_thread\")]\nasync fn b()\n{\n    shared().await;\n}\n";
    assert_eq!(
        wrong_with(untold),
        ["b does not begin with `let scenario = Scenario::begin(...`"]
    );
    let asleep = "async fn c() {\n    tokio::time::sleep(PAUSE).await;\n}\n";
    assert_eq!(
        wrong_with(asleep),
        ["line 2 waits for a time: wait for a condition, by `then`"]
    );
}
