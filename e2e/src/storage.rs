//! The S3 server in the cluster: started from `storage/versitygw.yaml`, with accounts and buckets of their own for each user.
//!
//! Each account may use only the buckets that it owns, and read what a bucket's policy lets it read: a department cannot see
//! another's data. Keys are made here and live in Secrets of the namespace [`NAMESPACE`].

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::StatefulSet,
        core::v1::{Namespace, Secret},
    },
};
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams},
};
use object_store::{
    ClientOptions, ObjectStore,
    aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential},
    client::HttpRequestBody,
};
use rand::{Rng, distr::Alphanumeric};

use crate::{
    Error, Result,
    cluster::{self, Look, wait_until},
    images::Image,
    places::Places,
    process::run,
    sql::Door,
    target::{KUBECTL_LIMIT, Target},
    timeline::Progress,
};

#[cfg(test)]
mod tests;

/// Namespace of the server.
pub const NAMESPACE: &str = "springtide-storage";
/// Service of the server.
pub const SERVICE: &str = "s3";
/// Port of the server.
pub const PORT: u16 = 7070;
/// What pods call it.
pub const ENDPOINT: &str = "http://s3.springtide-storage.svc.cluster.local:7070";
/// The one region that it has.
pub const REGION: &str = "us-east-1";
/// Who writes the objects of this module.
pub const FIELD_MANAGER: &str = "springtide-e2e";
/// Name of the pull secret where images come from a registry that wants a password.
pub const PULL_SECRET: &str = "springtide-registry";

/// From its manifest to its first answer.
const START_LIMIT: Duration = Duration::from_secs(180);
/// One request of its administration.
const ADMIN_LIMIT: Duration = Duration::from_secs(30);
/// One request of an object, a part of an upload among them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Access key id: the account's name.
    pub id: String,
    /// Secret access key.
    pub secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Keys {
    fn new(id: &str) -> Self {
        let secret = rand::rng().sample_iter(Alphanumeric).take(40).map(char::from).collect();
        Self { id: id.into(), secret }
    }

    /// The keys as a Secret's content, under the names that a LakeCluster expects.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let value = |text: &str| ByteString(text.as_bytes().to_vec());
        [
            ("access-key-id".into(), value(&self.id)),
            ("secret-access-key".into(), value(&self.secret)),
        ]
        .into()
    }

    fn read(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
        Some(Self {
            id: text("access-key-id")?,
            secret: text("secret-access-key")?,
        })
    }
}

/// The server, reachable from this machine.
pub struct Storage {
    client: Client,
    door: Door,
    root: Keys,
    admin: PathBuf,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("door", &self.door)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Starts the server, where it does not run yet, and waits until it answers.
pub async fn start(
    target: &Target,
    places: &Places,
    image: &Image,
    tools: PathBuf,
    progress: &Progress,
) -> Result<Storage> {
    let client = target.client().await?;
    let manifest = places.e2e("storage/versitygw.yaml");
    let manifest = std::fs::read_to_string(&manifest).map_err(Error::io(format!("read {}", manifest.display())))?;
    progress.say("applying its manifest");
    namespace(&client, NAMESPACE).await?;
    keys(&client, "s3-root", "root").await?;
    target
        .kubectl(KUBECTL_LIMIT)
        .args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager",
            FIELD_MANAGER,
            "-f",
            "-",
        ])
        .input(manifest.replace("@IMAGE@", &target.delivery.name_of(image)))
        .with(progress)
        .await?;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), NAMESPACE);
    wait_until("the S3 server is ready", START_LIMIT, progress, async || {
        let set = cluster::get(&sets, "s3").await?;
        Ok(if set.as_ref().is_some_and(is_rolled_out) {
            Look::Done(())
        } else {
            Look::NotYet("its pod is starting".into())
        })
    })
    .await?;
    let storage = open(target, tools).await?;
    // A pod is ready a moment before its Service leads to it from every node.
    wait_until("the S3 server answers", START_LIMIT, progress, async || {
        match storage.administer(&["list-users"]).await {
            Ok(_) => Ok(Look::Done(())),
            Err(Error::Command { output, .. }) if output.contains("connection refused") => {
                Ok(Look::NotYet("its Service leads nowhere yet".into()))
            }
            Err(error) => Err(error),
        }
    })
    .await?;
    Ok(storage)
}

