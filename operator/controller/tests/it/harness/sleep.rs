//! Groups that sleep, and the statements that wait for them.

use serde_json::json;

use super::world::World;

impl World {
    /// Makes the cluster `lake` and a group of it at 0, which a statement wakes; until its node is known, so that statements know whom they
    /// wait for.
    pub(crate) async fn make_sleeper(&self, group: &str) {
        self.make_cluster("lake").await;
        self.make_group(group, "lake", json!({"replicas": 0, "wakeOnQuery": true}))
            .await;
        self.eventually("its node is known", || async {
            let catalog = self.frontend.catalog.lock().unwrap();
            (catalog.nodes.len() == 1).then_some(())
        })
        .await;
    }

    /// So many statements wait for compute of the group, and as many nodes would let them run.
    pub(crate) fn statements_wait(&self, group: &str, statements: u32) {
        let mut catalog = self.frontend.catalog.lock().unwrap();
        catalog.queued.insert(group.to_owned(), (statements, statements));
    }
}
