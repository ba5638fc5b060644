//! Gives the operator of a test the rights that the chart gives it, and not one more.

use std::sync::OnceLock;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::charts::{RELEASE_NAMESPACE, render};

/// Roles and bindings of the chart, as it is installed with its own values.
pub(crate) fn of_the_chart() -> &'static [Value] {
    static RENDERED: OnceLock<Vec<Value>> = OnceLock::new();
    RENDERED.get_or_init(|| rbac("springtide", &[]))
}

/// The same with these arguments for `helm template`.
pub(crate) fn rbac(release: &str, arguments: &[&str]) -> Vec<Value> {
    let mut objects = render("springtide", release, RELEASE_NAMESPACE, arguments);
    objects.retain(|object| object["apiVersion"] == "rbac.authorization.k8s.io/v1");
    // Those of the uninstallation are another account's.
    objects.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"].is_null());
    objects
}

/// Installs what the chart gives to an operator whose own namespace is `namespace`, and waits until it counts.
pub(crate) async fn grant(client: &Client, operator: &Client, namespace: &str) {
    for object in of_the_chart() {
        let mut object = object.clone();
        // Every test has a namespace of its own for the Lease; whom the rights are for stays the same.
        if object["metadata"]["namespace"] == RELEASE_NAMESPACE {
            object["metadata"]["namespace"] = namespace.into();
        }
        apply(client, &object).await;
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !counts(operator, namespace).await {
        assert!(
            std::time::Instant::now() < deadline,
            "the operator's rights do not count"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The authorizer learns of roles by a watch, so they count a moment after they are written.
async fn counts(operator: &Client, namespace: &str) -> bool {
    may(operator, namespace, "coordination.k8s.io/leases", "update").await
        && may(operator, namespace, "springtide.dev/computegroups", "watch").await
}

/// Asks the API server whether somebody may do something in a namespace; the resource is `group/resource` or
/// `group/resource/subresource`.
pub(crate) async fn may(client: &Client, namespace: &str, resource: &str, verb: &str) -> bool {
    let mut parts = resource.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let attributes = json!({
        "namespace": namespace, "verb": verb, "group": part(), "resource": part(), "subresource": part(),
    });
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes},
    });
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&review).unwrap())
        .unwrap();
    let answer: Value = client.request(request).await.unwrap();
    answer["status"]["allowed"] == true
}

/// Writes an object of any kind as it is.
pub(crate) async fn apply(client: &Client, object: &Value) -> DynamicObject {
    try_apply(client, object, &PatchParams::apply("a-test").force())
        .await
        .unwrap_or_else(|error| panic!("{} {}: {error}", object["kind"], object["metadata"]["name"]))
}

/// Writes an object of any kind, or says why it is refused.
pub(crate) async fn try_apply(
    client: &Client,
    object: &Value,
    parameters: &PatchParams,
) -> Result<DynamicObject, kube::Error> {
    let (api, name) = addressed(client, object);
    api.patch(&name, parameters, &Patch::Apply(object)).await
}

/// Where an object of any kind is, and its name.
pub(crate) fn addressed(client: &Client, object: &Value) -> (Api<DynamicObject>, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text(&object["kind"])));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    (api, text(&object["metadata"]["name"]))
}
