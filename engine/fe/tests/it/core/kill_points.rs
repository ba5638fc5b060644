//! The frontend dies at every step, before and after each write of the journal and of the store, and starts again. Then:
//! nothing acknowledged is lost, nothing unacknowledged appears in part, every label counts once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use springtide_fe::core::{Begun, Core};
use springtide_model::TxnId;

use super::{
    faults::{Death, Fault, FaultyStore},
    fixture::{Cluster, create_table, request, visible_rows},
};

const TABLES: [&str; 2] = ["t0", "t1"];
const LONG: Duration = Duration::from_secs(60);

/// What clients know about one load.
#[derive(Clone, Copy, Debug)]
struct Load {
    table: usize,
    rows: u64,
    /// Whether a commit was asked for.
    tried: bool,
    /// Whether it was acknowledged.
    acknowledged: bool,
}

/// What clients know about the cluster, over all lives of the frontend.
#[derive(Default)]
struct Ledger {
    tables: [bool; 2],
    loads: BTreeMap<String, Load>,
}

impl Ledger {
    /// One life of the frontend, until it has done its work or dies.
    async fn live(&mut self, cluster: &Cluster, death: &Death, random: &mut StdRng, loads: u64) {
        let store = Arc::new(FaultyStore::new(Arc::clone(&cluster.store), Fault::Dies(death.clone())));
        let opening = cluster.open_with(store, death.journal());
        let core = tokio::select! {
            () = death.wait() => return,
            opened = opening => match opened {
                Ok(core) => core,
                Err(refusal) => {
                    assert!(death.has_come(), "{refusal:?}");
                    return;
                }
            },
        };
        tokio::select! {
            () = death.wait() => {}
            () = self.work(cluster, &core, random, loads) => {}
        }
        core.shutdown().await;
    }

    /// Returns early where the dying frontend answers with an error.
    async fn work(&mut self, cluster: &Cluster, core: &Core, random: &mut StdRng, loads: u64) {
        for (known, name) in self.tables.iter_mut().zip(TABLES) {
            if core.catalog().resolve_table("d", name).is_err() {
                assert!(!*known, "table {name} is lost");
                if create_table(core, name).await.is_err() {
                    return;
                }
            }
            *known = true;
        }
        for _ in 0..loads {
            // Labels repeat, as those of clients that try again.
            let label = format!("load {}", random.random_range(0..6));
            let table = random.random_range(0..TABLES.len());
            let begun = match core.begin(request(TABLES[table], &label)).await {
                Ok(Begun::Target(target)) => target,
                Ok(Begun::LabelAlreadyExists { txn, .. }) => {
                    self.repeated(core, &label, txn);
                    continue;
                }
                Err(_) => return,
            };
            let before = self.loads.get(&label).copied();
            assert!(
                !before.is_some_and(|load| load.acknowledged),
                "label {label} counts twice"
            );
            let mut load = Load {
                table,
                rows: random.random_range(1..1000),
                tried: true,
                acknowledged: false,
            };
            let object = cluster.write(&begun, load.rows).await;
            if random.random_range(0..5) == 0 {
                core.abort(begun.txn, "changed its mind");
                continue;
            }
            self.loads.insert(label.clone(), load);
            if core.commit(begun.txn, vec![object]).await.is_err() {
                return;
            }
            load.acknowledged = true;
            self.loads.insert(label, load);
            if random.random() && !core.wait_visible(begun.txn, LONG).await.is_ok_and(|visible| visible) {
                return;
            }
        }
    }

    /// A label that is taken must be one that somebody tried to commit.
    fn repeated(&mut self, core: &Core, label: &str, txn: TxnId) {
        let load = self
            .loads
            .get_mut(label)
            .unwrap_or_else(|| panic!("label {label} is taken by nobody"));
        assert!(load.tried);
        load.acknowledged |= core.catalog().transaction(txn).is_some();
    }

    /// Looks at everything with a frontend that lives.
    async fn check(&mut self, cluster: &Cluster) {
        let core = cluster.open().await;
        let unpublished: Vec<TxnId> = core.catalog().unpublished().map(|txn| txn.id).collect();
        for txn in unpublished {
            assert!(core.wait_visible(txn, LONG).await.unwrap(), "{txn} is never visible");
        }
        let catalog = core.catalog();
        let mut expected = [0, 0];
        for (label, load) in &mut self.loads {
            let database = catalog.database("d").unwrap().id;
            match catalog.transaction_by_label(database, label) {
                Some(txn) => {
                    assert!(txn.is_visible());
                    assert_eq!(txn.rows, 2 * load.rows, "{label}");
                    expected[load.table] += load.rows;
                    // It was not known, and now it is.
                    load.acknowledged = true;
                }
                None => assert!(!load.acknowledged, "{label} was acknowledged and is lost"),
            }
        }
        assert!(catalog.transactions().count() <= self.loads.len());
        for (index, name) in TABLES.into_iter().enumerate() {
            if self.tables[index] {
                let rows = visible_rows(&core, name).await;
                assert_eq!(rows, [expected[index]; 2], "rows of {name}");
            }
        }
        core.shutdown().await;
    }
}

#[tokio::test]
async fn dying_at_every_step_of_a_short_life_loses_nothing() {
    for steps in 0.. {
        let cluster = Cluster::new();
        let death = Death::after(steps);
        let mut ledger = Ledger::default();
        // The same seed each time: only the moment of death differs.
        ledger.live(&cluster, &death, &mut StdRng::seed_from_u64(7), 12).await;
        ledger.check(&cluster).await;
        if !death.has_come() {
            assert!(steps > 40, "the life had {steps} steps only");
            println!("died at each of {steps} steps");
            return;
        }
    }
}

#[tokio::test]
async fn many_lives_that_end_anywhere_lose_nothing() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..4 {
        let cluster = Cluster::new();
        let mut ledger = Ledger::default();
        for _ in 0..8 {
            let death = Death::after(random.random_range(0..60));
            ledger.live(&cluster, &death, &mut random, 12).await;
            if random.random() {
                ledger.check(&cluster).await;
            }
        }
        ledger.check(&cluster).await;
    }
}
