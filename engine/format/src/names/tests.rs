use super::*;

const UNIQUE: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

#[test]
fn names_are_as_the_rfc_says() {
    let of_one = data_object(TableId(7), Some(PartitionId(12)), Epoch(1), TxnId(255), UNIQUE);
    assert_eq!(
        of_one,
        "data/7/12/00000001-00000000000000ff-0123456789abcdef0123456789abcdef.seg"
    );
    let of_many = data_object(TableId(7), None, Epoch(2), TxnId(1), UNIQUE);
    assert_eq!(
        of_many,
        "data/7/mixed/00000002-0000000000000001-0123456789abcdef0123456789abcdef.seg"
    );
    assert_eq!(
        partition_metadata(PartitionId(12), Version(16), Epoch(1), UNIQUE),
        "meta/12/0000000000000010-00000001-0123456789abcdef0123456789abcdef.meta"
    );
    let cluster = ClusterId(UNIQUE);
    assert_eq!(data_prefix(cluster), "01234567-89ab-cdef-0123-456789abcdef");
}

#[test]
fn a_data_object_name_reads_back() {
    for partition in [None, Some(PartitionId(12))] {
        let name = data_object(TableId(7), partition, Epoch(3), TxnId(u64::MAX), UNIQUE);
        let parsed = DataObjectName::parse(&name).unwrap();
        assert_eq!((parsed.table, parsed.partition), (TableId(7), partition));
        assert_eq!((parsed.epoch, parsed.txn), (Epoch(3), TxnId(u64::MAX)));
    }
}

#[test]
fn other_spellings_are_no_names() {
    let good = data_object(TableId(7), None, Epoch(1), TxnId(255), UNIQUE);
    for bad in [
        good.to_uppercase(),
        good.replace("mixed", "../x"),
        good.replace("data/7", "data/+7"),
        good.replace("00000001-", "1-"),
        format!("{good}/more"),
        good.replace(".seg", ""),
        String::new(),
    ] {
        assert_eq!(DataObjectName::parse(&bad), None, "{bad}");
    }
}
