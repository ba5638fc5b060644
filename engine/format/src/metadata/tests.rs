use proptest::prelude::*;
use springtide_model::{Epoch, KeyRange, Literal, PartitionId, Segment, TabletId, TabletMetadata, Version};

use super::*;

fn metadata() -> PartitionMetadata {
    PartitionMetadata {
        partition: PartitionId(12),
        version: Version(2),
        epoch: Epoch(1),
        tablets: vec![TabletMetadata {
            tablet: TabletId(13),
            segments: Vec::new(),
        }],
    }
}

#[test]
fn golden_bytes() {
    let bytes = encode_partition_metadata(&metadata()).unwrap();
    let (header, payload) = bytes.split_at(HEADER_BYTES);
    insta::assert_snapshot!(hex::encode(header), @"535052544d455441010000004e00000064c61b39");
    insta::assert_snapshot!(String::from_utf8_lossy(payload), @r#"{"partition":12,"version":2,"epoch":1,"tablets":[{"tablet":13,"segments":[]}]}"#);
    assert_eq!(decode_partition_metadata(&bytes).unwrap(), metadata());
}

#[test]
fn golden_bytes_of_tablets_with_segments() {
    let mut metadata = metadata();
    metadata.tablets[0].segments.push(Segment {
        object: "data/7/12/x.seg".to_owned(),
        offset: 4096,
        length: 100,
        rows: 3,
        uncompressed_bytes: 240,
        key_range: Some(KeyRange {
            min: Literal::Text("a".to_owned()),
            max: Literal::Text("z".to_owned()),
        }),
        schema_id: 2,
        epoch: Epoch(1),
    });
    metadata.tablets.push(TabletMetadata {
        tablet: TabletId(14),
        segments: Vec::new(),
    });
    let bytes = encode_partition_metadata(&metadata).unwrap();
    let (header, payload) = bytes.split_at(HEADER_BYTES);
    assert_eq!(hex::encode(header), "535052544d455441010000000f0100008efb715e");
    assert_eq!(
        std::str::from_utf8(payload).unwrap(),
        r#"{"partition":12,"version":2,"epoch":1,"tablets":[{"tablet":13,"segments":[{"object":"data/7/12/x.seg","offset":4096,"length":100,"rows":3,"uncompressed_bytes":240,"key_range":{"min":{"text":"a"},"max":{"text":"z"}},"schema_id":2,"epoch":1}]},{"tablet":14,"segments":[]}]}"#
    );
    assert_eq!(decode_partition_metadata(&bytes).unwrap(), metadata);
}

#[test]
fn a_newer_version_is_refused() {
    let mut bytes = encode_partition_metadata(&metadata()).unwrap().to_vec();
    bytes[8] = 2;
    assert_eq!(
        decode_partition_metadata(&bytes),
        Err(FormatError::TooNew { what: WHAT, found: 2 })
    );
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let good = encode_partition_metadata(&metadata()).unwrap();
    for position in 0..good.len() {
        let mut bad = good.to_vec();
        bad[position] ^= 0x41;
        assert!(decode_partition_metadata(&bad).is_err(), "byte {position}");
        assert!(
            decode_partition_metadata(&good[..position]).is_err(),
            "cut at {position}"
        );
    }
    let mut longer = good.to_vec();
    longer.push(b' ');
    assert!(decode_partition_metadata(&longer).is_err());
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut with_magic = MAGIC.to_vec();
        with_magic.extend_from_slice(&bytes);
        let _ = decode_partition_metadata(&bytes);
        let _ = decode_partition_metadata(&with_magic);
    }
}
