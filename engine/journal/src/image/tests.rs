use super::*;

const CLUSTER: &str = "00000000-0000-0000-0000-000000000001";

#[test]
fn golden_header() {
    insta::assert_snapshot!(hex::encode(header(3, CLUSTER, b"state")), @"53505254494d414701000000030000000000000030303030303030302d303030302d303030302d303030302d3030303030303030303030310500000000000000662dc7b5");
}

#[test]
fn an_image_reads_back_and_every_flip_and_cut_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let writer = LocalImageWriter {
        directory: directory.path().to_owned(),
        cluster: CLUSTER.to_owned(),
    };
    writer.write(3, b"state").unwrap();
    let path = path(directory.path(), 3);
    assert_eq!(read(&path, 3, CLUSTER).unwrap(), b"state");
    let good = fs::read(&path).unwrap();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x20;
        fs::write(&path, &bad).unwrap();
        assert!(read(&path, 3, CLUSTER).is_err(), "byte {position}");
        fs::write(&path, &good[..position]).unwrap();
        assert!(read(&path, 3, CLUSTER).is_err(), "cut at {position}");
    }
}

#[test]
fn an_image_of_another_cluster_or_a_newer_engine_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = path(directory.path(), 3);
    fs::write(&path, header(3, "another", b"")).unwrap();
    assert!(matches!(
        read(&path, 3, CLUSTER),
        Err(JournalError::ForeignCluster { found, .. }) if found == "another"
    ));
    let mut newer = header(3, CLUSTER, b"");
    newer[8] = 2;
    fs::write(&path, newer).unwrap();
    assert!(matches!(
        read(&path, 3, CLUSTER),
        Err(JournalError::TooNew { found: 2, .. })
    ));
}