/// Whether all pods are those that the object asks for now, and ready: one that is about to be replaced is of no use.
fn is_rolled_out(set: &StatefulSet) -> bool {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation == set.metadata.generation
            && status.updated_replicas == wanted
            && status.ready_replicas == wanted
    })
}

/// Finds a server that was started before.
pub async fn open(target: &Target, tools: PathBuf) -> Result<Storage> {
    let client = target.client().await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let root = cluster::get(&secrets, "s3-root").await?.as_ref().and_then(Keys::read).ok_or_else(|| {
        Error::Missing(format!("there is no S3 server in the cluster: Secret {NAMESPACE}/s3-root is missing; run `springtide-e2e storage`"))
    })?;
    let door = Door::open(target, &client, NAMESPACE, SERVICE, PORT).await?;
    Ok(Storage {
        client,
        door,
        root,
        admin: tools.join("versitygw"),
    })
}

impl Storage {
    /// Makes an account, or finds its keys. It owns nothing yet.
    pub async fn account(&self, name: &str) -> Result<Keys> {
        let keys = keys(&self.client, &format!("s3-account-{name}"), name).await?;
        let listed = self.administer(&["list-users"]).await?;
        if !first_words(&listed).any(|word| word == name) {
            // The secret key goes by the environment of the program's own arguments: they name no password in a message.
            self.administer_with(&["create-user", "--role", "user"], Some(&keys))
                .await?;
        }
        Ok(keys)
    }

    /// Makes a bucket that the account owns, unless there is one.
    pub async fn bucket(&self, name: &str, owner: &Keys) -> Result<()> {
        let listed = self.administer(&["list-buckets"]).await?;
        if !first_words(&listed).any(|word| word == name) {
            self.administer(&["create-bucket", "--bucket", name, "--owner", &owner.id])
                .await?;
        }
        Ok(())
    }

    /// Removes an account: its keys open nothing any more.
    pub async fn remove_account(&self, name: &str) -> Result<()> {
        self.administer(&["delete-user", "--access", name]).await?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        secrets
            .delete(&format!("s3-account-{name}"), &DeleteParams::default())
            .await
            .map(drop)
            .map_err(Error::kubernetes(format!("delete the keys of account {name}")))
    }

    /// Lets accounts read a bucket that is not theirs. The owner is named as well: to this server, a bucket with a policy is
    /// open to those alone whom the policy names.
    pub async fn let_read(&self, bucket: &str, owner: &Keys, readers: &[&str]) -> Result<()> {
        let statements = [
            allow(bucket, &[&owner.id], &["s3:*"]),
            allow(bucket, readers, &["s3:GetObject", "s3:ListBucket"]),
        ];
        self.write_policy(bucket, &statements).await
    }

    /// Gives these accounts, and nobody else, every right to a bucket.
    pub async fn let_use(&self, bucket: &str, accounts: &[&str]) -> Result<()> {
        self.write_policy(bucket, &[allow(bucket, accounts, &["s3:*"])]).await
    }

