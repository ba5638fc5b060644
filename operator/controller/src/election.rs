//! Leader election by a Lease: of several replicas, one acts.
//!
//! The algorithm is the one of Kubernetes' own controllers. Clocks of two machines are never compared: a standby measures,
//! on its own monotonic clock, for how long the Lease has not *changed*. A leader that could not renew for two thirds of the
//! Lease's duration stops acting before anyone may replace it; stopping means that the process ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use rand::Rng;

use crate::{health::Health, metrics::Metrics};

/// Where the Lease is and how long it holds.
#[derive(Clone, Debug)]
pub struct ElectionSettings {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Name of this replica, unique among all that ever ran.
    pub identity: String,
    /// After this long without a change the Lease may be taken over.
    pub duration: Duration,
}

impl ElectionSettings {
    /// Between two looks at the Lease: a seventh of its duration, so that several attempts fit before the deadline.
    fn retry(&self) -> Duration {
        let base = self.duration / 7;
        base + base.mul_f64(rand::rng().random_range(0.0..0.2))
    }

    /// A leader that has not renewed for this long must not act any more.
    fn deadline(&self) -> Duration {
        self.duration * 2 / 3
    }
}

/// Why a replica stopped leading.
#[derive(Debug, thiserror::Error)]
pub enum ElectionError {
    /// Another replica holds the Lease.
    #[error("lost the lease to {holder}")]
    Lost {
        /// The new holder.
        holder: String,
    },
    /// The Lease could not be renewed in time.
    #[error("could not renew the lease for {} s; another replica may lead now", waited.as_secs())]
    Expired {
        /// Since the last renewal.
        waited: Duration,
    },
}

/// What a replica knows about the Lease: what it said when it last changed, and when this replica saw that.
#[derive(Clone, Debug, PartialEq)]
struct Sighting {
    spec: LeaseSpec,
    seen: Instant,
}

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq)]
enum Decision {
    /// Write the Lease with this content: create, renew or take over.
    Write(LeaseSpec),
    /// Another replica leads.
    Wait { holder: String },
}

/// Decides from the Lease as read just now.
fn decide(
    settings: &ElectionSettings,
    lease: Option<&LeaseSpec>,
    sighting: Option<&Sighting>,
    now: Instant,
    stamp: Timestamp,
) -> Decision {
    let stamp = MicroTime(stamp);
    let seconds = i32::try_from(settings.duration.as_secs().max(1)).unwrap_or(i32::MAX);
    let fresh = |transitions: i32, acquired: MicroTime| LeaseSpec {
        holder_identity: Some(settings.identity.clone()),
        lease_duration_seconds: Some(seconds),
        acquire_time: Some(acquired),
        renew_time: Some(stamp.clone()),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    };
    let Some(lease) = lease else {
        return Decision::Write(fresh(0, stamp.clone()));
    };
    let transitions = lease.lease_transitions.unwrap_or(0);
    let holder = lease.holder_identity.clone().unwrap_or_default();
    if holder == settings.identity {
        return Decision::Write(fresh(transitions, lease.acquire_time.clone().unwrap_or(stamp.clone())));
    }
    // The holder's own promise counts, not ours: the two replicas may run with different settings.
    let promised = Duration::from_secs(
        lease
            .lease_duration_seconds
            .unwrap_or(seconds)
            .max(1)
            .unsigned_abs()
            .into(),
    );
    let is_silent = sighting.is_some_and(|sighting| now.duration_since(sighting.seen) >= promised);
    if holder.is_empty() || is_silent {
        Decision::Write(fresh(transitions.saturating_add(1), stamp.clone()))
    } else {
        Decision::Wait { holder }
    }
}

