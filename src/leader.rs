//! Leader election by Lease, with a fence: a write starts only if it ends before the Lease could pass to somebody else.
//!
//! Authorization servers know nothing of leases, so a flag that says "leader" is not enough: it stays true while the process is frozen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::clock::since_boot;

/// How long a Lease holds after its last renewal.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often others look whether it has lapsed.
const RENEWAL: Duration = Duration::from_secs(3);
/// What a write needs: the longest deadline of a request.
const WRITE: Duration = crate::clock::DEADLINE;

/// Says whether a write may start. Cheap; shared by everything that writes. Times are those of [`since_boot`]: a leader that slept has lost its Lease.
#[derive(Clone)]
pub struct Fence {
    /// Milliseconds since boot at which the Lease lapses; `u64::MAX` without election.
    expires: Arc<AtomicU64>,
}

impl Fence {
    /// Always allows: for a process that is alone, or where safety does not need election.
    pub fn open() -> Self {
        Fence {
            expires: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    /// Allows nothing until extended.
    pub fn closed() -> Self {
        Fence {
            expires: Arc::default(),
        }
    }

    /// Whether a write that starts now ends while the Lease still holds.
    pub fn allows_write(&self) -> bool {
        self.allows_write_at(since_boot())
    }

    /// [`Fence::allows_write`] at a given time.
    pub fn allows_write_at(&self, now: Duration) -> bool {
        let expires = self.expires.load(Ordering::Acquire);
        expires == u64::MAX || Duration::from_millis(expires) >= now + WRITE
    }

    /// Whether the Lease has lapsed at a given time.
    pub fn has_lapsed_at(&self, now: Duration) -> bool {
        Duration::from_millis(self.expires.load(Ordering::Acquire)) < now
    }

    /// The Lease holds from then on for as long as a Lease does.
    pub fn extend(&self, from: Duration) {
        let expires = u64::try_from((from + DURATION).as_millis());
        self.expires.store(expires.unwrap_or(u64::MAX - 1), Ordering::Release);
    }

    fn close(&self) {
        self.expires.store(0, Ordering::Release);
    }
}

/// A candidate for leadership.
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    fence: Fence,
}

/// A Lease seen, and since when it has not changed, by our own clock: clocks of other machines are not compared.
pub struct Seen {
    version: Option<String>,
    since: Duration,
}

impl Election {
    /// A candidate named `identity` for the Lease `name`.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Election {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            fence: Fence::closed(),
        }
    }

    /// The fence of this candidate's writes.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until the Lease is ours; says through `waiting` that it has to. False if told to stop first.
    pub async fn acquire(&self, stop: &CancellationToken, waiting: impl Fn()) -> bool {
        let mut seen: Option<Seen> = None;
        loop {
            if self.attempt(&mut seen).await {
                tracing::info!(lease = self.name, identity = self.identity, "leading");
                return true;
            }
            waiting();
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(RENEWAL) => {}
            }
        }
    }

    /// Renews the Lease until told to stop, or until it has lapsed. False if it has.
    pub async fn hold(&self, stop: &CancellationToken) -> bool {
        let mut seen = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = tokio::time::sleep(RENEWAL) => {}
            }
            if !self.attempt(&mut seen).await && self.fence.has_lapsed_at(since_boot()) {
                tracing::error!(
                    lease = self.name,
                    "the Lease has lapsed; stopping, so that another instance can go on"
                );
                return false;
            }
        }
    }

    /// Gives the Lease up, so that the next one need not wait. Nothing may be written after this.
    pub async fn release(&self) {
        self.fence.close();
        let Ok(Ok(mut lease)) = tokio::time::timeout(RENEWAL, self.api.get(&self.name)).await else {
            return;
        };
        if holder(&lease) != Some(self.identity.as_str()) {
            return;
        }
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        let released =
            tokio::time::timeout(RENEWAL, self.api.replace(&self.name, &PostParams::default(), &lease)).await;
        if !matches!(released, Ok(Ok(_))) {
            tracing::warn!(
                lease = self.name,
                "the Lease could not be released; it lapses by itself"
            );
        }
    }

    /// Takes or renews the Lease if it may be taken. The time counts from before the request: the reply may be late.
    async fn attempt(&self, seen: &mut Option<Seen>) -> bool {
        let begun = since_boot();
        let held = match tokio::time::timeout(DURATION / 3, self.try_hold(seen)).await {
            Ok(Ok(held)) => held,
            Ok(Err(error)) => {
                tracing::warn!(lease = self.name, %error, "the Lease could not be read or written");
                false
            }
            Err(_) => false,
        };
        if held {
            self.fence.extend(begun);
        }
        held
    }

    async fn try_hold(&self, seen: &mut Option<Seen>) -> kube::Result<bool> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(self.claim(0)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        if holder(&lease) != Some(self.identity.as_str()) && !has_lapsed(&lease, seen, since_boot()) {
            return Ok(false);
        }
        let transitions = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_transitions)
            .unwrap_or_default();
        let taken = i32::from(holder(&lease) != Some(self.identity.as_str()));
        lease.spec = Some(self.claim(transitions + taken));
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn claim(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// A lost race is not an error.
fn won(result: kube::Result<Lease>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease
        .spec
        .as_ref()?
        .holder_identity
        .as_deref()
        .filter(|holder| !holder.is_empty())
}

/// Whether a Lease may be taken: nobody holds it, or it has not changed for as long as it holds. `seen`: what was seen of it before.
pub fn has_lapsed(lease: &Lease, seen: &mut Option<Seen>, now: Duration) -> bool {
    if holder(lease).is_none() {
        return true;
    }
    let version = lease.metadata.resource_version.clone();
    match seen {
        Some(last) if last.version == version => {
            let seconds = lease
                .spec
                .as_ref()
                .and_then(|spec| spec.lease_duration_seconds)
                .unwrap_or_default();
            let holds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).max(Duration::from_secs(1));
            now.saturating_sub(last.since) > holds
        }
        _ => {
            *seen = Some(Seen { version, since: now });
            false
        }
    }
}
