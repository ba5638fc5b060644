//! Clusters of StarRocks in a world.

use serde_json::{Value, json};
use springtide_crds::LakeCluster;

use super::{starrocks::StarRocks, world::World};

impl World {
    /// Makes a cluster of StarRocks, and its frontends play it from now on.
    pub(crate) async fn make_starrocks(&self, name: &str, frontends: u32) -> LakeCluster {
        self.frontend.catalog.lock().unwrap().starrocks = Some(StarRocks::default());
        let spec = json!({
            "engine": {"kind": "StarRocks", "version": "3.5.5"},
            "frontends": {"replicas": frontends},
        });
        self.make_cluster_with(name, spec).await
    }

    /// What the frontends of StarRocks know.
    pub(crate) fn starrocks<T>(&self, look: impl FnOnce(&mut StarRocks) -> T) -> T {
        let mut catalog = self.frontend.catalog.lock().unwrap();
        look(catalog.starrocks.as_mut().expect("a cluster of StarRocks was made"))
    }

    /// So many frontends belong to the cluster, and it is ready.
    pub(crate) async fn frontends_serve(&self, name: &str, frontends: usize) {
        self.eventually(&format!("{frontends} frontends of {name} serve"), || async {
            let status = self.get::<LakeCluster>(name).await?.status?;
            let is_ready = super::world::is_true(&status.conditions, "Ready");
            let is_known = self.starrocks(|starrocks| starrocks.members.len() == frontends);
            (is_ready && is_known).then_some(())
        })
        .await;
    }

    /// Pods that the operator has deleted in this namespace, in order, each once.
    pub(crate) fn pods_deleted(&self) -> Vec<String> {
        let everything = super::api_server::AuditMark::default();
        let requests = super::api_server::api_server().requests_of_operator(everything);
        let of = |event: &Value, field: &str| event["objectRef"][field].as_str().unwrap_or_default().to_owned();
        let mut pods = Vec::new();
        for event in requests {
            let is_one = event["verb"] == "delete"
                && of(&event, "resource") == "pods"
                && of(&event, "namespace") == self.namespace;
            let pod = of(&event, "name");
            if is_one && !pods.contains(&pod) {
                pods.push(pod);
            }
        }
        pods
    }

    /// Another image comes to three frontends of StarRocks.
    pub(crate) async fn roll_starrocks(&self, name: &str) {
        self.make_starrocks(name, 3).await;
        self.frontends_serve(name, 3).await;
        let image = json!({"spec": {"image": "registry.example.com/starrocks:2"}});
        self.merge::<LakeCluster>(name, image).await;
        self.eventually("the pods of the frontends are replaced", || async {
            (self.pods_deleted().len() == 3).then_some(())
        })
        .await;
    }
}