    async fn write_policy(&self, bucket: &str, statements: &[serde_json::Value]) -> Result<()> {
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": statements});
        let doing = format!("write the policy of bucket {bucket}");
        let credential = AwsCredential {
            key_id: self.root.id.clone(),
            secret_key: self.root.secret.clone(),
            token: None,
        };
        let mut request = http::Request::put(format!("{}/{bucket}?policy", self.url()))
            .body(HttpRequestBody::from(policy.to_string().into_bytes()))
            .map_err(|error| Error::Missing(format!("{doing}: {error}")))?;
        AwsAuthorizer::new(&credential, "s3", REGION).authorize(&mut request, None);
        let (parts, _) = request.into_parts();
        let sent = reqwest::Client::new()
            .put(parts.uri.to_string())
            .headers(parts.headers)
            .timeout(ADMIN_LIMIT)
            .body(policy.to_string())
            .send()
            .await
            .map_err(|error| Error::Missing(format!("{doing}: {error}")))?;
        if sent.status().is_success() {
            return Ok(());
        }
        let status = sent.status();
        let text = sent.text().await.unwrap_or_default();
        Err(Error::Missing(format!("{doing}: the server answered {status}: {text}")))
    }

    /// A bucket, as the account sees it from this machine.
    pub fn store(&self, bucket: &str, keys: &Keys) -> Result<Arc<dyn ObjectStore>> {
        let options = ClientOptions::new().with_allow_http(true).with_timeout(REQUEST_TIMEOUT);
        AmazonS3Builder::new()
            .with_endpoint(self.url())
            .with_region(REGION)
            .with_virtual_hosted_style_request(false)
            .with_bucket_name(bucket)
            .with_access_key_id(&keys.id)
            .with_secret_access_key(&keys.secret)
            .with_client_options(options)
            .build()
            .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            .map_err(Error::store(format!("open bucket {bucket}")))
    }

    /// Where this machine reaches it.
    pub fn url(&self) -> String {
        format!("http://{}", self.door.address())
    }

    async fn administer(&self, arguments: &[&str]) -> Result<String> {
        self.administer_with(arguments, None).await
    }

    /// Calls the server's administration. Keys of a new account are given as arguments that no message shows.
    async fn administer_with(&self, arguments: &[&str], account: Option<&Keys>) -> Result<String> {
        let mut program = run(&self.admin, ADMIN_LIMIT)
            .arg("admin")
            .args(arguments)
            .env("ADMIN_ACCESS_KEY_ID", &self.root.id)
            .env("ADMIN_SECRET_ACCESS_KEY", &self.root.secret)
            .env("ADMIN_REGION", REGION)
            .env("ADMIN_ENDPOINT_URL", self.url());
        if let Some(keys) = account {
            program = program.secret_args(["--access", &keys.id, "--secret", &keys.secret]);
        }
        program.output().await
    }
}

/// A statement of a bucket's policy.
fn allow(bucket: &str, who: &[&str], actions: &[&str]) -> serde_json::Value {
    let resources = [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")];
    serde_json::json!({"Effect": "Allow", "Principal": {"AWS": who}, "Action": actions, "Resource": resources})
}

/// The first column of a table.
fn first_words(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| line.split_whitespace().next())
}

/// A namespace, made where it is missing; its labels are its manifest's business.
pub async fn namespace(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = Namespace {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..Default::default()
        },
        ..Default::default()
    };
    namespaces
        .patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(Error::kubernetes(format!("make namespace {name}")))
}

/// Writes a Secret.
pub async fn write_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    kind: &str,
    data: BTreeMap<String, ByteString>,
) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let object = Secret {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            ..Default::default()
        },
        type_: Some(kind.into()),
        data: Some(data),
        ..Default::default()
    };
    secrets
        .patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(Error::kubernetes(format!("write Secret {namespace}/{name}")))
}

/// The keys in a Secret of [`NAMESPACE`], made where they are missing.
async fn keys(client: &Client, secret: &str, id: &str) -> Result<Keys> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    if let Some(keys) = cluster::get(&secrets, secret).await?.as_ref().and_then(Keys::read) {
        return Ok(keys);
    }
    let keys = Keys::new(id);
    write_secret(client, NAMESPACE, secret, "Opaque", keys.data()).await?;
    Ok(keys)
}
