use std::collections::BTreeMap;

use proptest::prelude::*;
use springtide_model::{
    ClusterId, Column, ComputeNode, DataType, Distribution, Epoch, Literal, PartitionBound, TableSchema,
};
use uuid::Uuid;

use super::*;
use crate::{
    Commit, Edit, ErrorKind, NewPartition, NewRange, NewTable, PartitionVersion, PasswordHash, Record, Role,
    edit::RecordError,
};

pub(crate) fn identity() -> Identity {
    Identity {
        cluster_id: ClusterId(Uuid::from_u128(1)),
        metadata_id: Uuid::from_u128(2),
        epoch: Epoch(1),
        created_ms: 1000,
        claimed: false,
    }
}

/// Applies what an intent decided; answers its edits.
pub(crate) fn run(
    catalog: &mut Catalog,
    intent: impl FnOnce(&Catalog) -> Result<Vec<Edit>, CatalogError>,
) -> Result<Vec<Edit>, CatalogError> {
    let edits = intent(catalog)?;
    catalog
        .apply_record(&Record::new(edits.clone()))
        .expect("what an intent decides applies");
    Ok(edits)
}

pub(crate) fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.to_owned(),
        data_type,
        nullable: true,
        default: None,
        comment: String::new(),
    }
}

pub(crate) fn new_table(name: &str) -> NewTable {
    NewTable {
        database: "d".to_owned(),
        name: name.to_owned(),
        schema: TableSchema {
            schema_id: 0,
            columns: vec![
                column("k", DataType::BigInt),
                column("v", DataType::Varchar { length: 10 }),
            ],
            key_columns: 1,
            partition_column: None,
            distribution: Distribution {
                columns: vec![0],
                buckets: 2,
            },
        },
        partitions: Vec::new(),
        comment: String::new(),
        properties: BTreeMap::new(),
    }
}

pub(crate) fn partitioned(name: &str) -> NewTable {
    let mut table = new_table(name);
    table.schema.partition_column = Some(0);
    table.partitions = vec![NewPartition {
        name: "p1".to_owned(),
        range: NewRange::LessThan(PartitionBound::Value(Literal::Int(100))),
    }];
    table
}

/// A cluster with database `d` and tables `t` and `p`.
pub(crate) fn cluster() -> Catalog {
    let mut catalog = Catalog::empty();
    run(&mut catalog, |c| {
        c.bootstrap(identity(), "admin", PasswordHash::of_password(b"pw"))
    })
    .unwrap();
    run(&mut catalog, |c| c.create_database("d", false, 1)).unwrap();
    run(&mut catalog, |c| c.create_table(&new_table("t"), false, 2)).unwrap();
    run(&mut catalog, |c| c.create_table(&partitioned("p"), false, 3)).unwrap();
    catalog
}

pub(crate) fn commit(catalog: &Catalog, txn: u64, table: &str) -> Commit {
    let table = catalog.resolve_table("d", table).unwrap();
    Commit {
        txn: TxnId(txn),
        database: table.database,
        table: table.id,
        label: format!("label {txn}"),
        partitions: table.partitions.iter().map(|partition| partition.id).collect(),
        objects: vec![format!("data/{txn}.seg")],
        rows: 7,
        committed_ms: 10,
    }
}

/// The next version of the first partition.
fn next_versions(catalog: &Catalog, table: &str) -> (TableId, Vec<PartitionVersion>) {
    let table = catalog.resolve_table("d", table).unwrap();
    let partition = &table.partitions[0];
    let version = PartitionVersion {
        partition: partition.id,
        version: partition.visible_version.next(),
        metadata: format!("meta/{}", partition.visible_version.next()),
    };
    (table.id, vec![version])
}

