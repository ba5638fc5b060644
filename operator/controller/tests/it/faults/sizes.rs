//! The sizes that a StatefulSet went by.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::task::JoinHandle;

use crate::harness::world::World;

/// The sizes that the group's StatefulSet has had, as the API server tells everybody, and not as an operator says. One that is made
/// anew has a size of its own, be it the same.
pub(super) struct Sizes {
    seen: Arc<Mutex<Vec<Size>>>,
    watch: JoinHandle<()>,
}

#[derive(Clone, PartialEq)]
struct Size {
    uid: Option<String>,
    replicas: i32,
}

impl Sizes {
    pub(super) fn watch(world: &World) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let of_group = watcher::Config::default().fields("metadata.name=etl-cn");
        let mut sets = Box::pin(watcher::watcher(world.api::<StatefulSet>(), of_group).applied_objects());
        let told = Arc::clone(&seen);
        let watch = tokio::spawn(async move {
            while let Some(set) = sets.next().await {
                // A watch that breaks begins again.
                let Ok(set) = set else { continue };
                let size = Size {
                    uid: set.uid(),
                    replicas: set.spec.and_then(|spec| spec.replicas).unwrap_or_default(),
                };
                let mut told = told.lock().unwrap();
                if told.last() != Some(&size) {
                    told.push(size);
                }
            }
        });
        Self { seen, watch }
    }

    /// Those since this was asked last, after the one that it had then, and up to the one that it has now.
    pub(super) async fn since_last(&self, world: &World) -> Vec<i32> {
        if let Some(now) = world.wanted("etl").await {
            world
                .eventually("the watch has told of all sizes", || async {
                    let seen = self.seen.lock().unwrap();
                    (seen.last().map(|size| size.replicas) == Some(now)).then_some(())
                })
                .await;
        }
        assert!(!self.watch.is_finished());
        let mut seen = self.seen.lock().unwrap();
        let last = seen.last().cloned();
        let seen = std::mem::replace(&mut *seen, last.into_iter().collect());
        seen.into_iter().map(|size| size.replicas).collect()
    }
}

impl Drop for Sizes {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
