use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::*;
use crate::drive::span_of;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged meanwhile, as JSON.
fn logged(log: impl FnOnce()) -> Vec<Value> {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = tracing_subscriber::registry().with(json(move || writer.clone()));
    tracing::subscriber::with_default(subscriber, log);
    let bytes = kept.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_of_a_reconcile_says_of_which_and_of_what() {
    let lines = logged(|| {
        span_of("ComputeGroup", "retail", "etl", "Pod etl-cn-0 changed").in_scope(|| {
            tracing::info!(replicas = 3, "scaled");
            tracing::info_span!("request").in_scope(|| tracing::warn!("refused"));
        });
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    let reconcile = &lines[0]["span"];
    assert_eq!(reconcile["kind"], "ComputeGroup");
    assert_eq!(reconcile["namespace"], "retail");
    assert_eq!(reconcile["object"], "etl");
    assert_eq!(reconcile["cause"], "Pod etl-cn-0 changed");
    assert!(reconcile["reconcile_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(
        (&lines[0]["message"], &lines[0]["replicas"]),
        (&"scaled".into(), &3.into())
    );
    assert_eq!(&lines[1]["spans"][0], reconcile, "also within another span");
}

#[test]
fn two_reconciles_have_two_ids() {
    let lines = logged(|| {
        for _ in 0..2 {
            span_of("Department", "", "retail", "it was time to look again").in_scope(|| tracing::info!("applied"));
        }
    });
    assert_ne!(lines[0]["span"]["reconcile_id"], lines[1]["span"]["reconcile_id"]);
}