/// Waits for and keeps the leadership.
#[derive(Debug)]
pub struct Election {
    settings: ElectionSettings,
    leases: Api<Lease>,
    sighting: Option<Sighting>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Election {
    /// Prepares an election; nothing is written yet.
    #[must_use]
    pub fn new(client: Client, settings: ElectionSettings, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self {
            leases: Api::namespaced(client, &settings.namespace),
            settings,
            sighting: None,
            metrics,
            health,
        }
    }

    /// Returns when this replica leads.
    pub async fn win(&mut self) {
        let mut announced = String::new();
        loop {
            match self.attempt().await {
                Ok(None) => {
                    tracing::info!(identity = self.settings.identity, "leads");
                    self.metrics.leader.set(1);
                    return;
                }
                Ok(Some(holder)) if holder != announced => {
                    tracing::info!(%holder, "another replica leads; standing by");
                    announced = holder;
                }
                Ok(Some(_)) => {}
                Err(error) => tracing::warn!(error = %error, "cannot read or write the lease"),
            }
            tokio::time::sleep(self.settings.retry()).await;
        }
    }

    /// Renews until the leadership is lost.
    pub async fn keep(&mut self) -> ElectionError {
        let mut renewed = Instant::now();
        let lost = loop {
            let retry = self.settings.retry();
            let deadline = tokio::time::Instant::from_std(renewed + self.settings.deadline());
            let renewal = async {
                tokio::time::sleep(retry).await;
                // The promise runs from before the request, as the server may have taken it at once.
                (Instant::now(), self.attempt().await)
            };
            match tokio::time::timeout_at(deadline, renewal).await {
                Err(_) => {
                    let waited = renewed.elapsed();
                    break ElectionError::Expired { waited };
                }
                Ok((begun, Ok(None))) => renewed = begun,
                Ok((_, Ok(Some(holder)))) => break ElectionError::Lost { holder },
                Ok((_, Err(error))) => tracing::warn!(error = %error, "cannot renew the lease"),
            }
        };
        self.metrics.leader.set(0);
        lost
    }

    /// Gives the Lease back, so that another replica need not wait for it to expire. Call it only once nothing acts any more.
    pub async fn release(&mut self) {
        let Some(Sighting { spec, .. }) = &self.sighting else {
            return;
        };
        if spec.holder_identity.as_deref() != Some(&self.settings.identity) {
            return;
        }
        let released = async {
            let mut lease = self.leases.get(&self.settings.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.settings.identity) {
                spec.holder_identity = Some(String::new());
                self.leases
                    .replace(&self.settings.name, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<(), kube::Error>(())
        };
        match tokio::time::timeout(self.settings.retry(), released).await {
            Ok(Ok(())) => tracing::info!("released the lease"),
            Ok(Err(error)) => tracing::warn!(error = %error, "could not release the lease; it expires"),
            Err(_) => tracing::warn!("could not release the lease in time; it expires"),
        }
        self.metrics.leader.set(0);
    }

    /// One look at the Lease and, where due, one write: `None` if this replica leads afterwards, else the holder.
    async fn attempt(&mut self) -> Result<Option<String>, ElectionAttemptError> {
        let timeout = self.settings.retry();
        let lease = tokio::time::timeout(timeout, self.leases.get_opt(&self.settings.name)).await??;
        self.health.api_answered();
        let spec = lease.as_ref().and_then(|lease| lease.spec.clone());
        if let Some(spec) = &spec
            && self.sighting.as_ref().is_none_or(|sighting| sighting.spec != *spec)
        {
            self.saw(spec.clone());
        }
        let decision = decide(
            &self.settings,
            spec.as_ref(),
            self.sighting.as_ref(),
            Instant::now(),
            Timestamp::now(),
        );
        let wanted = match decision {
            Decision::Wait { holder } => return Ok(Some(holder)),
            Decision::Write(wanted) => wanted,
        };
        let written = tokio::time::timeout(timeout, self.write(lease, wanted.clone())).await?;
        match written {
            Ok(()) => {
                self.saw(wanted);
                self.metrics.count_write("Lease", "update");
                Ok(None)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Err(ElectionAttemptError::Raced)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, lease: Option<Lease>, spec: LeaseSpec) -> Result<(), kube::Error> {
        if let Some(mut lease) = lease {
            // The resource version is kept: the write fails if the Lease has changed since it was read.
            lease.spec = Some(spec);
            self.leases
                .replace(&self.settings.name, &PostParams::default(), &lease)
                .await?;
        } else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.settings.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(spec),
            };
            self.leases.create(&PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    fn saw(&mut self, spec: LeaseSpec) {
        self.sighting = Some(Sighting {
            spec,
            seen: Instant::now(),
        });
    }
}

/// Why one attempt failed; the next follows soon.
#[derive(Debug, thiserror::Error)]
enum ElectionAttemptError {
    #[error("someone else wrote the lease at the same moment; the next look shows who leads")]
    Raced,
    #[error("the API server did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
}

#[cfg(test)]
mod tests;
