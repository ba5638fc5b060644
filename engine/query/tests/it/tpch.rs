//! TPC-H on three workers gives what one DataFusion gives, and every worker scans in every query that is meant to spread.

use std::sync::Arc;

use datafusion::{arrow::array::RecordBatch, prelude::SessionContext};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

use crate::cluster::{Cluster, memory_table, rows, schema_of};

const SCALE: f64 = 0.01;

const Q1: &str =
    "select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price,
    sum(l_extendedprice * (1 - l_discount)) as sum_disc_price,
    sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge, avg(l_quantity) as avg_qty,
    avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order
    from lineitem where l_shipdate <= date '1998-12-01' - interval '90' day
    group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus";
const Q3: &str = "select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority
    from customer, orders, lineitem where c_mktsegment = 'BUILDING' and c_custkey = o_custkey
    and l_orderkey = o_orderkey and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
    group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10";
const Q5: &str = "select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue
    from customer, orders, lineitem, supplier, nation, region where c_custkey = o_custkey and l_orderkey = o_orderkey
    and l_suppkey = s_suppkey and c_nationkey = s_nationkey and s_nationkey = n_nationkey
    and n_regionkey = r_regionkey and r_name = 'ASIA' and o_orderdate >= date '1994-01-01'
    and o_orderdate < date '1994-01-01' + interval '1' year group by n_name order by revenue desc";
const Q6: &str = "select sum(l_extendedprice * l_discount) as revenue from lineitem
    where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year
    and l_discount between 0.05 and 0.07 and l_quantity < 24";
const Q9: &str = "select nation, o_year, sum(amount) as sum_profit from (
    select n_name as nation, extract(year from o_orderdate) as o_year,
    l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity as amount
    from part, supplier, lineitem, partsupp, orders, nation where s_suppkey = l_suppkey and ps_suppkey = l_suppkey
    and ps_partkey = l_partkey and p_partkey = l_partkey and o_orderkey = l_orderkey
    and s_nationkey = n_nationkey and p_name like '%green%') as profit
    group by nation, o_year order by nation, o_year desc";
const Q18: &str = "select c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) as quantity
    from customer, orders, lineitem where o_orderkey in (
    select l_orderkey from lineitem group by l_orderkey having sum(l_quantity) > 212)
    and c_custkey = o_custkey and o_orderkey = l_orderkey
    group by c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
    order by o_totalprice desc, o_orderdate, o_orderkey limit 100";

/// Queries that read the large tables.
const SPREAD: [(&str, &str); 6] = [("Q1", Q1), ("Q3", Q3), ("Q5", Q5), ("Q6", Q6), ("Q9", Q9), ("Q18", Q18)];

pub(crate) fn lineitem() -> Vec<RecordBatch> {
    LineItemArrow::new(LineItemGenerator::new(SCALE, 1, 1)).collect()
}

fn tables() -> Vec<(&'static str, u32, Vec<RecordBatch>)> {
    vec![
        ("lineitem", 6, lineitem()),
        ("orders", 6, OrderArrow::new(OrderGenerator::new(SCALE, 1, 1)).collect()),
        (
            "customer",
            3,
            CustomerArrow::new(CustomerGenerator::new(SCALE, 1, 1)).collect(),
        ),
        ("part", 3, PartArrow::new(PartGenerator::new(SCALE, 1, 1)).collect()),
        (
            "partsupp",
            3,
            PartSuppArrow::new(PartSuppGenerator::new(SCALE, 1, 1)).collect(),
        ),
        (
            "supplier",
            1,
            SupplierArrow::new(SupplierGenerator::new(SCALE, 1, 1)).collect(),
        ),
        ("nation", 1, NationArrow::new(NationGenerator::default()).collect()),
        ("region", 1, RegionArrow::new(RegionGenerator::default()).collect()),
    ]
}

/// A cluster with TPC-H loaded, and the same rows in one local DataFusion.
pub(crate) async fn loaded(workers: usize) -> (Cluster, SessionContext) {
    filled(Cluster::start(workers)).await
}

/// The same on a cluster that was started already.
pub(crate) async fn filled(cluster: Cluster) -> (Cluster, SessionContext) {
    let local = SessionContext::new();
    for (name, buckets, batches) in tables() {
        let schema = schema_of(&batches[0], buckets);
        let target = cluster.target(name, &schema, vec![(name, None)]);
        let objects = cluster.load(&target, &batches).await;
        assert_eq!(objects.len(), 1, "a small load is one object");
        local
            .register_table(name, Arc::new(memory_table(&schema, &batches)))
            .unwrap();
    }
    (cluster, local)
}

async fn local_rows(local: &SessionContext, sql: &str) -> Vec<String> {
    rows(&local.sql(sql).await.unwrap().collect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_answer_as_one_process_does_and_all_of_them_scan() {
    let (cluster, local) = loaded(3).await;
    for (name, sql) in SPREAD {
        let before = cluster.scanned_rows();
        let answer = rows(&cluster.query(sql).await.unwrap());
        assert_eq!(answer, local_rows(&local, sql).await, "{name}");
        assert!(!answer.is_empty(), "{name} gives rows");
        for (worker, (before, after)) in before.into_iter().zip(cluster.scanned_rows()).enumerate() {
            assert!(after > before, "{name}: worker {worker} scanned no row");
        }
    }
    assert_eq!(
        cluster.coordinator.resources().scanned_rows(),
        0,
        "the frontend scans nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_does_all_the_work_and_the_frontend_none() {
    let (cluster, local) = loaded(1).await;
    for (name, sql) in [("Q3", Q3), ("Q6", Q6)] {
        let answer = rows(&cluster.query(sql).await.unwrap());
        assert_eq!(answer, local_rows(&local, sql).await, "{name}");
    }
    assert!(cluster.scanned_rows()[0] > 0);
    assert_eq!(
        cluster.coordinator.resources().scanned_rows(),
        0,
        "the frontend scans nothing"
    );
    let small = rows(
        &cluster
            .query("select n_name from nation where n_nationkey = 7")
            .await
            .unwrap(),
    );
    assert_eq!(small, ["GERMANY"]);
    assert_eq!(
        cluster.coordinator.resources().scanned_rows(),
        0,
        "not even a small table"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_counted_from_metadata_and_a_key_opens_one_bucket() {
    let (cluster, _) = loaded(2).await;
    let before: u64 = cluster.scanned_rows().iter().sum();
    let total = rows(&cluster.query("select count(*) from orders").await.unwrap());
    assert_eq!(total, ["15000"]);
    assert_eq!(
        cluster.scanned_rows().iter().sum::<u64>(),
        before,
        "counting reads no row"
    );
    let session = cluster.session();
    let plan = session
        .plan(crate::cluster::parse(
            "select o_totalprice from orders where o_orderkey = 7",
        ))
        .await
        .unwrap();
    let text = session.explain(&plan).await.unwrap();
    assert!(text.contains("pieces=1 "), "one of six buckets is read:\n{text}");
}
