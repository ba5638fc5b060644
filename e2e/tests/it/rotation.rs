//! Keys, a certificate, passwords and the cluster's token are replaced while clients load and query, by what `docs/rotation.md` has
//! people type. No statement fails; no pod is replaced but for the token, and for that only compute nodes are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use k8s_openapi::{
    ByteString,
    api::core::v1::{Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams, ObjectMeta, Patch, PatchParams},
};
use serde_json::{Value, json};
use springtide_crds::LakeCluster;
use springtide_e2e::{
    soak::{self, Outcome},
    sql::{Door, Session},
    sql_client::Installed,
    timeline::Progress,
};

use crate::{
    authority::Authority,
    department::{Department, LAKE, STATEMENT_LIMIT, eventually, said, value, with_department},
    page::Page,
    programs::{PROGRAM, Programs, Way},
    scenario::Scenario,
};

const GROUP: &str = "crew";
const NODES: i32 = 2;
/// The Secrets, as the page has them.
const CERTIFICATE: &str = "lake-tls";
const ADMIN: &str = "lake-admin";
const OPERATOR: &str = "lake-operator";
/// From a changed Secret to a process that uses it: the kubelet's way of up to two minutes, and a look.
const SECRET_LIMIT: Duration = Duration::from_secs(180);
/// Each node drains, starts, and has to serve for ten seconds.
const ROLL_LIMIT: Duration = Duration::from_secs(420);
/// Far below what clients send in the minutes that this takes.
const FEWEST_STATEMENTS: u64 = 100;
/// The server's code for a password that opens nothing.
const ACCESS_DENIED: u16 = 1045;
const KEYS_READ: &str = "storage credentials were read anew";
const TOKEN_READ: &str = "the cluster token was read anew";

