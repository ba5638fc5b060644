use super::*;

fn check(kind: Kind, expected: &str) {
    let bytes = Node { kind: Some(kind) }.encode_to_vec();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

/// Version 1. Bytes that change are a new version.
#[test]
fn golden_bytes_of_our_nodes() {
    let segment = SegmentNode {
        object: "a".to_owned(),
        offset: 2,
        length: 300,
    };
    check(
        Kind::Scan(ScanNode {
            inner: vec![0xff],
            name: "t".to_owned(),
            segments: vec![segment],
            external: None,
        }),
        "0a100a01ff1201741a080a0161100218ac02",
    );
    check(
        Kind::Scan(ScanNode {
            inner: Vec::new(),
            name: "f".to_owned(),
            segments: Vec::new(),
            external: Some(b"{}".to_vec()),
        }),
        "0a0712016622027b7d",
    );
    check(Kind::Sink(SinkNode { target: b"{}".to_vec() }), "12040a027b7d");
    check(Kind::Turn(TurnNode { most_rows: Some(1024) }), "1a03088008");
    check(Kind::Turn(TurnNode { most_rows: None }), "1a00");
}

#[test]
fn a_node_of_a_kind_that_is_not_known_is_no_panic() {
    // A fourth kind, and a field that nobody knows in one that is known.
    assert_eq!(Node::decode(&b"\x22\x00"[..]).unwrap().kind, None);
    let turn = Node::decode(&b"\x1a\x05\x08\x80\x08\x10\x01"[..]).unwrap();
    assert_eq!(turn.kind, Some(Kind::Turn(TurnNode { most_rows: Some(1024) })));
}

/// Their messages are most of a plan, and promise nothing from one version to the next.
#[test]
fn a_new_version_of_datafusion_is_a_question_about_the_version_of_plans() {
    let lock = include_str!("../../../../Cargo.lock");
    for (name, version) in [("datafusion-proto", "55.2.0"), ("datafusion-distributed", "4.0.0")] {
        assert!(
            lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
            "{name} is not {version} any more. Where its messages are not the same, PLAN_VERSION is {} from now on; write its new \
             version here then, or at once",
            PLAN_VERSION + 1
        );
    }
}
