//! The API as the API server has it: what it fills in, what it refuses and with which words, and what it shows.

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::harness::{
    rights::{addressed, try_apply},
    world::World,
};

fn cluster(namespace: &str) -> Value {
    json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster",
        "metadata": {"name": "lake", "namespace": namespace},
        "spec": {
            "engine": {"version": "0.1.0"},
            "storage": {
                "bucket": "retail", "prefix": "lake", "endpoint": "http://s3.storage.svc:7070",
                "credentials": {"secretRef": {"name": "storage"}},
            },
            "frontends": {"metadataVolume": {"storageClassName": "fast"}},
        },
    })
}

fn group(namespace: &str) -> Value {
    json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup",
        "metadata": {"name": "etl", "namespace": namespace},
        "spec": {
            "cluster": "lake", "warehouse": "etl",
            "schedules": [{"name": "w", "start": "0 8 * * *", "duration": "2h", "minReplicas": 1}],
            "placement": {"tolerations": [{"key": "spot", "operator": "Exists"}]},
        },
    })
}

fn department(namespace: &str) -> Value {
    json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "Department",
        "metadata": {"name": format!("dept-{namespace}")},
        "spec": {"namespaces": [{"name": format!("{namespace}-a")}, {"name": format!("{namespace}-b")}]},
    })
}

async fn written(client: &Client, object: &Value) -> Result<DynamicObject, kube::Error> {
    try_apply(client, object, &PatchParams::apply("a-test").force()).await
}

/// Writes the object with `value` at `pointer` in a dry run; the refusal, or nothing when it is accepted.
async fn refusal(client: &Client, mut object: Value, pointer: &str, value: Value) -> Option<String> {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    // As `kubectl edit` and `kubectl create` do it.
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let (api, name) = addressed(client, &object);
    let result = match api.get_opt(&name).await.unwrap() {
        Some(mut live) => {
            live.data["spec"] = object["spec"].clone();
            api.replace(&name, &parameters, &live).await
        }
        None => api.create(&parameters, &serde_json::from_value(object).unwrap()).await,
    };
    result.err().map(|error| error.to_string())
}

