use super::*;

fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
    Settings::try_parse_from(std::iter::once("springtide-operator").chain(arguments.iter().copied()))
}

#[test]
fn no_flags_mean_the_whole_cluster() {
    let settings = parse(&[]).unwrap();
    assert!(settings.is_cluster_wide());
    assert_eq!(settings.lease_duration(), Duration::from_secs(15));
}

#[test]
fn an_empty_list_of_namespaces_is_all_namespaces() {
    assert!(parse(&["--watch-namespaces", ""]).unwrap().is_cluster_wide());
    let some = parse(&["--watch-namespaces", "retail, finance,retail,"]).unwrap();
    assert_eq!(some.namespaces(), ["finance", "retail"]);
    assert!(!some.is_cluster_wide());
}

#[test]
fn a_lease_that_would_expire_between_two_renewals_is_refused() {
    let message = parse(&["--lease-seconds", "1"]).unwrap_err().to_string();
    assert!(message.contains("--lease-seconds"), "{message}");
}
