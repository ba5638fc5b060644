//! The promise of pre-scaling, tried on the clock of a real cluster: one window after the other, and compute there before each.

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};
use kube::{Api, Client};
use serde_json::json;
use springtide_crds::{ComputeGroup, LakeCluster};

use super::stage::{self, Stage};
use crate::{
    Error, Result,
    bench::Figures,
    cluster::{self, Look, wait_until},
    departments,
    places::Places,
    sql::Session,
    target::Target,
    timeline::{Progress, Timeline},
};

/// A window opens every so many minutes.
const EVERY: i64 = 2;
/// How long it stays open.
const OPEN: TimeDelta = TimeDelta::seconds(60);
/// Nodes inside of it.
const INSIDE: usize = 3;
/// Nodes outside of it.
const OUTSIDE: usize = 1;
/// Between two looks at the engine.
const INTERVAL: Duration = Duration::from_millis(250);
const STATEMENT_LIMIT: Duration = Duration::from_secs(20);
/// From one size to another while nothing is measured.
const SETTLE_LIMIT: Duration = Duration::from_secs(180);

/// How one window went, by the engine's own word.
#[derive(Clone, Copy, Debug)]
struct Window {
    opens: DateTime<Utc>,
    /// All nodes served this long before it opened; after it, where negative.
    ahead: TimeDelta,
    /// Looks inside of the window that found too few nodes.
    short: u32,
    /// From its end until no more nodes than outside were left.
    gone_after: Option<TimeDelta>,
}

/// Lets so many windows open, one after the other, and prints each.
///
/// # Errors
/// Compute was late for one, or left inside of one.
pub async fn windows(places: &Places, timeline: &Timeline, nodes: u8, count: u32) -> Result<()> {
    let Some(Stage { target, client, lake }) = stage::set(places, timeline, nodes, "Windows").await? else {
        return Ok(());
    };
    let mut session = timeline
        .step("lead time from starts that were seen", async |p| {
            learn(&target, &client, &lake, &p).await
        })
        .await?;
    let mut seen = Vec::new();
    for number in 1..=count {
        let window = timeline
            .step(&format!("window {number} of {count}"), async |p| {
                let window = watch(&mut session, &p).await?;
                p.say(told(&window));
                Ok(window)
            })
            .await?;
        seen.push(window);
    }
    stage::strike(&client).await?;
    let mut ahead: Vec<f64> = seen.iter().map(|window| seconds(window.ahead)).collect();
    ahead.sort_by(f64::total_cmp);
    let late = ahead.iter().filter(|ahead| **ahead < 0.0).count();
    let short = seen.iter().filter(|window| window.short > 0).count();
    // The window after such a one is not seen.
    let stayed = seen.iter().filter(|window| window.gone_after.is_none()).count();
    let middle = ahead.get(ahead.len() / 2).copied().unwrap_or_default();
    let least = ahead.first().copied().unwrap_or_default();
    timeline.note(&format!(
        "{count} windows: {late} late, {short} short of nodes inside, {stayed} whose nodes stayed until the next; ready {middle:.1} s before the start (median), {least:.1} s (least)"
    ));
    #[allow(clippy::cast_precision_loss, reason = "counts far below the limits of a double")]
    let metrics = [
        ("windows", f64::from(count)),
        ("late", late as f64),
        ("short", short as f64),
        ("stayed", stayed as f64),
        ("ahead_p50_s", middle),
        ("ahead_least_s", least),
    ];
    Figures::print(timeline, places, "windows", metrics.into()).await?;
    if late + short + stayed > 0 {
        return Err(Error::Wrong {
            what: "windows".into(),
            expected: "all nodes before each opens and until it closes, and none of them when the next one's come"
                .into(),
            found: seen.iter().map(told).collect::<Vec<_>>().join("; "),
        });
    }
    Ok(())
}

