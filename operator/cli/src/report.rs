//! A support bundle: everything that helps to find a fault, in one file without secrets.
//!
//! ```text
//! API server ──collect──► Collected ──Redacted::new──► Redacted ──files──► File … ──pack──► archive
//! ```
//!
//! `collect` alone reads, and writes nothing; `redact` decides what goes; files are made of what is left.
//!
//! What never happens here: a Secret is asked for; a file is written of something that redaction has not seen; a report ends because
//! something is forbidden.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::Utc;
use kube::Client;
use serde::de::DeserializeOwned;
use springtide_plan::units;

use self::{
    bundle::File,
    collect::Wanted,
    collected::{Collected, Redacted},
    redact::Redaction,
};
use crate::{CommandError, Place, fetch, fetch::Found, status};

mod bundle;
mod collect;
mod collected;
mod redact;
mod summary;

/// What is wanted of a report.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name of a LakeCluster: it, its groups and what belongs to them; all of the namespace by default.
    cluster: Option<String>,
    /// All namespaces with clusters or groups, and those of Departments.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// File to write, which must not exist; `springtide-report-<namespace>-<UTC time>.tar.gz` by default.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How far back logs go, for example `1h`; all that Kubernetes keeps by default, up to 2 MiB of each.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Duration>,
    /// No logs.
    #[arg(long)]
    no_logs: bool,
    /// Leave literals in the statements that logs and messages quote; they become `?` by default.
    #[arg(long)]
    keep_sql_literals: bool,
    /// Namespace of the operator.
    #[arg(long, value_name = "NAMESPACE", default_value = "springtide-system")]
    operator_namespace: String,
    #[command(flatten)]
    place: Place,
}

fn since(text: &str) -> Result<Duration, String> {
    let since = units::duration(&springtide_crds::Duration::new(text)).map_err(|error| error.to_string())?;
    if since.is_zero() {
        return Err("no log is that new; write for example 1h".to_owned());
    }
    Ok(since)
}

/// Makes the report and writes it; gives what a person is told at the end.
pub(crate) async fn run(options: Options) -> Result<String, CommandError> {
    let Options {
        cluster,
        all_namespaces,
        output,
        since,
        no_logs,
        keep_sql_literals,
        operator_namespace,
        place,
    } = options;
    let (client, default_namespace) = fetch::connect(&place).await?;
    let wanted = Wanted {
        namespace: (!all_namespaces).then(|| place.namespace.unwrap_or(default_namespace)),
        cluster,
        operator_namespace,
        logs: !no_logs,
        since,
        at: Utc::now(),
    };
    let name = bundle::name(wanted.namespace.as_deref(), wanted.at);
    let path = output.unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    // Said now, and not after minutes of reading.
    if path.exists() {
        return Err(CommandError::FileExists(path));
    }
    let redaction = Redaction { keep_sql_literals };
    let (redacted, files) = make(&client, &wanted, redaction, &progress).await?;
    let unwritten = |source| CommandError::File {
        path: path.clone(),
        source,
    };
    let archive = bundle::pack(&name, &files, wanted.at).map_err(unwritten)?;
    bundle::write(&path, &archive).map_err(unwritten)?;
    Ok(told(&path, &name, archive.len(), &files, redacted.get()))
}

/// Everything but the archive.
async fn make(
    client: &Client,
    wanted: &Wanted,
    redaction: Redaction,
    say: &dyn Fn(&str),
) -> Result<(Redacted, Vec<File>), CommandError> {
    let collected = collect::collect(client, wanted, say).await?;
    say("taking secrets out");
    let redacted = Redacted::new(collected, redaction);
    let screen = redaction.text(&screen(redacted.get()));
    let files = bundle::files(&redacted, screen);
    Ok((redacted, files))
}

/// On standard error, where progress is no part of the output.
fn progress(step: &str) {
    let _unwritable = writeln!(std::io::stderr(), "{step} …");
}

/// What `kubectl springtide status` shows of what was read.
fn screen(collected: &Collected) -> String {
    let (departments, unknown_departments) = typed(collected, "departments");
    let (clusters, unknown_clusters) = typed(collected, "lakeclusters");
    let (groups, unknown_groups) = typed(collected, "computegroups");
    let found = Found {
        departments,
        clusters,
        groups,
    };
    let mut screen = status::render(&found, collected.at);
    let unknown = unknown_departments + unknown_clusters + unknown_groups;
    if unknown > 0 {
        screen.push_str(&format!(
            "{unknown} more, which this version of the plugin does not understand: see the files\n"
        ));
    }
    screen
}

/// Objects of a kind, and how many are of a form that is not known here.
fn typed<K: DeserializeOwned>(collected: &Collected, plural: &str) -> (Vec<K>, usize) {
    let read: Vec<Option<K>> = collected
        .objects(plural)
        .map(|(_, object)| serde_json::from_value(object.clone()).ok())
        .collect();
    let unknown = read.iter().filter(|object| object.is_none()).count();
    (read.into_iter().flatten().collect(), unknown)
}

/// What was made, how large it is, and what to do with it.
fn told(path: &Path, name: &str, bytes: usize, files: &[File], collected: &Collected) -> String {
    let mut lines = vec![format!(
        "{}: {} KiB, {} files",
        path.display(),
        bytes.div_ceil(1024),
        files.len()
    )];
    lines.extend(summary::contents(collected).into_iter().map(|line| format!("  {line}")));
    match collected.unread.len() {
        0 => {}
        1 => lines.push(format!(
            "1 thing could not be read: {} says which, and why",
            bundle::ERRORS
        )),
        more => lines.push(format!(
            "{more} things could not be read: {} says which, and why",
            bundle::ERRORS
        )),
    }
    lines.push(
        "No Secret was read, and what looks like a password, token or key was taken out. Names, addresses and settings are in it: look \
         through it before you give it to anybody."
            .to_owned(),
    );
    lines.push(format!(
        "What is wrong: tar -xzOf {} {name}/{}",
        path.display(),
        bundle::SUMMARY
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
