//! Clients that load and query without a pause while something happens to the nodes of their group, as in the trials of hours.

use springtide_e2e::{
    soak::{self, Outcome},
    sql_client::Installed,
    timeline::Progress,
};

use crate::{
    department::{Department, LAKE},
    harness::Cluster,
    scenario::Scenario,
};

/// The clients, each a program that people use.
pub(crate) async fn installed(cluster: &Cluster) -> Installed {
    let installed = Installed::on(&cluster.places, &Progress::default()).await;
    installed.unwrap_or_else(|error| panic!("{error}"))
}

/// Something happens to the nodes of a group under load, and not one statement fails by it, of at least `fewest`.
pub(crate) async fn under_load(
    scenario: &Scenario,
    department: &Department,
    group: &str,
    fewest: u64,
    happens: impl Future<Output = ()>,
) -> Outcome {
    let lake = department.answers(LAKE).await;
    let cluster = &department.cluster;
    let installed = installed(cluster).await;
    let outcome = scenario
        .meanwhile("clients load and query without a pause", async |progress| {
            let (target, client) = (&cluster.target, &cluster.client);
            let happens = Box::pin(happens);
            let outcome = soak::under_load(target, client, &lake, group, &installed, happens, &progress).await;
            outcome.unwrap_or_else(|error| panic!("{error}"))
        })
        .await;
    scenario.note(&outcome.to_string());
    scenario
        .and("no statement has failed, and no row is missing or twice", async || {
            assert_eq!((outcome.failed, outcome.ledger_difference), (0, 0), "{outcome}");
            assert!(
                outcome.wrong_answers.is_empty() && outcome.wrong_nodes.is_empty(),
                "{outcome}"
            );
            assert!(outcome.succeeded() > fewest, "the clients hardly worked: {outcome}");
        })
        .await;
    outcome
}
