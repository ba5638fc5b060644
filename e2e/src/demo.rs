//! The demo: a Kubernetes, the operator, two departments, TPC-H on S3, checked answers, and a window that comes and goes.

use kube::ResourceExt;
use springtide_contract::ports;
use springtide_crds::{ComputeGroup, LakeCluster};

use crate::{
    Result,
    departments::{self, Account, Examples, Login},
    places::Places,
    platform::{self, Platform},
    sql::Door,
    storage::{Keys, Storage},
    target::Target,
    timeline::Timeline,
    tpch::{Manifest, ScaleFactor, generate::generate},
};

mod load;
mod removal;
mod window;

#[cfg(test)]
mod tests;

pub use removal::remove;

/// Bucket of the TPC-H files; departments read it.
pub const DATA_BUCKET: &str = "tpch";
/// Account that owns it.
pub const DATA_ACCOUNT: &str = "lake";
/// Account that may read it, and nothing else.
const DATA_READER: &str = "analyst";

/// What a person may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Scale of the data.
    pub scale_factor: ScaleFactor,
    /// Where it runs.
    pub platform: platform::Options,
}

/// Runs the demo from whatever is there already.
pub async fn run(places: &Places, timeline: &Timeline, options: &Options) -> Result<()> {
    let Some(Platform { target, storage }) = platform::start(places, timeline, &options.platform).await? else {
        return Ok(());
    };
    let client = target.client().await?;
    let examples = Examples::read(&target, places).await?;
    timeline
        .step("departments by kubectl apply", async |p| {
            departments::apply(&target, places, &examples, &storage, &p).await
        })
        .await?;
    let (manifest, analyst) = data_on_s3(timeline, &storage, options.scale_factor).await?;
    let lakes = running(timeline, &target, &examples).await?;

    let mut logins = Vec::new();
    for lake in &lakes {
        let department = lake.namespace().unwrap_or_default();
        timeline.heading(&format!("Department {department}"));
        let mut login = departments::log_in(&target, &client, lake).await?;
        load::load_and_query(
            timeline,
            &mut login.session,
            load::part_of(&department),
            &manifest,
            &analyst,
            options.scale_factor,
        )
        .await?;
        logins.push((department, login));
    }

    timeline.heading("A peak, two minutes ahead");
    window::show(timeline, &client, &examples.groups).await?;
    farewell(timeline, &target, &logins, options);
    Ok(())
}

/// TPC-H as files on S3, and an account that may read them. The clusters start meanwhile.
async fn data_on_s3(timeline: &Timeline, storage: &Storage, sf: ScaleFactor) -> Result<(Manifest, Keys)> {
    timeline
        .step(
            &format!("TPC-H SF {sf} to s3://{DATA_BUCKET}/{}", sf.folder()),
            async |p| {
                let owner = storage.account(DATA_ACCOUNT).await?;
                storage.bucket(DATA_BUCKET, &owner).await?;
                let reader = storage.account(DATA_READER).await?;
                storage.let_read(DATA_BUCKET, &owner, &[&reader.id]).await?;
                let manifest = generate(storage.store(DATA_BUCKET, &owner)?, &sf.folder(), sf, &p).await?;
                Ok((manifest, reader))
            },
        )
        .await
}

/// The clusters of the examples, as soon as each of them is ready.
async fn running(timeline: &Timeline, target: &Target, examples: &Examples) -> Result<Vec<LakeCluster>> {
    let client = target.client().await?;
    let mut lakes = Vec::new();
    for lake in &examples.lakes {
        let name = format!("cluster {}/{}", lake.namespace().unwrap_or_default(), lake.name_any());
        lakes.push(
            timeline
                .step(&name, async |p| {
                    let groups: Vec<&ComputeGroup> = examples.groups_of(lake).collect();
                    departments::wait_ready(&client, lake, &groups, &p).await
                })
                .await?,
        );
    }
    Ok(lakes)
}

fn farewell(timeline: &Timeline, target: &Target, logins: &[(String, Login)], options: &Options) {
    timeline.heading("What to do next");
    timeline.note("Connect, as the SQL administrator of a department:");
    timeline.note(&format!("  {}", target.shell_setup()));
    for ((department, login), port) in logins.iter().zip(ports::FE_MYSQL..) {
        let forwarded = (!target.is_local()).then_some(port);
        for line in connect(department, &login.account, &login.door, forwarded) {
            timeline.note(&format!("  {line}"));
        }
    }
    timeline.note("Look at:");
    timeline.note("  kubectl get departments,lakeclusters,computegroups -A      who has what, where, until when");
    timeline.note("  kubectl -n retail scale computegroup --all --replicas=2    more compute, in seconds");
    timeline.note("  kubectl -n retail get events --sort-by=.lastTimestamp      what the operator did, and why");
    timeline.note("  kubectl explain computegroup.spec.schedules                how a window is written");
    let removal = match &options.platform.context {
        None => "make demo-down".to_owned(),
        Some((context, _)) => format!("make demo-down CONTEXT={context}"),
    };
    timeline.note(&format!("Remove all of it:\n  {removal}"));
}

/// How an analyst gets in, as lines for a shell: by `door`, or by this port of their own machine where `door` is forwarded and
/// ends with the demo.
fn connect(department: &str, account: &Account, door: &Door, forwarded: Option<u16>) -> Vec<String> {
    let Account { service, user, secret } = account;
    let mut lines = Vec::new();
    if let Some(port) = forwarded {
        lines.push(format!(
            "kubectl -n {department} port-forward service/{service} {port}:{} >/dev/null &",
            ports::FE_MYSQL
        ));
    }
    let (host, port) = forwarded.map_or((door.host(), door.port()), |port| ("127.0.0.1", port));
    let password = format!("kubectl -n {department} get secret {secret} -o jsonpath='{{.data.password}}' | base64 -d");
    lines.push(format!(
        "mariadb --skip-ssl -h {host} -P {port} -u {user} -p\"$({password})\" tpch"
    ));
    lines
}
