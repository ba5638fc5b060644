use proptest::prelude::*;
use springtide_model::{Epoch, KeyRange, Literal, PartitionId, Segment, TabletId};

use super::*;

fn write() -> TabletWrite {
    TabletWrite {
        partition: PartitionId(12),
        tablet: TabletId(13),
        segment: Segment {
            object: "data/7/12/x.seg".to_owned(),
            offset: 0,
            length: 100,
            rows: 3,
            uncompressed_bytes: 240,
            key_range: Some(KeyRange {
                min: Literal::Int(-1),
                max: Literal::Int(i128::MAX),
            }),
            schema_id: 0,
            epoch: Epoch(1),
        },
    }
}

#[test]
fn golden_bytes() {
    let bytes = encode_trailer(&[write()]).unwrap();
    let payload = br#"{"writes":[{"partition":12,"tablet":13,"segment":{"object":"data/7/12/x.seg","offset":0,"length":100,"rows":3,"uncompressed_bytes":240,"key_range":{"min":{"int":-1},"max":{"int":170141183460469231731687303715884105727}},"schema_id":0,"epoch":1}}]}"#;
    let (json, footer) = bytes.split_at(payload.len());
    assert_eq!(std::str::from_utf8(json), std::str::from_utf8(payload));
    insta::assert_snapshot!(hex::encode(footer), @"f7000000d521fb55010000005350525444415441");
}

#[test]
fn what_was_written_is_read_back_from_any_suffix_that_is_long_enough() {
    let mut object = b"segments".to_vec();
    let trailer = encode_trailer(&[write(), write()]).unwrap();
    object.extend_from_slice(&trailer);
    for start in 0..=8 {
        assert_eq!(decode_trailer(&object[start..]).unwrap(), vec![write(), write()]);
    }
    let needed = trailer.len() as u64;
    assert_eq!(decode_trailer(&object[9..]), Err(FormatError::Short { needed }));
}

#[test]
fn a_newer_version_is_refused() {
    let mut bytes = encode_trailer(&[]).unwrap().to_vec();
    let version_at = bytes.len() - 12;
    bytes[version_at] = 2;
    assert_eq!(
        decode_trailer(&bytes),
        Err(FormatError::TooNew { what: WHAT, found: 2 })
    );
}

#[test]
fn every_flipped_byte_is_noticed() {
    let good = encode_trailer(&[write()]).unwrap();
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[position] ^= 1 << bit;
            assert!(decode_trailer(&bad).is_err(), "byte {position} bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_trailer(&bytes);
        let mut with_magic = bytes;
        with_magic.extend_from_slice(MAGIC);
        let _ = decode_trailer(&with_magic);
    }
}
