use super::*;

#[test]
fn ordinals_are_numbers() {
    assert_eq!(ordinal("etl-cn-14", "etl-cn"), Some(14));
    assert_eq!(ordinal("etl-cn-0", "etl-cn"), Some(0));
    for pod in [
        "etl-cn",
        "etl-cn-",
        "etl-cn-01",
        "etl-cn--1",
        "etl-cn-x",
        "etl-cn-1-2",
        "xetl-cn-1",
        "etl-cn-99999999999",
    ] {
        assert_eq!(ordinal(pod, "etl-cn"), None, "{pod}");
    }
}

#[test]
fn hosts_are_the_same_with_and_without_the_domain_of_the_cluster() {
    let host = pod_host("etl-cn-1", "etl-cn", "retail");
    assert_eq!(host, "etl-cn-1.etl-cn.retail.svc");
    assert!(same_host(&host, &host));
    assert!(same_host(&host, "etl-cn-1.etl-cn.retail.svc.cluster.local"));
    assert!(same_host("ETL-CN-1.etl-cn.retail.svc.cluster.local", &host));
    assert!(!same_host(&host, "etl-cn-1.etl-cn.retail2.svc"));
    assert!(!same_host(&host, "etl-cn-10.etl-cn.retail.svc"));
    assert!(!same_host("etl-cn-1.etl-cn", &host));
}

#[test]
fn owners_are_label_values() {
    assert_eq!(owner("LakeCluster", "demo"), "lakecluster.demo");
    assert_eq!(owner("Department", &"d".repeat(50)).len(), 61);
}
