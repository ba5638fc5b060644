//! Takes away all that the demo made.

use std::time::Duration;

use crate::{
    Result, cluster, departments::OPERATOR_NAMESPACE, images::Delivery, places::Places, storage, target::Target,
    timeline::Timeline,
};

/// Deleting objects with their pods and volumes.
const DELETE_LIMIT: Duration = Duration::from_secs(300);

/// Stops the local Kubernetes with all in it; or, in another one, deletes the departments, the operator and the S3 server.
pub async fn remove(places: &Places, timeline: &Timeline, context: Option<String>) -> Result<()> {
    let Some(context) = context else {
        return timeline
            .step("Kubernetes and all in it", async |p| cluster::down(places, &p).await)
            .await;
    };
    let programs = timeline
        .step("kubectl and helm", async |p| cluster::programs(places, &p).await)
        .await?;
    // How images would get there does not matter when nothing is brought; any way but the local one means "not this machine's".
    let target = Target::context(context, Delivery::Kind { cluster: String::new() }, programs);
    let delete = |what: &[&str]| {
        target
            .kubectl(DELETE_LIMIT)
            .args(["delete", "--ignore-not-found", "--wait"])
            .args(what)
    };
    timeline
        .step("departments", async |p| {
            let namespaces = match crate::departments::Examples::read(&target, places).await {
                Ok(examples) => examples.namespaces(),
                Err(_) => return Ok(()), // no CRDs: nothing of ours is there
            };
            // Clusters before departments: a department guards the namespaces of its clusters.
            for kind in ["computegroups.springtide.dev", "lakeclusters.springtide.dev"] {
                for namespace in &namespaces {
                    delete(&[kind, "--all", "--namespace", namespace]).with(&p).await?;
                }
            }
            delete(&[
                "--recursive",
                "--filename",
                &places.checkout.join("examples").to_string_lossy(),
            ])
            .with(&p)
            .await?;
            for namespace in &namespaces {
                delete(&["namespace", namespace]).with(&p).await?;
            }
            Ok(())
        })
        .await?;
    timeline
        .step("operator", async |p| {
            for release in ["springtide", "springtide-crds"] {
                target
                    .helm(DELETE_LIMIT)
                    .args([
                        "uninstall",
                        release,
                        "--namespace",
                        OPERATOR_NAMESPACE,
                        "--ignore-not-found",
                        "--wait",
                    ])
                    .with(&p)
                    .await?;
            }
            let definitions = springtide_crds::schema::definitions();
            let crds: Vec<String> = definitions
                .iter()
                .filter_map(|definition| definition.metadata.name.clone())
                .collect();
            let crds: Vec<&str> = crds.iter().map(String::as_str).collect();
            delete(&[&["crd"], &crds[..]].concat()).with(&p).await?;
            delete(&["namespace", OPERATOR_NAMESPACE]).with(&p).await
        })
        .await?;
    timeline
        .step("S3 server and its data", async |p| {
            delete(&["namespace", storage::NAMESPACE]).with(&p).await
        })
        .await
}
