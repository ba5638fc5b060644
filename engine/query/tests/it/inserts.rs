//! `INSERT … SELECT` through the sinks of all workers.

use std::sync::Arc;

use futures::TryStreamExt;
use springtide_model::{Column, DataType, Distribution, Literal, PartitionBound, PartitionRange, TableSchema};
use springtide_query::{Collected, QueryError};

use crate::{
    cluster::{Cluster, parse, rows},
    tpch::loaded,
};

fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.to_owned(),
        data_type,
        nullable: false,
        default: None,
        comment: String::new(),
    }
}

/// Line items by year of shipping.
fn sales() -> Arc<TableSchema> {
    Arc::new(TableSchema {
        schema_id: 1,
        columns: vec![
            column("ship", DataType::Date),
            column("OrderKey", DataType::BigInt),
            Column {
                default: Some(Literal::Text("EUR".to_owned())),
                ..column("currency", DataType::Char { length: 3 })
            },
            column(
                "price",
                DataType::Decimal {
                    precision: 10,
                    scale: 1,
                },
            ),
        ],
        key_columns: 2,
        partition_column: Some(0),
        distribution: Distribution {
            columns: vec![1],
            buckets: 2,
        },
    })
}

fn year(year: u32) -> PartitionRange {
    let day = |year| PartitionBound::Value(Literal::Text(format!("{year}-01-01")));
    PartitionRange {
        lower: day(year),
        upper: day(year + 1),
    }
}

async fn insert(
    cluster: &Cluster,
    target: &springtide_model::LoadTarget,
    columns: &[&str],
    sql: &str,
) -> Result<springtide_query::InsertOutcome, QueryError> {
    let session = cluster.session();
    let plan = session.plan(parse(sql)).await?;
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let plan = session.arrange(plan, &target.schema, &columns)?;
    session.insert(target.clone(), &plan).await
}

const COLUMNS: [&str; 3] = ["orderkey", "ship", "price"];
const SELECT: &str = "select l_orderkey, l_shipdate, l_extendedprice from lineitem";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_worker_writes_and_the_rows_come_back() {
    let (cluster, _) = loaded(3).await;
    let years: Vec<(String, PartitionRange)> = (1992..=1998).map(|y| (format!("p{y}"), year(y))).collect();
    let partitions = years
        .iter()
        .map(|(name, range)| (name.as_str(), Some(range.clone())))
        .collect();
    let target = cluster.target("sales", &sales(), partitions);
    let outcome = insert(&cluster, &target, &COLUMNS, SELECT).await.unwrap();
    assert_eq!(outcome.rows, 60_175);
    assert_eq!(
        outcome
            .objects
            .iter()
            .map(springtide_model::DataObject::rows)
            .sum::<u64>(),
        60_175
    );
    for worker in &cluster.workers {
        assert!(
            worker.service.metrics().written_rows > 0,
            "{} wrote nothing",
            worker.url
        );
    }
    cluster.publish(&target, &outcome.objects);
    let sums = "select currency, count(orderkey), sum(orderkey), min(ship), max(ship) from sales group by currency";
    let expected = "select 'EUR', count(l_orderkey), sum(l_orderkey), min(l_shipdate), max(l_shipdate) from lineitem";
    assert_eq!(
        rows(&cluster.query(sums).await.unwrap()),
        rows(&cluster.query(expected).await.unwrap())
    );
    let session = cluster.session();
    let plan = session
        .plan(parse(
            "select sum(price) from sales where ship >= '1994-01-01' and ship < '1995-01-01'",
        ))
        .await
        .unwrap();
    let text = session.explain(&plan).await.unwrap();
    let of_1994 = target.partitions[2].id;
    let segments = outcome.objects.iter().flat_map(|object| &object.writes);
    let expected = segments.filter(|write| write.partition == of_1994).count();
    let read: usize = text
        .split("pieces=")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok())
        .sum();
    assert_eq!(read, expected, "one partition of seven is read:\n{text}");
    let stream = session.execute_stream(&plan).await.unwrap();
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_rows_are_written_by_one_worker_or_collected_here() {
    let (cluster, _) = loaded(1).await;
    let target = cluster.target("sales", &sales(), vec![("all", None)]);
    let outcome = insert(&cluster, &target, &COLUMNS, &format!("{SELECT} limit 3"))
        .await
        .unwrap();
    assert_eq!((outcome.rows, outcome.objects.len()), (3, 1));
    let values = "values (1, date '2024-02-29', 1.25), (2, date '2024-03-01', 2.75)";
    let outcome = insert(&cluster, &target, &COLUMNS, values).await.unwrap();
    assert_eq!((outcome.rows, outcome.objects.len()), (2, 1));
    cluster.publish(&target, &outcome.objects);
    assert_eq!(
        cluster.sorted("select * from sales").await,
        ["2024-02-29|1|EUR|1.3", "2024-03-01|2|EUR|2.8"]
    );

    let session = cluster.session();
    let plan = session.plan(parse("values (1), (2), (3)")).await.unwrap();
    assert!(matches!(session.collect_batches(&plan, 3).await.unwrap(), Collected::All(batches) if batches.len() == 1));
    assert!(matches!(
        session.collect_batches(&plan, 2).await.unwrap(),
        Collected::TooMany
    ));
    let empty = insert(&cluster, &target, &COLUMNS, &format!("{SELECT} where l_orderkey < 0"))
        .await
        .unwrap();
    assert_eq!((empty.rows, empty.objects.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_do_not_fit_are_named_and_nothing_stays_behind() {
    let (cluster, _) = loaded(2).await;
    let before = stored(&cluster).await;
    let target = cluster.target("sales", &sales(), vec![("p1994", Some(year(1994)))]);
    let error = insert(&cluster, &target, &COLUMNS, SELECT).await.unwrap_err();
    assert!(matches!(error, QueryError::Rows(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("no partition of table `sales` takes value '19"),
        "{error}"
    );

    let target = cluster.target("sales", &sales(), vec![("all", None)]);
    let too_long = "select l_orderkey, l_shipdate, l_extendedprice, l_shipinstruct from lineitem";
    let error = insert(&cluster, &target, &["orderkey", "ship", "price", "currency"], too_long)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("column `currency`, row ") && text.contains("too long for CHAR(3)"),
        "{text}"
    );

    let text = insert(&cluster, &target, &["price"], "values (1)")
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(text, "column `ship` has no default and is NOT NULL; give it a value");
    let text = insert(&cluster, &target, &["price", "ship"], "values (1)")
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(text, "2 columns to insert into, but 1 values per row");
    let text = insert(&cluster, &target, &["nope"], "values (1)")
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(text, "unknown column 'nope'");
    assert_eq!(stored(&cluster).await, before);
}

async fn stored(cluster: &Cluster) -> usize {
    cluster.store.list(None).try_collect::<Vec<_>>().await.unwrap().len()
}