/// Each row is refused, and with these words.
async fn check(client: &Client, object: &Value, rows: &[(&str, Value, &str)]) {
    let mut faults = Vec::new();
    for (pointer, value, words) in rows {
        match refusal(client, object.clone(), pointer, value.clone()).await {
            None => faults.push(format!("{pointer} = {value} is accepted")),
            Some(message) if !message.contains(words) => {
                faults.push(format!("{pointer} = {value}: {words:?} is missing in: {message}"));
            }
            Some(_) => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn a_compute_group_that_makes_no_sense_is_refused_with_what_to_write_instead() {
    let world = World::new().await;
    let object = group(&world.namespace);
    written(&world.client, &object).await.unwrap();
    let window = "/spec/schedules/0";
    let of = |field: &str| format!("{window}/{field}");
    let rows = [
        (
            "/spec/cluster".to_owned(),
            json!("other"),
            "cluster cannot change: the nodes are known",
        ),
        (
            "/spec/cluster".to_owned(),
            json!("Lake!"),
            "write the name of a LakeCluster",
        ),
        ("/spec/warehouse".to_owned(), json!("other"), "warehouse cannot change"),
        (
            "/spec/replicas".to_owned(),
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "/spec/replicas".to_owned(),
            json!(1001),
            "should be less than or equal to 1000",
        ),
        (
            "/spec/resources".to_owned(),
            json!({"cpu": "two", "memory": "1Gi"}),
            "write an amount as Kubernetes has it",
        ),
        (
            "/spec/resources".to_owned(),
            json!({"cpu": -1, "memory": "1Gi"}),
            "not a negative one",
        ),
        (
            "/spec/resources".to_owned(),
            json!({"cpu": 1}),
            "spec.resources.memory: Required value",
        ),
        ("/spec/cacheSize".to_owned(), json!("-5Gi"), "not a negative one"),
        (of("name"), json!("Peak Hours"), "for example opening-hours"),
        (of("start"), json!("@noon"), "one of @hourly, @daily"),
        (of("start"), json!("0 0 8 * * *"), "there is no field for seconds"),
        (of("until"), json!("18:00"), "a window ends in one way"),
        (of("duration"), json!("2 hours"), "write hours, minutes and seconds"),
        (
            of("duration"),
            json!("0s"),
            "duration is how long the window stays open: write between 1s and 8784h",
        ),
        (of("duration"), json!("8785h"), "write between 1s and 8784h"),
        (of("timeZone"), json!("UTC+2:00"), "write the IANA name of a time zone"),
        (
            of("maxReplicas"),
            json!(0),
            "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas",
        ),
        (of("leadTime"), json!("25h"), "write between 1s and 24h, for example 5m"),
        (
            window.to_owned(),
            json!({"name": "w", "start": "@daily", "duration": "1h"}),
            "write minReplicas, maxReplicas or both",
        ),
        (
            window.to_owned(),
            json!({"name": "w", "start": "@daily", "minReplicas": 1}),
            "not both and not neither",
        ),
        (
            window.to_owned(),
            json!({"name": "w", "start": "@daily", "until": "6 pm", "minReplicas": 1}),
            "write a local time from 00:00 to 23:59",
        ),
        (
            window.to_owned(),
            json!({"name": "w", "start": "@daily", "until": "18:00", "maxReplicas": 1, "leadTime": "5m"}),
            "write it only with minReplicas",
        ),
        (
            "/spec/drain".to_owned(),
            json!({"timeout": "25h"}),
            "drain.timeout is how long running statements may take to finish",
        ),
        (
            "/spec/drain".to_owned(),
            json!({"timeout": "0s"}),
            "write between 1s and 24h, for example 10m",
        ),
        (
            "/spec/labels".to_owned(),
            json!({"springtide.dev/cluster": "other"}),
            "write them under a prefix of your own",
        ),
        (
            "/spec/labels".to_owned(),
            json!({"team": "a b"}),
            "that is what the value of a label is made of",
        ),
        (
            "/spec/placement/nodeSelector".to_owned(),
            json!({"pool": "a/b"}),
            "that is what the value of a label is made of",
        ),
        (
            "/spec/placement/tolerations/0".to_owned(),
            json!({"operator": "Equal", "value": "x"}),
            "write operator: Exists with it",
        ),
        (
            "/spec/placement/tolerations/0".to_owned(),
            json!({"key": "a", "operator": "Exists", "value": "x"}),
            "leave value out",
        ),
        (
            "/spec/placement/tolerations/0".to_owned(),
            json!({"key": "a", "operator": "Exists", "effect": "Never"}),
            "write NoSchedule, PreferNoSchedule or NoExecute",
        ),
        (
            "/spec/placement/tolerations/0".to_owned(),
            json!({"key": "a", "operator": "Exists", "tolerationSeconds": 5}),
            "write effect: NoExecute with it",
        ),
        ("/metadata/name".to_owned(), json!("Etl"), "lowercase RFC 1123"),
        (
            "/metadata/name".to_owned(),
            json!("1st"),
            "metadata.name becomes part of host names",
        ),
    ];
    let rows: Vec<(&str, Value, &str)> = rows
        .iter()
        .map(|(pointer, value, words)| (pointer.as_str(), value.clone(), *words))
        .collect();
    check(&world.client, &object, &rows).await;
}

#[tokio::test]
async fn a_lake_cluster_that_makes_no_sense_is_refused_with_what_to_write_instead() {
    let world = World::new().await;
    let object = cluster(&world.namespace);
    written(&world.client, &object).await.unwrap();
    let both = json!({"secretRef": {"name": "s"}, "serviceAccountName": "a"});
    let rows = [
        ("/spec/engine/kind", json!("StarRocks"), "engine.kind cannot change"),
        (
            "/spec/engine/kind",
            json!("DuckDB"),
            "supported values: \"Bundled\", \"StarRocks\"",
        ),
        (
            "/spec/engine/version",
            json!("v 1"),
            "write the version as it stands in the tag of the image",
        ),
        (
            "/spec/storage/bucket",
            json!("other"),
            "storage.bucket and storage.prefix cannot change",
        ),
        (
            "/spec/storage/bucket",
            json!("s3://retail"),
            "write the name of the bucket alone",
        ),
        (
            "/spec/storage/prefix",
            json!("other"),
            "Create a second LakeCluster at the new place",
        ),
        ("/spec/storage/prefix", json!("/lake/"), "without a slash at its ends"),
        (
            "/spec/storage/endpoint",
            json!("http://other:7070"),
            "storage.endpoint cannot change",
        ),
        (
            "/spec/storage/endpoint",
            json!("s3.storage.svc:7070"),
            "write http:// or https://",
        ),
        ("/spec/storage/region", json!("eu central"), "for example eu-central-1"),
        (
            "/spec/storage/credentials",
            both,
            "write exactly one of storage.credentials.secretRef",
        ),
        (
            "/spec/storage/credentials",
            json!({}),
            "write exactly one of storage.credentials.secretRef",
        ),
        (
            "/spec/storage/credentials/secretRef",
            json!({"name": "s", "accessKeyIdKey": "a/b"}),
            "write the key of the Secret",
        ),
        (
            "/spec/frontends/replicas",
            json!(8),
            "should be less than or equal to 7",
        ),
        ("/spec/image", json!("engine 0.1.0"), "write registry/path:tag"),
        (
            "/spec/imagePullSecrets",
            json!(["Registry Login"]),
            "write the names of Secrets",
        ),
        (
            "/spec/frontends/metadataVolume",
            json!({"storageClassName": "slow"}),
            "storageClassName cannot change",
        ),
        (
            "/spec/frontends/metadataVolume/size",
            json!("ten"),
            "write an amount as Kubernetes has it",
        ),
        (
            "/spec/computeTemplate",
            json!({"podTemplate": {"labels": {"app.kubernetes.io/name": "x"}}}),
            "write them under a prefix of your own",
        ),
        (
            "/spec/bootstrap",
            json!({"adopt": "mine"}),
            "write the clusterId of the other cluster",
        ),
        (
            "/spec/service",
            json!({"type": "ExternalName"}),
            "supported values: \"ClusterIP\", \"NodePort\", \"LoadBalancer\"",
        ),
        (
            "/spec/deletionPolicy",
            json!("Shred"),
            "supported values: \"Retain\", \"Delete\"",
        ),
        (
            "/spec/deletion",
            json!({"data": "Wipe"}),
            "supported values: \"Retain\", \"Delete\"",
        ),
        ("/spec/tls", json!({}), "write exactly one of tls.secretName"),
        (
            "/spec/tls",
            json!({"secretName": "lake", "issue": {}}),
            "write exactly one of tls.secretName",
        ),
        (
            "/spec/tls",
            json!({"issue": {"dnsNames": ["10.0.0.1"]}}),
            "write host names in lower-case letters",
        ),
        (
            "/spec/tls",
            json!({"issue": {"dnsNames": ["Lake.example.com"]}}),
            "write host names in lower-case letters",
        ),
        (
            "/spec/tls",
            json!({"issue": {"dnsNames": [format!("{}.example.com", "a".repeat(64))]}}),
            "write host names in lower-case letters",
        ),
        (
            "/spec/tls",
            json!({"issue": {"duration": "1007h"}}),
            "write between 1008h (six weeks) and 8760h",
        ),
        (
            "/spec/tls",
            json!({"issue": {"duration": "8761h"}}),
            "write between 1008h (six weeks) and 8760h",
        ),
        ("/metadata/name", json!("etl-cn"), "write another name"),
        (
            "/metadata/name",
            json!("a".repeat(41)),
            "write at most 40 lower-case letters",
        ),
    ];
    check(&world.client, &object, &rows).await;
}

#[tokio::test]
async fn a_department_that_makes_no_sense_is_refused_with_what_to_write_instead() {
    let world = World::new().await;
    let object = department(&world.namespace);
    written(&world.client, &object).await.unwrap();
    let first = json!({"name": format!("{}-a", world.namespace)});
    let rows = [
        (
            "/spec/namespaces",
            json!([first]),
            "a namespace keeps its department: add namespaces, but do not remove or rename one",
        ),
        ("/spec/namespaces", json!([]), "should have at least 1 items"),
        (
            "/spec/namespaces/0",
            json!({"name": "Retail"}),
            "write the name of a namespace",
        ),
        (
            "/spec/namespaces/0",
            json!({"name": first["name"], "quota": {"cpu": "lots"}}),
            "write an amount as Kubernetes has it",
        ),
        ("/spec/namespaces/1", first.clone(), "Duplicate value"),
        ("/spec/admins", json!({"users": ["ada", "ada"]}), "Duplicate value"),
        (
            "/spec/limits",
            json!({"maxReplicasPerGroup": 1001}),
            "should be less than or equal to 1000",
        ),
        (
            "/spec/networkPolicy",
            json!("Maybe"),
            "supported values: \"Enabled\", \"Disabled\"",
        ),
        ("/metadata/name", json!("d".repeat(51)), "write at most 50 characters"),
    ];
    check(&world.client, &object, &rows).await;
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let world = World::new().await;
    let namespace = &world.namespace;
    let minimal = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "LakeCluster", "metadata": {"name": "lake", "namespace": namespace},
        "spec": {"engine": {"version": "0.1.0"}, "storage": {"bucket": "b-1", "prefix": "p", "credentials": {"secretRef": {"name": "s"}}}},
    });
    let cluster = written(&world.client, &minimal).await.unwrap().data["spec"].clone();
    assert_eq!(
        cluster,
        json!({
            "engine": {"kind": "Bundled", "version": "0.1.0"},
            "storage": {
                "bucket": "b-1", "prefix": "p", "region": "us-east-1", "pathStyle": false,
                "credentials": {"secretRef": {"name": "s", "accessKeyIdKey": "access-key-id", "secretAccessKeyKey": "secret-access-key"}},
            },
            "frontends": {"replicas": 1, "resources": {"cpu": "500m", "memory": "2Gi"}, "metadataVolume": {"size": "10Gi"}},
            "computeTemplate": {"podTemplate": {}},
            "service": {"type": "ClusterIP"},
            "bootstrap": {},
            "suspend": false,
            "deletionPolicy": "Retain",
            "deletion": {"data": "Retain"},
        })
    );
    let minimal = json!({
        "apiVersion": "springtide.dev/v1alpha1", "kind": "ComputeGroup", "metadata": {"name": "etl", "namespace": namespace},
        "spec": {"cluster": "lake", "schedules": [{"name": "w", "start": "@daily", "until": "06:00", "maxReplicas": 0}]},
    });
    let group = written(&world.client, &minimal).await.unwrap().data["spec"].clone();
    assert_eq!(
        group,
        json!({
            "cluster": "lake", "replicas": 1, "cacheSize": "10Gi", "warmUp": "30s", "wakeOnQuery": false, "drain": {"enabled": true, "onTimeout": "Force", "timeout": "10m"}, "placement": {},
            "schedules": [{
                "name": "w", "start": "@daily", "until": "06:00", "maxReplicas": 0, "timeZone": "Etc/UTC", "suspend": false,
            }],
        })
    );
}

/// The table that `kubectl get` prints of the object: a text for each column.
async fn columns(client: &Client, path: &str) -> Vec<(String, String)> {
    let request = http::Request::get(path)
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    let names = table["columnDefinitions"].as_array().unwrap().iter();
    let cells = table["rows"][0]["cells"].as_array().unwrap().iter();
    names
        .zip(cells)
        .filter(|(name, _)| name["priority"] == 0)
        .map(|(name, cell)| {
            let cell = cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
            (name["name"].as_str().unwrap().to_owned(), cell)
        })
        .filter(|(name, _)| name != "Age")
        .collect()
}

#[tokio::test]
async fn kubectl_get_says_whether_where_how_much_and_until_when() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    let window = json!({"name": "peak", "start": "0 8 1 1 *", "duration": "2h", "minReplicas": 4});
    world
        .make_group("etl", "lake", json!({"replicas": 2, "schedules": [window]}))
        .await;
    world.group_serves("etl", 2).await;
    world.settle().await;
    let until = world
        .get::<ComputeGroup>("etl")
        .await
        .unwrap()
        .status
        .unwrap()
        .next_transition
        .unwrap()
        .at;
    let endpoint = format!("lake.{}.svc.cluster.local:9030", world.namespace);
    let base = format!("/apis/springtide.dev/v1alpha1/namespaces/{}", world.namespace);
    let expect = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
        rows.iter()
            .map(|(name, cell)| ((*name).to_owned(), (*cell).to_owned()))
            .collect()
    };
    assert_eq!(
        columns(&world.client, &format!("{base}/computegroups")).await,
        expect(&[
            ("Name", "etl"),
            ("Available", "True"),
            ("Reason", "Serving"),
            ("Endpoint", &endpoint),
            ("Serving", "2"),
            ("Wanted", "2"),
            ("Until", &until),
            ("Accepted", "True"),
        ])
    );
    assert_eq!(
        columns(&world.client, &format!("{base}/lakeclusters")).await,
        expect(&[
            ("Name", "lake"),
            ("Available", "True"),
            ("Reason", "Serving"),
            ("Endpoint", &endpoint),
            ("Frontends", "1"),
            ("Compute", "2"),
            ("Until", &until),
            ("Accepted", "True"),
        ])
    );
    operator.stop().await;
}