/// One of each edit, as the journal keeps them.
#[test]
fn golden_edits() {
    let table = run(&mut cluster(), |c| c.create_table(&partitioned("q"), false, 4)).unwrap();
    let mut edits = vec![
        Edit::Bootstrap { identity: identity() },
        Edit::Claim,
        Edit::BeginEpoch { epoch: Epoch(2) },
        Edit::ReserveTransactions { below: TxnId(1001) },
    ];
    edits.extend(cluster().create_database("e", false, 5).unwrap());
    edits.extend(table);
    edits.push(Edit::RenameTable {
        id: TableId(7),
        name: "n".to_owned(),
    });
    edits.push(Edit::DropTable { id: TableId(7) });
    edits.push(Edit::DropDatabase { id: DatabaseId(6) });
    edits.extend(
        cluster()
            .create_user("u", PasswordHash::of_password(b"pw"), Role::ReadWrite, false, 6)
            .unwrap(),
    );
    edits.extend(
        cluster()
            .set_password("admin", PasswordHash::of_password(b"pw"))
            .unwrap(),
    );
    edits.extend(
        cluster()
            .take_over_password("admin", &PasswordHash::of_password(b"new"))
            .unwrap(),
    );
    edits.extend(cluster().add_compute_nodes(&[("cn-0".to_owned(), 9050)], None).unwrap());
    edits.push(Edit::DropComputeNode { id: NodeId(5) });
    edits.extend(cluster().set_global("Query_Timeout", Some("5".to_owned())).unwrap());
    edits.extend(cluster().commit(commit(&cluster(), 9, "t")).unwrap());
    let (id, versions) = next_versions(&cluster(), "t");
    edits.extend(cluster().publish(id, vec![TxnId(9)], versions, 11));
    edits.push(Edit::ForgetTransactions { txns: vec![TxnId(9)] });
    let lines: Vec<String> = edits.iter().map(|edit| serde_json::to_string(edit).unwrap()).collect();
    insta::assert_snapshot!("edits", lines.join("\n"));
    let record = Record::new(edits);
    assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
}

