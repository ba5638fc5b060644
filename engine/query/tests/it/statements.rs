//! Names, errors, EXPLAIN, tables in memory.

use springtide_query::QueryError;

use crate::{
    cluster::{parse, rows, run},
    tpch::loaded,
};

async fn error_of(cluster: &crate::cluster::Cluster, sql: &str) -> String {
    cluster.query(sql).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_found_and_errors_say_what_is_wrong() {
    let (cluster, _) = loaded(2).await;
    let query = "select N_NAME, `n_NationKey` as `Key` from TPCH.nation as N where n.N_nationkey = 3 order by `KEY`";
    let error = error_of(&cluster, query).await;
    assert_eq!(error, "unknown database 'TPCH'");
    let query = query.replace("TPCH", "tpch");
    assert_eq!(rows(&cluster.query(&query).await.unwrap()), ["CANADA|3"]);
    let session = cluster.session();
    let plan = session.plan(parse(&query)).await.unwrap();
    assert_eq!(plan.column_names, ["N_NAME", "Key"]);
    let plan = session
        .plan(parse("select 1 + 1, r.*, COUNT(*) over () from region r"))
        .await
        .unwrap();
    assert_eq!(
        plan.column_names,
        ["1 + 1", "r_regionkey", "r_name", "r_comment", "COUNT(*) OVER ()"]
    );

    assert_eq!(
        error_of(&cluster, "select * from Nation").await,
        "unknown table 'tpch.Nation'"
    );
    assert_eq!(error_of(&cluster, "select * from x.y").await, "unknown database 'x'");
    let error = error_of(&cluster, "select n_nam from nation").await;
    assert!(error.starts_with("unknown column 'n_nam'; there are"), "{error}");
    assert!(error.contains("n_name"), "{error}");
    let error = error_of(&cluster, "select nofunction(n_name) from nation").await;
    assert!(error.to_lowercase().contains("nofunction"), "{error}");

    let mut request = cluster.request();
    request.default_database = None;
    let session = cluster.coordinator.session(request).unwrap();
    let error = run(&session, "select * from nation").await.unwrap_err();
    assert!(matches!(error, QueryError::NoDatabase), "{error}");
    let rows_of_two_part_name = run(&session, "select count(*) from tpch.nation").await.unwrap();
    assert_eq!(rows(&rows_of_two_part_name), ["25"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn common_tables_subqueries_and_tables_in_memory_work_together() {
    let (cluster, _) = loaded(2).await;
    let with = "with big as (select c_nationkey k, sum(c_acctbal) s from customer group by c_nationkey)
        select n_name from big join nation on k = n_nationkey where s = (select max(s) from big)";
    assert_eq!(
        cluster
            .query(with)
            .await
            .unwrap()
            .iter()
            .map(datafusion::arrow::array::RecordBatch::num_rows)
            .sum::<usize>(),
        1
    );
    let region = cluster.query("select * from region").await.unwrap();
    cluster.publish_memory("regions_here", region);
    assert_eq!(
        cluster
            .sorted("select r_name from regions_here where r_regionkey < 2")
            .await,
        ["AFRICA", "AMERICA"]
    );
    let mixed =
        "select h.r_name, count(*) from regions_here h join nation on h.r_regionkey = n_regionkey group by h.r_name";
    assert_eq!(cluster.sorted(mixed).await.len(), 5);
    let union =
        "select n_name from nation where n_nationkey = 1 union all select 'x' union all select r_name from region";
    assert_eq!(cluster.sorted(union).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_shows_stages_and_workers() {
    let (cluster, _) = loaded(2).await;
    let session = cluster.session();
    let plan = session
        .plan(parse(
            "select l_returnflag, count(*) from lineitem group by l_returnflag",
        ))
        .await
        .unwrap();
    let text = session.explain(&plan).await.unwrap();
    assert!(text.contains("Stage 1"), "{text}");
    assert!(text.contains("LakeScan: table=tpch.lineitem"), "{text}");
    for worker in &cluster.workers {
        assert!(text.contains(worker.url.authority()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_divided_as_in_mysql() {
    let (cluster, _) = loaded(1).await;
    let answer = cluster
        .query("select 1 / 2, 7 div 2, 1 / 0, 5 % 0, 5 % 3, 0.1 + 0.2, 1.5 / 0")
        .await
        .unwrap();
    assert_eq!(rows(&answer), ["0.5|3|||2|0.3|"]);
    let column = "select n_nationkey / n_regionkey from nation where n_nationkey in (5, 3) order by n_nationkey";
    assert_eq!(rows(&cluster.query(column).await.unwrap()), ["3.0", ""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_column_may_be_asked_for_twice() {
    let (cluster, _) = loaded(1).await;
    let sql = "select r_name, r_name, 1, 1, count(*), count(*) from region where r_regionkey = 1 group by r_name";
    let session = cluster.session();
    let plan = session.plan(parse(sql)).await.unwrap();
    assert_eq!(
        plan.column_names,
        ["r_name", "r_name", "1", "1", "count(*)", "count(*)"]
    );
    assert_eq!(rows(&run(&session, sql).await.unwrap()), ["AMERICA|AMERICA|1|1|1|1"]);
}