#[tokio::test]
async fn a_volume_grows_with_what_is_written() {
    let world = World::new().await;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "growing"},
        "provisioner": "example.com/none", "allowVolumeExpansion": true,
    });
    written(&world.client, &class).await.unwrap();
    let operator = world.operator();
    let volume = json!({"storageClassName": "growing", "size": "5Gi"});
    world
        .make_cluster_with("lake", json!({"frontends": {"metadataVolume": volume}}))
        .await;
    world.cluster_is_available("lake").await;
    let size = |size: &str| json!({"spec": {"frontends": {"metadataVolume": {"size": size}}}});
    world.merge::<LakeCluster>("lake", size("8Gi")).await;
    world
        .eventually("the claim asks for more", || async {
            let claim: k8s_openapi::api::core::v1::PersistentVolumeClaim = world.get("meta-lake-fe-0").await?;
            (claim.spec?.resources?.requests?.get("storage")?.0 == "8Gi").then_some(())
        })
        .await;
    world.merge::<LakeCluster>("lake", size("2Gi")).await;
    let message = world
        .eventually("it is not shrunk", || async {
            let conditions = world.get::<LakeCluster>("lake").await?.status?.conditions;
            let accepted = conditions.into_iter().find(|condition| condition.type_ == "Accepted")?;
            (accepted.status == "False").then_some(accepted.message)
        })
        .await;
    assert!(
        message.contains("a volume never shrinks; write 8Gi or more"),
        "{message}"
    );
    world.merge::<LakeCluster>("lake", size("8Gi")).await;
    world.settle().await;
    operator.stop().await;
}

#[tokio::test]
async fn the_operator_never_writes_a_spec() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    let groups: Api<ComputeGroup> = world.api();
    groups
        .patch(
            "etl",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": 2}})),
        )
        .await
        .unwrap();
    world.group_serves("etl", 2).await;
    let group = world.get::<ComputeGroup>("etl").await.unwrap();
    let ours = group.metadata.managed_fields.unwrap_or_default();
    let of_specs: Vec<_> = ours
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some("springtide-operator"))
        .filter(|entry| serde_json::to_value(&entry.fields_v1).unwrap().get("f:spec").is_some())
        .collect();
    assert!(of_specs.is_empty(), "{of_specs:#?}");
    operator.stop().await;
}