#[test]
fn a_record_of_a_newer_engine_is_refused() {
    let newer = Record::from_bytes(br#"{"format":2,"something":"else"}"#);
    assert!(matches!(newer, Err(RecordError::TooNew { found: 2 })));
    assert_eq!(
        newer.unwrap_err().to_string(),
        "it was written by a newer engine (version 2; this one reads up to 1); run at least that engine version"
    );
    assert!(matches!(Record::from_bytes(b"{}"), Err(RecordError::Malformed(_))));
}

/// A release that adds a kind of edit does not raise the version for it: only who has used it cannot go back.
#[test]
fn an_edit_that_only_a_newer_engine_knows_is_refused_wherever_it_stands() {
    for edits in [
        r#"[{"invent_edit":{}}]"#,
        r#"["invent_edit"]"#,
        r#"[{"invent_edit":{"bound":{"int":170141183460469231731687303715884105727}}}]"#,
        r#"["claim",{"drop_table":{"id":7}},{"invent_edit":{"drop_table":{"id":7}}}]"#,
    ] {
        let read = Record::from_bytes(format!(r#"{{"format":1,"edits":{edits}}}"#).as_bytes());
        assert!(
            matches!(&read, Err(RecordError::UnknownEdit { kind }) if kind == "invent_edit"),
            "{edits}: {read:?}"
        );
        let message = read.unwrap_err().to_string();
        assert!(
            message.ends_with("written by a newer engine; run at least that engine version"),
            "{message}"
        );
    }
}

#[test]
fn what_only_a_newer_engine_knows_within_an_edit_is_refused_as_such_and_nonsense_as_nonsense() {
    let record = |edit: &str| Record::from_bytes(format!(r#"{{"format":1,"edits":[{edit}]}}"#).as_bytes());
    let newer = record(
        r#"{"create_user":{"user":{"name":"u","password":"d821809f681a40a6e379b50d0463efae20bdd122","role":"auditor","created_ms":6}}}"#,
    );
    assert!(
        matches!(&newer, Err(RecordError::UnknownWord { word }) if word == "auditor"),
        "{newer:?}"
    );
    for nonsense in [
        r#"{"drop_table":{}}"#,
        r#"{"drop_table":{"id":"x"}}"#,
        "7",
        r#""drop_table""#,
        r#"{}"#,
    ] {
        let read = record(nonsense);
        assert!(matches!(read, Err(RecordError::Malformed(_))), "{nonsense}: {read:?}");
    }
    // A field more is one that an older engine may pass over.
    let read = record(r#"{"drop_table":{"id":7,"invented":1}}"#).unwrap();
    assert_eq!(read.edits, [Edit::DropTable { id: TableId(7) }]);
}

/// Those that the golden edits above lack.
#[test]
fn golden_edits_of_partitions_and_passwords() {
    let texts = [
        r#"{"add_partition":{"table":7,"partition":{"id":8,"name":"p2","range":{"lower":{"value":{"int":100}},"upper":"max_value"},"tablets":[9],"visible_version":1,"visible_ms":4}}}"#,
        r#"{"drop_partition":{"table":7,"partition":8}}"#,
        r#"{"set_password":{"user":"u","password":"d821809f681a40a6e379b50d0463efae20bdd122"}}"#,
        r#"{"set_global":{"name":"query_timeout","value":null}}"#,
    ];
    let bytes = format!(r#"{{"format":1,"edits":[{}]}}"#, texts.join(","));
    let record = Record::from_bytes(bytes.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(record.to_bytes()).unwrap(), bytes);
    assert!(matches!(
        record.edits[..],
        [
            Edit::AddPartition { .. },
            Edit::DropPartition { .. },
            Edit::SetPassword { .. },
            Edit::SetGlobal { value: None, .. }
        ]
    ));
}

#[test]
fn a_commit_is_visible_after_its_publish_and_forgotten_later() {
    let mut catalog = cluster();
    let commit = commit(&catalog, 1, "t");
    let database = commit.database;
    run(&mut catalog, |c| c.commit(commit.clone())).unwrap();
    assert_eq!(catalog.unpublished().count(), 1);
    let (id, versions) = next_versions(&catalog, "t");
    run(&mut catalog, |c| Ok(c.publish(id, vec![TxnId(1)], versions, 20))).unwrap();
    assert_eq!(catalog.unpublished().count(), 0);
    let partition = &catalog.table_by_id(id).unwrap().partitions[0];
    assert_eq!(
        (partition.visible_version.0, partition.metadata.as_deref()),
        (2, Some("meta/2"))
    );

    let error = catalog
        .commit(Commit {
            txn: TxnId(2),
            ..commit
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LabelExists);
    assert_eq!(catalog.forgettable(20 + LABEL_KEEP_MS - 1), []);
    let txns = catalog.forgettable(20 + LABEL_KEEP_MS);
    assert_eq!(txns, [TxnId(1)]);
    run(&mut catalog, |_| Ok(vec![Edit::ForgetTransactions { txns }])).unwrap();
    assert!(catalog.transaction_by_label(database, "label 1").is_none());
    assert_eq!(catalog.next_txn(), TxnId(2));
}

#[test]
fn publishing_into_what_was_dropped_leaves_it_out() {
    let mut catalog = cluster();
    let commit = commit(&catalog, 1, "t");
    run(&mut catalog, |c| c.commit(commit)).unwrap();
    let (id, versions) = next_versions(&catalog, "t");
    run(&mut catalog, |c| c.drop_table("d", "t", false)).unwrap();
    run(&mut catalog, |c| Ok(c.publish(id, vec![TxnId(1)], versions, 20))).unwrap();
    assert!(catalog.transaction(TxnId(1)).unwrap().is_visible());
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let full = cluster();
    let (table, versions) = next_versions(&full, "t");
    let misfits = [
        Edit::Bootstrap { identity: identity() },
        Edit::BeginEpoch { epoch: Epoch(1) },
        Edit::DropDatabase { id: DatabaseId(1) },
        Edit::DropTable { id: TableId(1) },
        Edit::DropUser { user: "x".to_owned() },
        Edit::DropComputeNode { id: NodeId(1) },
        Edit::ForgetTransactions { txns: vec![TxnId(1)] },
        Edit::Publish {
            table,
            txns: vec![TxnId(1)],
            partitions: versions,
            visible_ms: 0,
        },
    ];
    for misfit in misfits {
        let mut catalog = full.clone();
        let record = Record::new(vec![Edit::Claim, misfit.clone()]);
        let error = catalog.apply_record(&record).unwrap_err();
        assert_eq!((error.kind(), &catalog), (ErrorKind::DoesNotApply, &full), "{misfit:?}");
    }
    let mut empty = Catalog::empty();
    assert!(empty.apply(&Edit::Claim).is_err());
}

proptest! {
    /// Whatever is done, replaying its records gives the same catalog, and so does its image.
    #[test]
    fn replay_and_image_give_the_same_catalog(steps in proptest::collection::vec((0..11_u8, 0..3_u8), 0..60)) {
        let mut catalog = Catalog::empty();
        let mut records = vec![Record::new(catalog.bootstrap(identity(), "admin", PasswordHash::of_password(b"pw")).unwrap())];
        catalog.apply_record(&records[0]).unwrap();
        for (time, (step, which)) in steps.into_iter().enumerate() {
            let name = format!("n{which}");
            let Ok(edits) = step_edits(&catalog, step, &name, time as u64) else { continue };
            let record = Record::new(edits);
            catalog.apply_record(&record).unwrap();
            records.push(Record::from_bytes(&record.to_bytes()).unwrap());
        }
        let mut replayed = Catalog::empty();
        for record in &records {
            replayed.apply_record(record).unwrap();
        }
        prop_assert_eq!(&replayed, &catalog);
        prop_assert_eq!(&Catalog::from_image(&catalog.to_image()).unwrap(), &catalog);
    }
}

fn step_edits(catalog: &Catalog, step: u8, name: &str, time: u64) -> Result<Vec<Edit>, CatalogError> {
    let nodes = [(name.to_owned(), 9050)];
    match step {
        0 => catalog.create_database("d", false, time),
        1 => catalog.create_table(&partitioned(name), false, time),
        2 => catalog.drop_table("d", name, false),
        3 => catalog.create_user(name, PasswordHash::of_password(b"x"), Role::ReadWrite, false, time),
        4 => catalog.drop_user(name, false),
        5 => catalog.add_compute_nodes(&nodes, Some("w")),
        6 => catalog.drop_compute_nodes(&nodes, None),
        7 => catalog.truncate_table("d", name, time),
        8 => catalog
            .resolve_table("d", name)
            .map(|_| commit(catalog, catalog.next_txn().0, name))
            .and_then(|c| catalog.commit(c)),
        9 => {
            let Some(txn) = catalog.unpublished().next().cloned() else {
                return Ok(Vec::new());
            };
            let versions = match catalog.table_by_id(txn.table) {
                Some(table) => next_versions(catalog, &table.name).1,
                None => Vec::new(),
            };
            Ok(catalog.publish(txn.table, vec![txn.id], versions, time))
        }
        _ => catalog.drop_database("d", true),
    }
}

#[test]
fn nodes_and_warehouses_come_and_go() {
    let mut catalog = cluster();
    let nodes = [("cn-0".to_owned(), 9050), ("cn-1".to_owned(), 9050)];
    run(&mut catalog, |c| c.add_compute_nodes(&nodes, Some("evening"))).unwrap();
    assert_eq!(catalog.warehouses(), ["default_warehouse", "evening"]);
    let first: Arc<ComputeNode> = Arc::clone(catalog.compute_node_at("cn-0", 9050).unwrap());
    run(&mut catalog, |c| c.drop_compute_nodes(&nodes, None)).unwrap();
    assert_eq!(catalog.warehouses(), ["default_warehouse"]);
    run(&mut catalog, |c| c.add_compute_nodes(&nodes[..1], None)).unwrap();
    assert!(catalog.compute_node_at("cn-0", 9050).unwrap().id > first.id);
}
