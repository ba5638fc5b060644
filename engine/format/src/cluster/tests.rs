use super::*;

fn object() -> ClusterObject {
    ClusterObject {
        format_version: FORMAT_VERSION,
        cluster_id: ClusterId(Uuid::from_u128(1)),
        metadata_id: Uuid::from_u128(2),
        epoch: Epoch(1),
    }
}

#[test]
fn golden_bytes() {
    let text = r#"{"formatVersion":1,"clusterId":"00000000-0000-0000-0000-000000000001","metadataId":"00000000-0000-0000-0000-000000000002","epoch":1}"#;
    assert_eq!(String::from_utf8(object().to_bytes()).unwrap(), text);
    assert_eq!(ClusterObject::from_bytes(text.as_bytes()), Ok(object()));
}

#[test]
fn a_newer_version_is_refused_even_when_the_rest_has_changed() {
    let newer = ClusterObject::from_bytes(br#"{"formatVersion":2,"somethingElse":true}"#);
    assert_eq!(newer, Err(FormatError::TooNew { what: WHAT, found: 2 }));
    assert_eq!(
        newer.unwrap_err().to_string(),
        "the CLUSTER object was written by a newer engine (version 2; this one reads up to 1); run at least that engine version"
    );
}

#[test]
fn what_is_not_a_cluster_object_is_damaged() {
    for bytes in [&b""[..], b"{}", b"{\"formatVersion\":1}", b"\xff\x00"] {
        assert!(matches!(
            ClusterObject::from_bytes(bytes),
            Err(FormatError::Damaged { .. })
        ));
    }
}
