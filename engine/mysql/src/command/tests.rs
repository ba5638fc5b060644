use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_error(packet: &[u8], code: u16) {
    match Command::parse(packet) {
        Err(Refusal::Answer(error)) => assert_eq!(error.code, code, "{packet:?}"),
        other => panic!("{packet:?} gave {other:?}"),
    }
}

#[test]
fn commands_are_read() {
    assert_eq!(Command::parse(b"\x03SELECT 1"), Ok(Command::Query("SELECT 1")));
    assert_eq!(Command::parse(b"\x02d1"), Ok(Command::InitDb("d1")));
    assert_eq!(
        Command::parse(b"\x04t_pk\0%"),
        Ok(Command::FieldList {
            table: "t_pk",
            wildcard: "%"
        })
    );
    assert_eq!(
        Command::parse(b"\x18\x07\0\0\0\x01\0ab"),
        Ok(Command::LongData {
            statement_id: 7,
            parameter: 1,
            data: b"ab"
        })
    );
    assert_eq!(Command::parse(b"\x1b\x01\0"), Ok(Command::SetMultiStatements(false)));
}

#[test]
fn what_is_no_command_is_refused() {
    check_error(b"", codes::MALFORMED_PACKET);
    check_error(b"\x7f", codes::UNKNOWN_COMMAND);
    check_error(b"\x05drop_db", codes::UNKNOWN_COMMAND);
    check_error(b"\x17\x01\0", codes::MALFORMED_PACKET);
    check_error(b"\x1b\x07\0", codes::UNKNOWN_COMMAND);
    check_error(b"\x03SELECT '\xff'", codes::INVALID_CHARACTERS);
}

#[test]
fn commands_without_an_answer_are_refused_in_silence() {
    assert_eq!(Command::parse(b"\x18\x01"), Err(Refusal::Silence));
    assert_eq!(Command::parse(b"\x19\x01"), Err(Refusal::Silence));
}

proptest! {
    #[test]
    fn no_packet_panics(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Command::parse(&packet);
    }
}
