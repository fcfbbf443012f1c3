//! Leader election by Lease, with a fence: a write starts only if it ends before another instance could take the Lease.
//!
//! Authorization servers do not check Leases, so a flag that says "leader" is not enough: it stays true while the
//! process is frozen.

use std::collections::BTreeMap;
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

/// How long a Lease is valid after its last renewal.
const DURATION: Duration = Duration::from_secs(15);
/// How often the leader renews it, and how often other instances check whether it has expired.
const RENEWAL: Duration = Duration::from_secs(3);
/// Time that a write may need: the deadline of a request.
const WRITE: Duration = crate::clock::DEADLINE;

/// Decides whether a write may start. Cheap, and shared by all writers. Times are those of [`since_boot`]: a leader
/// that slept has lost its Lease.
#[derive(Clone)]
pub struct Fence {
    /// Milliseconds since boot at which the Lease expires; `u64::MAX` without election.
    expires: Arc<AtomicU64>,
}

impl Fence {
    /// Allows every write: for a single instance, or where safety does not need election.
    pub fn open() -> Self {
        Fence {
            expires: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    /// Allows no write until extended.
    pub fn closed() -> Self {
        Fence {
            expires: Arc::default(),
        }
    }

    /// Whether a write that starts now ends while the Lease is still valid.
    pub fn allows_write(&self) -> bool {
        self.allows_write_at(since_boot())
    }

    /// [`Fence::allows_write`] at a given time.
    pub fn allows_write_at(&self, now: Duration) -> bool {
        let expires = self.expires.load(Ordering::Acquire);
        expires == u64::MAX || Duration::from_millis(expires) >= now + WRITE
    }

    /// Whether the Lease has expired at a given time.
    pub fn has_lapsed_at(&self, now: Duration) -> bool {
        Duration::from_millis(self.expires.load(Ordering::Acquire)) < now
    }

    /// Makes the Lease valid for its full duration from this time on.
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
    /// Namespace of the operator.
    home: String,
    identity: String,
    fence: Fence,
}

/// Annotation of the Lease: the namespace of the operator that holds it. The Lease itself is in another one.
const HOME: &str = "oidc-operator.dev/namespace";

/// The last version of a Lease that was read, and since when it has not changed. The time is from our own clock, since
/// clocks of machines may differ.
pub struct Seen {
    version: Option<String>,
    since: Duration,
    holder: Holder,
}

/// Who holds a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Holder {
    identity: String,
    /// Namespace of the operator, if it is known.
    home: Option<String>,
}

impl Election {
    /// A candidate named `identity` for the Lease `name`.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Election {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            home: namespace.to_owned(),
            identity: identity.to_owned(),
            fence: Fence::closed(),
        }
    }

    /// Sets the namespace of the operator, if it is not that of the Lease.
    pub fn of(self, home: &str) -> Self {
        let home = home.to_owned();
        Election { home, ..self }
    }

    /// The fence of this candidate's writes.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Waits until this instance holds the Lease; calls `waiting` before each wait. False if stopped first.
    pub async fn acquire(&self, stop: &CancellationToken, waiting: impl Fn()) -> bool {
        let mut seen: Option<Seen> = None;
        let mut told: Option<Holder> = None;
        loop {
            if self.attempt(&mut seen).await {
                tracing::info!(lease = self.name, identity = self.identity, "leading");
                return true;
            }
            waiting();
            let leader = seen.as_ref().map(|seen| seen.holder.clone());
            if leader.is_some() && told != leader {
                self.tell(leader.as_ref());
                told = leader;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(RENEWAL) => {}
            }
        }
    }

    /// Logs whom this instance stands by for.
    fn tell(&self, leader: Option<&Holder>) {
        let Some(Holder { identity, home }) = leader else {
            return;
        };
        let is_other = home.as_ref().is_some_and(|home| *home != self.home);
        let what = match is_other {
            true => {
                "standing by: an operator of another installation leads; to run both, set another serverClass for this one"
            }
            false => "standing by: another instance leads",
        };
        tracing::info!(lease = self.name, leader = identity, namespace = home, "{what}");
    }

    /// Renews the Lease until stopped, or until it has expired. False if it has expired.
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
                    "the Lease has expired; stopping, so that another instance can take over"
                );
                return false;
            }
        }
    }

    /// Releases the Lease, so that the next leader need not wait. Nothing may be written after this.
    pub async fn release(&self) {
        self.fence.close();
        let Ok(Ok(mut lease)) = tokio::time::timeout(RENEWAL, self.api.get(&self.name)).await else {
            return;
        };
        if !self.is_held_by_us(&lease) {
            return;
        }
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        let released =
            tokio::time::timeout(RENEWAL, self.api.replace(&self.name, &PostParams::default(), &lease)).await;
        if !matches!(released, Ok(Ok(_))) {
            tracing::warn!(lease = self.name, "the Lease could not be released; it will expire");
        }
    }

    /// Takes or renews the Lease if possible. Its duration counts from before the request, since the reply may be late.
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
                annotations: Some(self.home()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(self.claim(None, 0)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        if !self.is_held_by_us(&lease) && !has_lapsed(&lease, seen, since_boot()) {
            return Ok(false);
        }
        let was_ours = self.is_held_by_us(&lease);
        lease.metadata.annotations.get_or_insert_default().extend(self.home());
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or_default();
        lease.spec = Some(match was_ours {
            true => self.claim(before.acquire_time, transitions),
            false => self.claim(None, transitions + 1),
        });
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    /// Instances of two installations may have the same name.
    fn is_held_by_us(&self, lease: &Lease) -> bool {
        holder(lease) == Some(self.identity.as_str()) && home_of(lease).is_none_or(|home| *home == self.home)
    }

    fn home(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(HOME.to_owned(), self.home.clone())])
    }

    /// The Lease as this instance holds it. `acquired`: since when, or None if it acquires the Lease now.
    fn claim(&self, acquired: Option<MicroTime>, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: acquired.or_else(|| Some(now.clone())),
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

fn home_of(lease: &Lease) -> Option<&String> {
    lease.metadata.annotations.as_ref()?.get(HOME)
}

/// Whether a Lease may be taken: it has no holder, or it has not changed for longer than its duration. `seen`: the last
/// version that was read.
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
            let holder = Holder {
                identity: holder(lease).unwrap_or_default().to_owned(),
                home: home_of(lease).cloned(),
            };
            *seen = Some(Seen {
                version,
                since: now,
                holder,
            });
            false
        }
    }
}
