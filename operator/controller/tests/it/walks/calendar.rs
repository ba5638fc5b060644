//! A Calendar that windows of a group name. It has no status: what is said of it, the group says.

use serde_json::{Value, json};
use springtide_crds::Calendar;

use super::{Ground, Verdict, compute_group, generate::Texts};
use crate::harness::world::World;

const NAME: &str = "holidays";

pub(super) struct Walked;

impl Ground for Walked {
    const KIND: &'static str = "Calendar";
    const FIXED: &'static [&'static str] = &[];
    /// Some of them are today, and some are no dates although they look like them.
    const TEXTS: Texts = &[
        (
            "from",
            &["2030-06-03", "2030-06-01", "2030-12-24", "2030-02-30", "tomorrow"],
        ),
        (
            "to",
            &["2030-06-03", "2030-12-26", "2030-12-31", "2031-02-29", "2030-6-5"],
        ),
        ("description", &["a holiday", "the end of the year"]),
    ];
    const SEEN_BY: Option<&'static str> = Some("ComputeGroup");

    fn metadata(world: &World) -> Value {
        json!({"name": NAME, "namespace": world.namespace})
    }

    fn first(_: &World) -> Value {
        json!({"excludedDates": [{"from": "2030-12-24", "to": "2030-12-26"}]})
    }

    async fn prepare(world: &World) {
        world.make_cluster("lake").await;
    }

    /// One window is open unless today is excluded, the other one only if today is an extra day.
    async fn inhabit(world: &World) {
        let schedules = json!([
            {"name": "morning", "start": "0 8 * * *", "duration": "4h", "timeZone": "Etc/UTC", "minReplicas": 2, "calendars": [NAME]},
            {"name": "sunday", "start": "0 9 * * SUN", "until": "12:00", "timeZone": "Etc/UTC", "minReplicas": 3, "calendars": [NAME]},
        ]);
        world
            .make_group(
                compute_group::NAME,
                "lake",
                json!({"replicas": 1, "schedules": schedules}),
            )
            .await;
    }

    async fn verdict(world: &World, _: i64) -> Option<Verdict> {
        Some(Verdict::of(true, compute_group::is_carried_out(world).await?))
    }

    async fn clear(world: &World) {
        compute_group::remove(world).await;
        world.delete::<Calendar>(NAME).await;
    }
}
