use springtide_model::{DataType, Literal, PartitionBound, PartitionRange};

use super::*;
use crate::{
    NewPartition, NewRange, NewTable,
    catalog::tests::{cluster, column, commit, new_table, partitioned, run},
};

#[track_caller]
fn check(result: Result<Vec<Edit>, CatalogError>, kind: ErrorKind, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn databases() {
    let catalog = cluster();
    check(
        catalog.create_database("d", false, 0),
        ErrorKind::DatabaseExists,
        "Can't create database 'd'; database exists",
    );
    assert_eq!(catalog.create_database("d", true, 0), Ok(Vec::new()));
    check(
        catalog.create_database("INFORMATION_SCHEMA", false, 0),
        ErrorKind::DatabaseExists,
        "",
    );
    check(
        catalog.drop_database("nosuch", false),
        ErrorKind::DropUnknownDatabase,
        "Can't drop database 'nosuch'; database doesn't exist",
    );
    assert_eq!(catalog.drop_database("nosuch", true), Ok(Vec::new()));
    check(
        catalog.drop_database("information_schema", true),
        ErrorKind::Invalid,
        "system database",
    );
    for bad in ["", " d", "a/b", "a\0b", &"x".repeat(257)] {
        check(
            catalog.create_database(bad, true, 0),
            ErrorKind::Invalid,
            "Incorrect database name",
        );
    }
}

#[test]
fn tables() {
    let catalog = cluster();
    let create = |table: &NewTable| catalog.create_table(table, false, 0);
    check(
        create(&new_table("t")),
        ErrorKind::TableExists,
        "Table 't' already exists",
    );
    assert_eq!(catalog.create_table(&new_table("t"), true, 0), Ok(Vec::new()));
    let mut elsewhere = new_table("x");
    elsewhere.database = "nosuch".to_owned();
    check(
        create(&elsewhere),
        ErrorKind::UnknownDatabase,
        "Unknown database 'nosuch'",
    );
    check(
        catalog.drop_table("d", "nosuch", false),
        ErrorKind::UnknownTable,
        "Unknown table 'd.nosuch'",
    );
    assert_eq!(catalog.drop_table("d", "nosuch", true), Ok(Vec::new()));
    check(catalog.drop_table("nosuch", "t", true), ErrorKind::UnknownDatabase, "");
    check(catalog.rename_table("d", "t", "p"), ErrorKind::TableExists, "");
}

#[test]
fn schemas() {
    let catalog = cluster();
    let broken = |change: fn(&mut NewTable)| {
        let mut table = new_table("x");
        change(&mut table);
        catalog.create_table(&table, false, 0)
    };
    check(
        broken(|t| t.schema.columns.clear()),
        ErrorKind::Invalid,
        "1 to 4096 columns",
    );
    check(
        broken(|t| t.schema.columns[1].name = "K".to_owned()),
        ErrorKind::DuplicateColumn,
        "'K'",
    );
    check(
        broken(|t| t.schema.key_columns = 0),
        ErrorKind::Invalid,
        "DUPLICATE KEY",
    );
    check(
        broken(|t| t.schema.key_columns = 3),
        ErrorKind::Invalid,
        "DUPLICATE KEY",
    );
    check(
        broken(|t| t.schema.columns[0] = column("k", DataType::Double)),
        ErrorKind::Invalid,
        "key column 'k'",
    );
    check(
        broken(|t| t.schema.distribution.buckets = 0),
        ErrorKind::Invalid,
        "BUCKETS must be 1 to 1024",
    );
    check(
        broken(|t| t.schema.distribution.buckets = 1025),
        ErrorKind::Invalid,
        "BUCKETS",
    );
    check(
        broken(|t| t.schema.distribution.columns = vec![9]),
        ErrorKind::Invalid,
        "not a column",
    );
    check(
        broken(|t| t.schema.distribution.columns = vec![0, 0]),
        ErrorKind::Invalid,
        "twice",
    );
    check(
        broken(|t| {
            t.schema.columns[1] = column(
                "v",
                DataType::Decimal {
                    precision: 39,
                    scale: 0,
                },
            );
        }),
        ErrorKind::Invalid,
        "DECIMAL(1 to 38",
    );
    check(
        broken(|t| t.schema.columns[1] = column("v", DataType::Char { length: 0 })),
        ErrorKind::Invalid,
        "CHAR",
    );
    check(
        broken(|t| t.partitions = partitioned("y").partitions),
        ErrorKind::Invalid,
        "PARTITION BY RANGE",
    );
    check(
        broken(|t| t.schema.partition_column = Some(0)),
        ErrorKind::Invalid,
        "at least one partition",
    );
    check(
        broken(|t| {
            *t = NewTable {
                schema: springtide_model::TableSchema {
                    partition_column: Some(1),
                    ..t.schema.clone()
                },
                ..partitioned("x")
            }
        }),
        ErrorKind::Invalid,
        "must be an integer, DATE or DATETIME",
    );
}

fn fixed(name: &str, lower: i128, upper: i128) -> NewPartition {
    NewPartition {
        name: name.to_owned(),
        range: NewRange::Fixed(PartitionRange {
            lower: PartitionBound::Value(Literal::Int(lower)),
            upper: PartitionBound::Value(Literal::Int(upper)),
        }),
    }
}

fn less_than(name: &str, upper: PartitionBound) -> NewPartition {
    NewPartition {
        name: name.to_owned(),
        range: NewRange::LessThan(upper),
    }
}

#[test]
fn partitions() {
    let mut catalog = cluster();
    let add = |catalog: &Catalog, partition| catalog.add_partition("d", "p", &partition, false, 0);
    check(
        add(&catalog, fixed("P1", 100, 200)),
        ErrorKind::PartitionExists,
        "Duplicate partition name P1",
    );
    check(add(&catalog, fixed("p2", 50, 150)), ErrorKind::PartitionOverlap, "'p1'");
    check(add(&catalog, fixed("p2", 200, 200)), ErrorKind::Invalid, "is empty");
    check(
        add(
            &catalog,
            less_than("p2", PartitionBound::Value(Literal::Text("soon".to_owned()))),
        ),
        ErrorKind::Invalid,
        "an integer",
    );
    check(
        catalog.add_partition("d", "t", &fixed("p2", 1, 2), false, 0),
        ErrorKind::Invalid,
        "not partitioned",
    );
    run(&mut catalog, |c| add(c, fixed("p3", 200, 300))).unwrap();
    run(&mut catalog, |c| add(c, fixed("p2", 100, 200))).unwrap();
    run(&mut catalog, |c| add(c, less_than("p4", PartitionBound::MaxValue))).unwrap();
    let names = |catalog: &Catalog| -> Vec<String> {
        let table = catalog.resolve_table("d", "p").unwrap();
        table
            .partitions
            .iter()
            .map(|partition| partition.name.clone())
            .collect()
    };
    assert_eq!(names(&catalog), ["p1", "p2", "p3", "p4"]);
    let upper = catalog.resolve_table("d", "p").unwrap().partitions[3]
        .range
        .clone()
        .unwrap();
    assert_eq!(upper.lower, PartitionBound::Value(Literal::Int(300)));
    run(&mut catalog, |c| c.truncate_table("d", "p", 9)).unwrap();
    assert_eq!(names(&catalog), ["p1", "p2", "p3", "p4"]);
    run(&mut catalog, |c| c.drop_partition("d", "p", "p2", false)).unwrap();
    check(
        catalog.drop_partition("d", "p", "p2", false),
        ErrorKind::UnknownPartition,
        "Error in list of partitions to [p2]",
    );
    check(
        catalog.drop_partition("d", "t", "t", false),
        ErrorKind::Invalid,
        "TRUNCATE",
    );
}

#[test]
fn dates_are_kept_in_one_spelling() {
    let bound = |data_type: DataType, text: &str| {
        let mut catalog = cluster();
        let mut table = partitioned("x");
        table.schema.columns[0] = column("k", data_type);
        table.partitions = vec![less_than("p", PartitionBound::Value(Literal::Text(text.to_owned())))];
        run(&mut catalog, |c| c.create_table(&table, false, 0)).map(|_| {
            let range = catalog.resolve_table("d", "x").unwrap().partitions[0]
                .range
                .clone()
                .unwrap();
            range.upper
        })
    };
    let text = |text: &str| Ok(PartitionBound::Value(Literal::Text(text.to_owned())));
    assert_eq!(bound(DataType::Date, "2024-02-29"), text("2024-02-29"));
    assert_eq!(bound(DataType::Date, "2024-03-01 00:00:00"), text("2024-03-01"));
    assert_eq!(bound(DataType::DateTime, "2024-03-01"), text("2024-03-01 00:00:00"));
    assert_eq!(
        bound(DataType::DateTime, "2024-03-01 23:59:59"),
        text("2024-03-01 23:59:59")
    );
    for bad in [
        "2023-02-29",
        "2024-13-01",
        "2024-1-1",
        "soon",
        "2024-03-01 24:00:00",
        "",
        "2024-03-0é",
    ] {
        assert!(bound(DataType::Date, bad).is_err(), "{bad}");
        assert!(bound(DataType::DateTime, bad).is_err(), "{bad}");
    }
}

#[test]
fn users() {
    let mut catalog = cluster();
    let hash = || PasswordHash::of_password(b"secret");
    let create = |catalog: &Catalog, name: &str, hash| catalog.create_user(name, hash, Role::ReadWrite, false, 0);
    check(
        create(&catalog, "admin", hash()),
        ErrorKind::UserExists,
        "user already exists",
    );
    check(create(&catalog, "root", hash()), ErrorKind::Invalid, "no user 'root'");
    check(
        create(&catalog, "u", PasswordHash::of_password(b"")),
        ErrorKind::Invalid,
        "empty",
    );
    check(
        catalog.drop_user("nosuch", false),
        ErrorKind::UnknownUser,
        "user not exists",
    );
    check(
        catalog.drop_user("admin", false),
        ErrorKind::Invalid,
        "last administrator",
    );
    run(&mut catalog, |c| create(c, "u", hash())).unwrap();
    run(&mut catalog, |c| {
        c.set_password("u", PasswordHash::of_password(b"other"))
    })
    .unwrap();
    assert_eq!(catalog.user("u").unwrap().password, PasswordHash::of_password(b"other"));
    run(&mut catalog, |c| c.drop_user("u", false)).unwrap();
    assert!(!format!("{:?}", hash()).contains(&hex::encode(hash().0)));
}

#[test]
fn the_administrators_secret_is_taken_over_once_for_each_of_its_contents() {
    let mut catalog = cluster();
    let hash = |password: &str| PasswordHash::of_password(password.as_bytes());
    let take_over = |catalog: &mut Catalog, password: &str| {
        run(catalog, |c| c.take_over_password("admin", &hash(password)))
            .unwrap()
            .len()
    };
    let by_sql = |catalog: &mut Catalog, password: &str| {
        run(catalog, |c| c.set_password("admin", hash(password))).unwrap();
    };
    let opens = |catalog: &Catalog, password: &str| catalog.user("admin").unwrap().password == hash(password);
    assert_eq!(take_over(&mut catalog, "pw"), 0, "the cluster was made with it");
    by_sql(&mut catalog, "by SQL");
    assert_eq!(take_over(&mut catalog, "pw"), 0, "the Secret has not changed");
    assert!(opens(&catalog, "by SQL"));
    assert_eq!(take_over(&mut catalog, "second"), 1);
    assert!(opens(&catalog, "second"));
    assert_eq!(take_over(&mut catalog, "second"), 0);
    by_sql(&mut catalog, "by SQL");
    let mut catalog = Catalog::from_image(&catalog.to_image()).unwrap();
    assert_eq!(take_over(&mut catalog, "second"), 0, "an image remembers it, too");
    assert!(opens(&catalog, "by SQL"));
    // Back to the first one: that is a change as well.
    assert_eq!(take_over(&mut catalog, "pw"), 1);
    assert!(opens(&catalog, "pw"));
}

#[test]
fn a_catalog_of_an_older_engine_remembers_the_secret_and_keeps_its_password() {
    let mut image: serde_json::Value = serde_json::from_slice(&cluster().to_image()).unwrap();
    image["users"][0].as_object_mut().unwrap().remove("mounted");
    let mut catalog = Catalog::from_image(image.to_string().as_bytes()).unwrap();
    let (old, new) = (PasswordHash::of_password(b"pw"), PasswordHash::of_password(b"new"));
    run(&mut catalog, |c| c.take_over_password("admin", &new)).unwrap();
    assert_eq!(catalog.user("admin").unwrap().password, old);
    assert_eq!(catalog.take_over_password("admin", &new), Ok(Vec::new()));
    run(&mut catalog, |c| c.take_over_password("admin", &old)).unwrap();
    run(&mut catalog, |c| c.take_over_password("admin", &new)).unwrap();
    assert_eq!(catalog.user("admin").unwrap().password, new);
}

#[test]
fn a_secret_takes_over_nobody_but_the_administrator() {
    let mut catalog = cluster();
    let hash = || PasswordHash::of_password(b"new");
    run(&mut catalog, |c| {
        c.create_user("u", PasswordHash::of_password(b"x"), Role::ReadWrite, false, 0)
    })
    .unwrap();
    check(
        catalog.take_over_password("u", &hash()),
        ErrorKind::Invalid,
        "no administrator",
    );
    check(
        catalog.take_over_password("nosuch", &hash()),
        ErrorKind::UnknownUser,
        "user not exists",
    );
    check(
        catalog.take_over_password("admin", &PasswordHash::of_password(b"")),
        ErrorKind::Invalid,
        "empty",
    );
}

#[test]
fn compute_nodes() {
    let mut catalog = cluster();
    let node = |name: &str| (name.to_owned(), 9050);
    let again = catalog.add_compute_nodes(&[node("a"), node("a")], None);
    check(
        again,
        ErrorKind::ComputeNodeExists,
        "Compute node already exists with same host a and port 9050",
    );
    run(&mut catalog, |c| c.add_compute_nodes(&[node("a")], Some("w"))).unwrap();
    check(
        catalog.add_compute_nodes(&[node("b"), node("a")], None),
        ErrorKind::ComputeNodeExists,
        "host a",
    );
    check(
        catalog.drop_compute_nodes(&[node("b")], None),
        ErrorKind::UnknownComputeNode,
        "compute node does not exists[b:9050]",
    );
    check(
        catalog.drop_compute_nodes(&[node("a")], Some("v")),
        ErrorKind::UnknownComputeNode,
        "warehouse w",
    );
    assert_eq!(catalog.drop_compute_nodes(&[node("a")], Some("w")).unwrap().len(), 1);
    check(
        catalog.add_compute_nodes(&[("c".to_owned(), 0)], None),
        ErrorKind::Invalid,
        "port",
    );
}

#[test]
fn a_commit_needs_what_it_wrote_to() {
    let mut catalog = cluster();
    let into_p = commit(&catalog, 1, "p");
    let into_t = commit(&catalog, 2, "t");
    run(&mut catalog, |c| c.truncate_table("d", "p", 0)).unwrap();
    run(&mut catalog, |c| c.drop_table("d", "t", false)).unwrap();
    check(catalog.commit(into_p), ErrorKind::UnknownPartition, "was dropped");
    check(catalog.commit(into_t), ErrorKind::UnknownTable, "was dropped");
}

#[test]
fn labels() {
    for good in ["a", "load 2024-01-01T00:00:00", "ümlaut.v1@x", &"x".repeat(128)] {
        assert_eq!(Catalog::check_label(good), Ok(()), "{good}");
    }
    for bad in ["", "a/b", "a\nb", "a'b", &"x".repeat(129)] {
        assert_eq!(
            Catalog::check_label(bad).unwrap_err().kind(),
            ErrorKind::Invalid,
            "{bad}"
        );
    }
}