#[tokio::test(flavor = "multi_thread")]
async fn keys_a_certificate_and_passwords_are_replaced_under_load_and_no_statement_fails_and_no_pod_goes() {
    let scenario = Scenario::begin("keys, a certificate and passwords are replaced under load");
    with_department(&scenario, "rotation", async |department| {
        let page = Page::read(department, "rotation.md");
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (
            Authority::new("the first authority"),
            Authority::new("the second authority"),
        );
        let (lake, way) = scenario
            .given(
                "a cluster of two nodes with TLS, and programs that use it",
                async || {
                    department.apply(json!({})).await;
                    issue(department, &first).await;
                    ground(department, json!({"tls": {"secretName": CERTIFICATE}})).await
                },
            )
            .await;
        let way = Way {
            host: host(department),
            authorities: format!("{}{}", first.certificate(), second.certificate()),
            ..way
        };
        let programs = Programs::begin(department, &way).await;
        let before = pods(department).await;
        let outcome = under_load(department, &lake, async {
            replace_keys(&scenario, &page, department, folder.path()).await;
            replace_certificate(&scenario, &page, department, (&first, &second), &way, folder.path()).await;
            replace_operators_password(&scenario, &page, department, &way.door, folder.path()).await;
        })
        .await;
        no_statement_failed(&outcome);
        replace_administrators_password(&scenario, &page, department, &way.door, folder.path()).await;
        scenario
            .and("the programs' statements have all succeeded", async || {
                let told = programs.end(department).await;
                println!("by {PROGRAM}: {told}");
            })
            .await;
        scenario
            .and("every pod has run on", async || {
                assert_eq!(pods(department).await, before);
            })
            .await;
        scenario
            .when("one more node is wanted, which the operator makes known", async || {
                department.group(GROUP, LAKE, group(NODES + 1)).await;
                department.serves(GROUP, NODES + 1).await;
            })
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_token_is_replaced_under_load_and_no_statement_fails_and_nodes_alone_are_replaced_once() {
    let scenario = Scenario::begin("the cluster's token is replaced under load");
    with_department(&scenario, "token", async |department| {
        let page = Page::read(department, "rotation.md");
        let folder = tempfile::tempdir().expect("a folder");
        let (lake, _) = scenario
            .given("a cluster of two nodes", async || {
                department.apply(json!({})).await;
                ground(department, json!({})).await
            })
            .await;
        let before = pods(department).await;
        let old = department.secret("lake-internal", "token").await;
        let outcome = under_load(department, &lake, async {
            let steps = page.command("The cluster's token");
            scenario
                .when("the token is replaced in three steps", async || {
                    let typed = page.run(department, &steps, &[], folder.path(), async |slept| {
                        if slept == 0 {
                            all_have_logged(department, TOKEN_READ, 1, &before).await;
                        } else {
                            nodes_are_being_replaced(department, &before).await;
                        }
                    });
                    typed.await.expect("the page's commands");
                })
                .await;
            scenario
                .then("the frontend has seen all of them", SECRET_LIMIT, async || {
                    logged(department, &format!("{LAKE}-fe-0"), TOKEN_READ, 3).await
                })
                .await;
        })
        .await;
        no_statement_failed(&outcome);
        let new = department.secret("lake-internal", "token").await;
        assert_ne!(new, old);
        scenario
            .and(
                "the frontend has run on, and each node is another one, once",
                async || {
                    let after = pods(department).await;
                    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
                    for (name, was) in &before {
                        let is = &after[name];
                        let is_node = name.starts_with(GROUP);
                        assert_eq!(is.0 != was.0, is_node, "{name}: {was:?}, {is:?}");
                        assert_eq!(is.1, 0, "{name} was started again");
                    }
                },
            )
            .await;
    })
    .await;
}

fn group(replicas: i32) -> Value {
    json!({"replicas": replicas, "warehouse": "default_warehouse", "drain": {"timeout": "3m"}})
}

/// A cluster that serves, and the way to it without TLS.
async fn ground(department: &Department, spec: Value) -> (LakeCluster, Way) {
    department.lake(LAKE, spec).await;
    department.group(GROUP, LAKE, group(NODES)).await;
    department.serves(GROUP, NODES).await;
    let login = department.login(LAKE).await;
    let way = Way::to(login.door, &login.account.service);
    (department.answers(LAKE).await, way)
}

/// What clients see of the server's name.
fn host(department: &Department) -> String {
    format!("{LAKE}.{}.svc", department.name)
}

async fn under_load(department: &Department, lake: &LakeCluster, happens: impl Future<Output = ()>) -> Outcome {
    let cluster = &department.cluster;
    let installed = Installed::on(&cluster.places, &Progress::default()).await;
    let installed = installed.unwrap_or_else(|error| panic!("{error}"));
    soak::under_load(
        &cluster.target,
        &cluster.client,
        lake,
        GROUP,
        &installed,
        happens,
        &Progress::default(),
    )
    .await
    .unwrap_or_else(|error| panic!("{error}"))
}

fn no_statement_failed(outcome: &Outcome) {
    println!("{outcome}");
    assert_eq!((outcome.failed, outcome.ledger_difference), (0, 0), "{outcome}");
    assert!(
        outcome.wrong_answers.is_empty() && outcome.wrong_nodes.is_empty(),
        "{outcome}"
    );
    assert!(
        outcome.succeeded() > FEWEST_STATEMENTS,
        "the clients hardly worked: {outcome}"
    );
}

async fn replace_keys(scenario: &Scenario, page: &Page, department: &Department, folder: &Path) {
    let found: Result<[String; 2], Vec<String>> = page.commands("Keys to the store").try_into();
    let [write, look] = found.unwrap_or_else(|found| panic!("one that writes keys, one that looks: {found:#?}"));
    let storage = &department.storage;
    let (bucket, old) = (department.name.as_str(), &department.keys);
    let new = scenario
        .given("another key to the store with the same rights", async || {
            let new = storage.account(&format!("{bucket}-next")).await.expect("an account");
            storage.let_use(bucket, &[&old.id, &new.id]).await.expect("a policy");
            let tried = storage.store(bucket, &new).expect("the bucket");
            tried.list_with_delimiter(None).await.expect("the new key is good");
            new
        })
        .await;
    scenario
        .when("it is written", async || {
            let given = [("id", new.id.as_str()), ("secret", new.secret.as_str())];
            let typed = page.run(department, &write, &given, folder, async |_| {}).await;
            typed.expect("the page's commands");
        })
        .await;
    let all: BTreeSet<String> = pods(department).await.into_keys().collect();
    scenario
        .then("every pod has said that it was read", SECRET_LIMIT, async || {
            let told = page.run(department, &look, &[], folder, async |_| {}).await?;
            // `[pod/lake-fe-0/engine] ...`
            let pods: BTreeSet<String> = (told.lines())
                .filter(|line| line.contains(KEYS_READ))
                .filter_map(|line| line.strip_prefix("[pod/")?.split('/').next())
                .map(str::to_owned)
                .collect();
            if pods == all {
                Ok(())
            } else {
                Err(format!("{pods:?} have"))
            }
        })
        .await;
    scenario
        .when("the old key goes", async || {
            storage.remove_account(&old.id).await.expect("remove it");
            let tried = storage.store(bucket, old).expect("the bucket");
            assert!(
                tried.list_with_delimiter(None).await.is_err(),
                "the old key opens the bucket"
            );
        })
        .await;
}

/// By hand, from another authority, and then back as cert-manager does it.
async fn replace_certificate(
    scenario: &Scenario,
    page: &Page,
    department: &Department,
    (first, second): (&Authority, &Authority),
    way: &Way,
    folder: &Path,
) {
    let commands = page.commands("Certificate");
    let by_hand = commands.first().expect("a command that writes the certificate");
    let (chain, key) = second.issue(&way.host);
    std::fs::write(folder.join("new.crt"), chain).expect("write");
    std::fs::write(folder.join("new.key"), key).expect("write");
    scenario
        .when("a certificate of another authority is written by hand", async || {
            let typed = page.run(department, by_hand, &[], folder, async |_| {}).await;
            typed.expect("the page's commands");
        })
        .await;
    shows(scenario, way, second, first).await;
    scenario
        .when("cert-manager renews its own", async || issue(department, first).await)
        .await;
    shows(scenario, way, first, second).await;
}

/// New connections see a certificate of this authority, and none of the other.
async fn shows(scenario: &Scenario, way: &Way, this: &Authority, other: &Authority) {
    let trusting = |authority: &Authority| Way {
        authorities: authority.certificate(),
        ..way.clone()
    };
    let (this, other) = (trusting(this), trusting(other));
    scenario
        .then("new connections see it", SECRET_LIMIT, async || {
            this.connect().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    assert!(other.connect().await.is_err(), "the certificate before is shown");
}

/// Writes a certificate as cert-manager writes that of a Certificate.
async fn issue(department: &Department, authority: &Authority) {
    let (chain, key) = authority.issue(&host(department));
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    let data = [
        ("tls.crt", chain),
        ("tls.key", key),
        ("ca.crt", authority.certificate()),
    ];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(CERTIFICATE.to_owned()),
            labels: Some(text(&[("controller.cert-manager.io/fao", "true")])),
            annotations: Some(text(&[
                ("cert-manager.io/certificate-name", CERTIFICATE),
                ("cert-manager.io/issuer-kind", "Issuer"),
                ("cert-manager.io/issuer-name", "retail"),
            ])),
            ..Default::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            data.into_iter()
                .map(|(name, value)| (name.to_owned(), ByteString(value.into_bytes())))
                .collect(),
        ),
        ..Default::default()
    };
    let secrets: Api<Secret> = Api::namespaced(department.cluster.client.clone(), &department.name);
    let issuing = PatchParams::apply("cert-manager-certificates-issuing").force();
    let written = secrets.patch(CERTIFICATE, &issuing, &Patch::Apply(&secret)).await;
    written.expect("write the certificate");
}

async fn replace_operators_password(
    scenario: &Scenario,
    page: &Page,
    department: &Department,
    door: &Door,
    folder: &Path,
) {
    let user = department.secret(OPERATOR, "username").await;
    let old = department.secret(OPERATOR, "password").await;
    let before = connections(department, &user).await;
    let steps = page.command("The operator's password");
    scenario
        .when("the operator's password is replaced in three steps", async || {
            let typed = page.run(department, &steps, &[], folder, async |slept| {
                if slept == 0 {
                    let second = department.secret(OPERATOR, "second-password").await;
                    eventually("the second password opens the account", SECRET_LIMIT, async || {
                        opens(door, &user, &second).await
                    })
                    .await;
                } else {
                    eventually("the operator has logged in anew", SECRET_LIMIT, async || {
                        let now = connections(department, &user).await;
                        if now.is_empty() || !now.is_disjoint(&before) {
                            Err(format!("{now:?}"))
                        } else {
                            Ok(())
                        }
                    })
                    .await;
                }
            });
            typed.await.expect("the page's commands");
        })
        .await;
    scenario
        .then("the old one opens nothing", SECRET_LIMIT, async || {
            refused(door, &user, &old).await
        })
        .await;
    let new = department.secret(OPERATOR, "password").await;
    opens(door, &user, &new).await.expect("the new one opens the account");
}

async fn replace_administrators_password(
    scenario: &Scenario,
    page: &Page,
    department: &Department,
    door: &Door,
    folder: &Path,
) {
    let user = department.secret(ADMIN, "username").await;
    let old = department.secret(ADMIN, "password").await;
    let mut open = department.session(LAKE).await;
    let write = page.command("The administrator's password");
    scenario
        .when("the administrator's password is replaced", async || {
            let typed = page.run(department, &write, &[], folder, async |_| {}).await;
            typed.expect("the page's commands");
        })
        .await;
    let new = department.secret(ADMIN, "password").await;
    scenario
        .then("the new one opens, and the old one nothing", SECRET_LIMIT, async || {
            opens(door, &user, &new).await?;
            refused(door, &user, &old).await
        })
        .await;
    scenario
        .and("who was connected stays connected", async || {
            assert_eq!(value(&mut open, "SELECT 1").await, "1");
        })
        .await;
}

async fn opens(door: &Door, user: &str, password: &str) -> Result<(), String> {
    let opened = Session::open(door, user, password).await;
    opened.map(drop).map_err(|error| error.to_string())
}

async fn refused(door: &Door, user: &str, password: &str) -> Result<(), String> {
    match Session::open(door, user, password).await {
        Ok(_) => Err("it opens the account".to_owned()),
        Err(error) if error.sql_code() == Some(ACCESS_DENIED) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The connections of a user, by their ids.
async fn connections(department: &Department, user: &str) -> BTreeSet<String> {
    let mut session = department.session(LAKE).await;
    let rows = session.named_rows("SHOW PROCESSLIST", STATEMENT_LIMIT).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}"));
    let of_user = rows.iter().filter(|row| row["User"] == user);
    of_user.map(|row| row["Id"].clone()).collect()
}

/// Uid and restarts of every pod of the cluster, by its name.
async fn pods(department: &Department) -> BTreeMap<String, (String, i32)> {
    let of_lake = ListParams::default().labels(&format!("springtide.dev/cluster={LAKE}"));
    let pods = department.pods().list(&of_lake).await.expect("list").items;
    let restarts = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default().into_iter();
        let all = containers.chain(status.init_container_statuses.unwrap_or_default());
        all.map(|container| container.restart_count).sum::<i32>()
    };
    let pods = pods
        .iter()
        .map(|pod| (pod.name_any(), (pod.uid().unwrap_or_default(), restarts(pod))));
    pods.collect()
}

/// Whether a pod's engine has logged something so often.
async fn logged(department: &Department, pod: &str, what: &str, times: usize) -> Result<(), String> {
    let of_engine = LogParams {
        container: Some("engine".to_owned()),
        ..Default::default()
    };
    let log = department.pods().logs(pod, &of_engine).await;
    let log = log.map_err(|error| error.to_string())?;
    let count = log.lines().filter(|line| line.contains(what)).count();
    if count >= times {
        Ok(())
    } else {
        Err(format!("{pod} has logged it {count} times"))
    }
}

async fn all_have_logged(department: &Department, what: &str, times: usize, pods: &BTreeMap<String, (String, i32)>) {
    eventually(&format!("every pod has logged: {what}"), SECRET_LIMIT, async || {
        for pod in pods.keys() {
            logged(department, pod, what, times).await?;
        }
        Ok(())
    })
    .await;
}

/// The frontend has the new token, and the operator has begun to replace nodes for it, or has done so: what people wait for then begins.
async fn nodes_are_being_replaced(department: &Department, before: &BTreeMap<String, (String, i32)>) {
    eventually("nodes are being replaced", ROLL_LIMIT, async || {
        logged(department, &format!("{LAKE}-fe-0"), TOKEN_READ, 2).await?;
        let told = said(&department.status(GROUP).await.conditions, "UpToDate");
        let after = pods(department).await;
        let is_same = |(name, was): &(&String, &(String, i32))| after.get(*name).is_some_and(|is| is.0 == was.0);
        let left = before
            .iter()
            .filter(|(name, _)| name.starts_with(GROUP))
            .filter(is_same);
        if told.starts_with("UpToDate=False") || left.count() == 0 {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
}