/// Nodes come and go once, so that `leadTime: auto` is what this cluster takes; then the windows begin.
async fn learn(target: &Target, client: &Client, lake: &LakeCluster, progress: &Progress) -> Result<Session> {
    let outside = json!({"cluster": stage::LAKE, "replicas": OUTSIDE, "cacheSize": "1Gi", "drain": {"timeout": "60s"}});
    let group = stage::group(client, outside.clone()).await?;
    let lake = departments::wait_ready(client, lake, &[&group], progress).await?;
    let mut session = departments::log_in(target, client, &lake).await?.session;
    for replicas in [INSIDE, OUTSIDE] {
        let mut spec = outside.clone();
        spec["replicas"] = json!(replicas);
        stage::group(client, spec).await?;
        wait_until("the group has another size", SETTLE_LIMIT, progress, async || {
            let alive = alive(&mut session).await?;
            Ok(if alive == replicas {
                Look::Done(())
            } else {
                Look::NotYet(format!("{alive} serve"))
            })
        })
        .await?;
    }
    let mut spec = outside;
    spec["schedules"] = json!([{
        "name": "every", "start": format!("*/{EVERY} * * * *"), "duration": format!("{}s", OPEN.num_seconds()),
        "timeZone": "Etc/UTC", "minReplicas": INSIDE, "leadTime": "auto",
    }]);
    stage::group(client, spec).await?;
    let groups: Api<ComputeGroup> = Api::namespaced(client.clone(), stage::NAME);
    let group = cluster::get(&groups, stage::NAME).await?;
    let start_up = group.and_then(|group| group.status?.start_up);
    let lead = start_up.map_or_else(|| "none".to_owned(), |start_up| start_up.auto_lead_time);
    progress.say(format!("leadTime: auto is {lead}"));
    Ok(session)
}

/// The next window, from the time before it until the time after.
async fn watch(session: &mut Session, progress: &Progress) -> Result<Window> {
    let opens = next_opening(Utc::now());
    let (closes, next) = (opens + OPEN, opens + TimeDelta::minutes(EVERY));
    let mut window = Window {
        opens,
        ahead: TimeDelta::zero(),
        short: 0,
        gone_after: None,
    };
    let mut ready: Option<DateTime<Utc>> = None;
    // The time after it belongs to the next one, once its own nodes may come.
    let ends = next - TimeDelta::seconds(45);
    loop {
        let alive = alive(session).await?;
        let now = Utc::now();
        if now >= ends || window.gone_after.is_some() {
            break;
        }
        if alive >= INSIDE && ready.is_none() && now < closes {
            ready = Some(now);
        }
        if alive < INSIDE && (opens..closes).contains(&now) {
            window.short += 1;
        }
        if alive <= OUTSIDE && now >= closes {
            window.gone_after = Some(now - closes);
        }
        progress.say(format!("{alive} serve, opens {}", opens.format("%H:%M")));
        tokio::time::sleep(INTERVAL).await;
    }
    window.ahead = opens - ready.unwrap_or(closes);
    Ok(window)
}

/// The first opening whose compute cannot have been wanted yet.
fn next_opening(now: DateTime<Utc>) -> DateTime<Utc> {
    let minute = (now + TimeDelta::seconds(45))
        .duration_trunc(TimeDelta::minutes(1))
        .unwrap_or(now);
    let missing = (EVERY - i64::from(minute.minute()) % EVERY) % EVERY;
    let opens = minute + TimeDelta::minutes(missing);
    if opens <= now + TimeDelta::seconds(45) {
        opens + TimeDelta::minutes(EVERY)
    } else {
        opens
    }
}

/// Nodes that take work, by `SHOW COMPUTE NODES`.
async fn alive(session: &mut Session) -> Result<usize> {
    let rows = session.named_rows("SHOW COMPUTE NODES", STATEMENT_LIMIT).await?;
    let alive = rows
        .iter()
        .filter(|row| row.get("Alive").is_some_and(|alive| alive == "true"));
    Ok(alive.count())
}

fn told(window: &Window) -> String {
    let gone = window.gone_after.map_or_else(
        || "not all gone before the next".to_owned(),
        |after| format!("gone {:.1} s after its end", seconds(after)),
    );
    let short = match window.short {
        0 => String::new(),
        looks => format!(", {looks} looks found too few nodes"),
    };
    format!(
        "{}: ready {:.1} s before it{short}, {gone}",
        window.opens.format("%H:%M"),
        seconds(window.ahead)
    )
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of a few minutes")]
fn seconds(span: TimeDelta) -> f64 {
    span.num_milliseconds() as f64 / 1000.0
}
