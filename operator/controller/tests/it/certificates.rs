//! Certificates of the MySQL port: those that the operator issues, and how it knows frontends by those that others write.

use chrono::{TimeDelta, Utc};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Pod, Secret},
};
use kube::ResourceExt;
use serde_json::{Value, json};
use springtide_crds::LakeCluster;

use crate::harness::{
    certificates::{self, Authority, Pair},
    world::World,
};

/// A value of a Secret.
async fn value(world: &World, secret: &str, key: &str) -> Option<ByteString> {
    world.get::<Secret>(secret).await?.data?.remove(key)
}

/// A condition of the cluster as a person reads it.
async fn said(world: &World, type_: &str) -> Option<String> {
    let status = world.get::<LakeCluster>("lake").await?.status?;
    let mut conditions = status.conditions.into_iter();
    let condition = conditions.find(|condition| condition.type_ == type_)?;
    Some(format!(
        "{} {}: {}",
        condition.status, condition.reason, condition.message
    ))
}

async fn eventually_says(world: &World, type_: &str, begins: &str) -> String {
    world
        .eventually(&format!("{type_} is {begins}"), || async {
            said(world, type_).await.filter(|said| said.starts_with(begins))
        })
        .await
}

fn plain_logins(world: &World) -> u32 {
    world.frontend.catalog.lock().unwrap().plain_logins
}

/// Secrets are not watched: what was read is good for a minute, and the next look after it may be another minute away.
async fn is_issued_anew(world: &World, before: &Secret) -> Secret {
    world
        .eventually("another certificate is in the Secret", || async {
            let look = json!({"metadata": {"annotations": {"look": rand::random::<u64>().to_string()}}});
            world.merge::<LakeCluster>("lake", look).await;
            let now = world.get::<Secret>("lake-tls").await?;
            let is_new = now.data.as_ref()?["tls.crt"] != before.data.as_ref()?["tls.crt"];
            is_new.then_some(now)
        })
        .await
}

/// All names of the cluster, and one more.
fn names(world: &World, further: &str) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "lake".to_owned(), further.to_owned()];
    names.push(format!("lake.{}", world.namespace));
    for host in ["lake", "lake-fe-pods", "*.lake-fe-pods"] {
        names.push(format!("{host}.{}.svc", world.namespace));
        names.push(format!("{host}.{}.svc.cluster.local", world.namespace));
    }
    names
}

#[tokio::test]
async fn a_cluster_has_a_certificate_of_its_own_that_is_renewed_while_the_pod_runs_on() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster_with("lake", json!({"tls": {"issue": {}}})).await;
    // The operator trusts what the frontend shows, which is what it has issued.
    world.cluster_is_available("lake").await;
    assert_eq!(plain_logins(&world), 0, "no password goes anywhere without TLS");
    world.settle().await;
    world.stays_quiet(std::time::Duration::from_secs(3)).await;

    let first = world.get::<Secret>("lake-tls").await.unwrap();
    assert_eq!(first.type_.as_deref(), Some("kubernetes.io/tls"));
    let authority = world.get::<Secret>("lake-ca").await.unwrap();
    let pod = world.get::<Pod>("lake-fe-0").await.unwrap();
    let status = world.get::<LakeCluster>("lake").await.unwrap().status.unwrap();
    let told = status.certificate.expect("the status tells of it");
    assert_eq!(told.secret, "lake-tls");
    assert!(
        told.issued_by.starts_with("CN=lake certificate authority,"),
        "{}",
        told.issued_by
    );

    // Another name.
    let further = json!({"spec": {"tls": {"issue": {"dnsNames": ["lake.example.com"]}}}});
    world.merge::<LakeCluster>("lake", further).await;
    let renamed = is_issued_anew(&world, &first).await;
    assert_eq!(renamed.uid(), first.uid(), "the Secret that is mounted is still there");

    // One that is as wanted, and ends tomorrow.
    let names = names(&world, "lake.example.com");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tomorrow = (Utc::now() + TimeDelta::days(1)).timestamp();
    let soon = certificates::signed_by(&authority, &names, |params| {
        params.not_after = time::OffsetDateTime::from_unix_timestamp(tomorrow).unwrap();
    });
    let data = json!({"stringData": {"tls.crt": soon.certificate, "tls.key": soon.key}});
    world.merge::<Secret>("lake-tls", data).await;
    let ending = world.get::<Secret>("lake-tls").await.unwrap();
    let renewed = is_issued_anew(&world, &ending).await;
    assert_ne!(renewed.data, renamed.data);

    // The authority stayed, and so did the pod.
    assert_eq!(
        value(&world, "lake-ca", "tls.crt").await,
        Some(authority.data.unwrap()["tls.crt"].clone())
    );
    assert_eq!(world.get::<Pod>("lake-fe-0").await.unwrap().uid(), pod.uid());
    world.cluster_is_available("lake").await;
    assert_eq!(plain_logins(&world), 0);
    operator.stop().await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_not_overwritten_and_is_told() {
    let world = World::new().await;
    let theirs = certificates::self_signed(&["lake.example.com"]);
    world
        .create::<Secret>(certificates::secret("lake-tls", &theirs, None))
        .await;
    let operator = world.operator();
    world.make_cluster_with("lake", json!({"tls": {"issue": {}}})).await;
    let accepted = eventually_says(&world, "Accepted", "False SecretTaken").await;
    assert!(accepted.contains("Secret lake-tls"), "{accepted}");
    let kept = value(&world, "lake-tls", "tls.crt").await.unwrap();
    assert_eq!(kept.0, theirs.certificate.as_bytes());
    assert!(world.get::<Secret>("lake-ca").await.is_none(), "nothing was made");
    // It is taken out of the way.
    world.delete::<Secret>("lake-tls").await;
    world.cluster_is_available("lake").await;
    operator.stop().await;
}

