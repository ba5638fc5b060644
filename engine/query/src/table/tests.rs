use springtide_model::{Epoch, Segment};

use super::pieces_of;

fn segment(length: u64) -> Segment {
    Segment {
        object: "data/o".to_owned(),
        offset: 10,
        length,
        rows: 1,
        uncompressed_bytes: length,
        key_range: None,
        schema_id: 0,
        epoch: Epoch(1),
    }
}

fn ranges(segments: &[Segment], wanted: u64) -> Vec<Option<(i64, i64)>> {
    pieces_of(segments.iter(), wanted)
        .iter()
        .map(|file| file.range.as_ref().map(|range| (range.start, range.end)))
        .collect()
}

const MIB: u64 = 1 << 20;

#[test]
fn small_segments_are_whole_and_large_ones_are_cut_without_gaps() {
    assert_eq!(ranges(&[segment(10), segment(3 * MIB)], 16), [None, None]);
    assert_eq!(ranges(&[segment(100 * MIB)], 1), [None]);
    let pieces = ranges(&[segment(100 * MIB + 7)], 8);
    assert_eq!(pieces.len(), 8);
    let mut end = 0;
    for piece in pieces {
        let (start, next) = piece.unwrap();
        assert_eq!(start, end);
        end = next;
    }
    assert_eq!(end, (100 * MIB + 7) as i64);
}
