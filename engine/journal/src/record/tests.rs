use super::*;

fn encode(id: u64, durable: u64, payload: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    Record { id, durable, payload }.encode_into(&mut buffer);
    buffer
}

#[test]
fn golden_bytes() {
    assert_eq!(
        hex::encode(encode(7, 5, b"hello")),
        concat!(
            "05000000",
            "86a61036",
            "0700000000000000",
            "0500000000000000",
            "70ff0580",
            "68656c6c6f"
        )
    );
}

#[test]
fn a_record_reads_back_and_every_flip_is_noticed() {
    let good = encode(7, 5, b"hello");
    assert_eq!(
        decode(&good),
        Ok(Record {
            id: 7,
            durable: 5,
            payload: b"hello"
        })
    );
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        assert!(decode(&bad).is_err(), "byte {position}");
        assert!(decode(&good[..position]).is_err(), "cut at {position}");
    }
}

#[test]
fn only_a_later_record_that_knew_it_as_durable_makes_a_loss_damage() {
    let torn = [vec![0xee; 30], encode(9, 6, b"same group")].concat();
    assert!(!was_durable(7, &torn));
    let damaged = [vec![0xee; 30], encode(9, 8, b"next group")].concat();
    assert!(was_durable(7, &damaged));
    assert!(!was_durable(7, &damaged[..damaged.len() - 1]));
    assert!(!was_durable(7, b""));
}

#[test]
fn a_wrong_bit_is_not_torn_and_a_sector_of_zeros_is() {
    let good = encode(7, 5, &[0xab; 2000]);
    // In a file, the record begins within a sector.
    let offset = 3 * 512 + 100;
    let torn = |bytes: &[u8]| decode(bytes).unwrap_err().is_torn(offset, bytes);
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        assert!(!torn(&bad), "byte {position}");
        assert!(torn(&good[..position]), "cut at {position}");
    }
    // Its bytes in the sectors of the file: 412 in the first, then whole sectors, then the rest.
    for sector in [0..412, 412..924, 924..1436, 1436..1948, 1948..good.len()] {
        let mut hole = good.clone();
        hole[sector.clone()].fill(0);
        assert!(torn(&hole), "{sector:?}");
        let mut zeros_across_sectors = good.clone();
        zeros_across_sectors[sector.start + 1..sector.end.min(good.len() - 1)].fill(0);
        assert!(!torn(&zeros_across_sectors), "{sector:?} but one byte");
    }
    assert!(!Flaw::LengthImpossible.is_torn(0, &[0; 600]));
}