#[tokio::test]
async fn two_operators_that_both_believe_to_lead_issue_one_certificate() {
    let world = World::new().await;
    let one = world.operator();
    // Another Lease, so that both lead.
    let elsewhere = world.another_operator_namespace(1).await;
    let other = world.operator_with(|settings| settings.pod_namespace = elsewhere);
    world.make_cluster_with("lake", json!({"tls": {"issue": {}}})).await;
    world.cluster_is_available("lake").await;
    world.settle().await;
    let before = world.get::<Secret>("lake-tls").await.unwrap();
    let names = json!({"spec": {"tls": {"issue": {"dnsNames": ["lake.example.com"]}}}});
    world.merge::<LakeCluster>("lake", names).await;
    let issued = is_issued_anew(&world, &before).await;
    world.settle().await;
    let now = world.get::<Secret>("lake-tls").await.unwrap();
    assert_eq!(now.data, issued.data, "what one has issued, the other leaves");
    let trusted = &issued.data.as_ref().unwrap()["ca.crt"];
    assert_eq!(value(&world, "lake-ca", "ca.crt").await.as_ref(), Some(trusted));
    one.stop().await;
    other.stop().await;
}

/// A cluster with this certificate of somebody else.
async fn given(world: &World, pair: &Pair, authority: Option<&str>) {
    world
        .create::<Secret>(certificates::secret("given", pair, authority))
        .await;
    world
        .make_cluster_with("lake", json!({"tls": {"secretName": "given"}}))
        .await;
}

fn service(world: &World) -> String {
    format!("lake.{}.svc", world.namespace)
}

#[tokio::test]
async fn a_frontend_with_a_certificate_of_an_unknown_authority_gets_no_login_until_the_authority_is_there() {
    let world = World::new().await;
    let operator = world.operator();
    let authority = Authority::new("an authority of a company");
    given(&world, &authority.sign(&[&service(&world)]), None).await;
    let told = eventually_says(&world, "OperatorAccountReady", "False CertificateNotTrusted").await;
    assert!(told.contains("UnknownIssuer"), "{told}");
    assert!(
        told.contains("put the certificate of your own authority under ca.crt"),
        "{told}"
    );
    let added = json!({"stringData": {"ca.crt": authority.certificate()}});
    world.merge::<Secret>("given", added).await;
    world.cluster_is_available("lake").await;
    assert_eq!(plain_logins(&world), 0);
    operator.stop().await;
}

#[tokio::test]
async fn a_frontend_that_shows_another_certificate_than_its_own_gets_no_login() {
    let world = World::new().await;
    let operator = world.operator();
    let authority = Authority::new("an authority of a company");
    // What is mounted cannot be read: the frontend of the test goes on with one that nobody knows.
    let broken = Pair {
        certificate: authority.sign(&[&service(&world)]).certificate,
        key: "no key".to_owned(),
    };
    given(&world, &broken, Some(&authority.certificate())).await;
    let told = eventually_says(&world, "OperatorAccountReady", "False CertificateNotTrusted").await;
    let expected = format!(
        "by Secret given it is to have a certificate for {} of an authority",
        service(&world)
    );
    assert!(told.contains(&expected), "{told}");
    assert_eq!(plain_logins(&world), 0);
    operator.stop().await;
}

#[tokio::test]
async fn a_frontend_with_a_certificate_for_a_load_balancer_alone_is_known_by_it() {
    let world = World::new().await;
    let operator = world.operator();
    let authority = Authority::new("an authority of a company");
    let pair = authority.sign(&["lake.example.com"]);
    given(&world, &pair, Some(&authority.certificate())).await;
    world.cluster_is_available("lake").await;
    assert_eq!(plain_logins(&world), 0);
    operator.stop().await;
}

#[tokio::test]
async fn a_cluster_without_a_certificate_is_asked_as_before() {
    let world = World::new().await;
    let operator = world.operator();
    world.make_cluster("lake").await;
    world.cluster_is_available("lake").await;
    assert!(plain_logins(&world) > 0);
    // It gets one while it runs: what is mounted decides, pod by pod.
    world
        .merge::<LakeCluster>("lake", json!({"spec": {"tls": {"issue": {}}}}))
        .await;
    world
        .eventually("the new pod has it", || async {
            let pod = world.get::<Pod>("lake-fe-0").await?;
            let volumes: Value = serde_json::to_value(pod.spec?.volumes?).unwrap();
            volumes.to_string().contains("\"lake-tls\"").then_some(())
        })
        .await;
    world.settle().await;
    // Another operator has to log in anew, to make nodes known.
    operator.crash().await;
    let before = plain_logins(&world);
    let operator = world.operator();
    world.make_group("etl", "lake", json!({"replicas": 1})).await;
    world.group_serves("etl", 1).await;
    assert_eq!(plain_logins(&world), before);
    operator.stop().await;
}
