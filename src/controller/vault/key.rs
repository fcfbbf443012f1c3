//! A key set as a named key of a Vault, which makes and rotates the keys itself. This writer alone computes the list of
//! clients whose tokens the key may sign, from the whole cluster: the server keeps no version of the list, so two
//! writers would drop each other's clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::access::KeySetRequest;
use crate::admin::vault::{self, Object};
use crate::api::access::OnRevoked;
use crate::api::event::Happening;
use crate::api::json_web_key_set::{JsonWebKeySetStatus, KeyAlgorithm, KeyMaker};
use crate::api::refs::DeletionPolicy;
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client};
use crate::clock::told;
use crate::controller::common::admission::admitted;
use crate::controller::common::adoption::{Consent, MOST_KEPT, kept_in_words, still_kept};
use crate::controller::common::claim::{Claim, Claiming};
use crate::controller::common::client::outcome::deletion_policy;
use crate::controller::common::digest::digest;
use crate::controller::common::failure::is_certain;
use crate::controller::common::key_set::{self, check_access};
use crate::controller::common::observe::asked_policy;
use crate::controller::common::referable::Referable;
use crate::controller::common::refuse::refuse;
use crate::controller::common::schedule::{Schedule, WAITS, wait_until};
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::vault::failure::failure;
use crate::controller::vault::name::Named;
use crate::controller::vault::object::{Synced, Target};
use crate::error::{Error, Result};

/// How long a key signs, and how long it verifies after that, unless the spec says otherwise: the server's default for
/// both.
const DAY: Duration = Duration::from_secs(86_400);

/// [`DAY`] as written in specs.
const DAY_TEXT: &str = "24h";

/// Maximum overlap, as a multiple of the rotation period.
const MOST_OVERLAPS: u32 = 10;

impl Named for JsonWebKeySet {
    type Object = vault::Key;
    const NAME_FIELD: &'static str = "setName";

    fn asked_name(&self) -> Option<&str> {
        self.spec.set_name.as_deref()
    }
}

impl Claiming for JsonWebKeySet {
    fn claim(status: &mut JsonWebKeySetStatus) -> Claim<'_> {
        Claim {
            name: &mut status.set_name,
            server_uid: &mut status.server_uid,
            cluster_id: &mut status.cluster_id,
            inputs: &mut status.inputs,
            adopted: &mut status.adopted,
            kept: Some(&mut status.kept_client_ids),
            accepted: Some(&mut status.deletion_policy),
        }
    }

    fn consent(&self) -> Consent {
        Consent {
            adoption: self.spec.adoption,
            deletion_policy: asked_policy(self, self.spec.deletion_policy, self.spec.management_policy),
            suspend: self.spec.suspend,
            management: self.spec.management_policy,
        }
    }
}

pub(crate) async fn apply(set: &JsonWebKeySet, ctx: &Context, pass: &mut Pass<JsonWebKeySetStatus>) -> Result<Done> {
    let wanted = wanted(set, ctx);
    remember(&mut pass.status.kept_client_ids, &wanted.kept_client_ids);
    let target = Target::of(set, ctx, pass).await?;
    check_fields(set, &target.server)?;
    let grant = check_access(
        ctx,
        &target.server,
        &set.namespace().unwrap_or_default(),
        request(set, &target.name),
    )?;
    let rotated_at = pass.status.rotated_at.clone();
    let schedule = Schedule::of(set, None).bounded(grant.min_rotation_period, rotated_at.as_deref(), Timestamp::now());
    if set.consent().leaves_alone() {
        pass.status.next_rotation_at = None;
    }
    if target.is_suspended() {
        return Ok(target.suspended(pass, Some(wanted)).await);
    }
    if target.is_observed() {
        return target.observe(pass, wanted).await;
    }
    pass.status.kept_client_ids = wanted.kept();
    let inputs_of = |wanted: &vault::Key| digest(&json!([target.server.uid(), target.name, wanted]));
    let inputs = inputs_of(&wanted);
    let settled = pass.status.inputs.as_ref() == Some(&inputs);
    let since = |status: &JsonWebKeySetStatus| key_set::since(status).or(set.creation_timestamp().map(|at| at.0));
    let is_due = since(&pass.status).is_some_and(|since| schedule.is_due(since, Duration::ZERO, Timestamp::now()));
    if pass.must_read || is_due || !settled {
        let vault = target.vault(settled).await?;
        let Synced { wanted, .. } = target.sync(pass, &vault, wanted, settled).await?;
        pass.status.inputs = Some(inputs_of(&wanted));
        pass.status.kept_client_ids = wanted.kept();
        pass.status.client_ids = wanted.allowed_client_ids.into_iter().collect();
        if is_due {
            let (memory, uid) = (&ctx.kinds.key_sets.memory, set.uid().unwrap_or_default());
            memory.writing(&uid);
            let rotated = vault.rotate(&target.name).await;
            memory.ended(&uid, rotated.as_ref().err().is_none_or(is_certain));
            rotated.map_err(|failed| failure("rotate_key", "key", failed))?;
            pass.status.rotated_at = Some(Timestamp::now().to_string());
            pass.note(
                Happening::KeyRotated,
                "The server has made another key, which signs now, as rotate-at requested.",
            );
        }
    }
    let (since, now) = (since(&pass.status), Timestamp::now());
    let next = since.and_then(|since| schedule.asked(since));
    pass.status.next_rotation_at = next.map(told);
    let message = match since.is_some_and(|since| schedule.is_held_back(since, now)) {
        true => format!("The key is on the server, which makes and rotates it; {WAITS}."),
        false => "The key is on the server, which makes and rotates it. OAuth2Clients can refer to it.".to_owned(),
    };
    Ok(Done {
        message: message + kept_in_words(&pass.status.kept_client_ids),
        again: next.map(wait_until),
        ..Done::default()
    })
}

/// The request to the access rules. The server rotates a key even if the spec asks for no period.
fn request<'a>(set: &'a JsonWebKeySet, name: &'a str) -> KeySetRequest<'a> {
    let rotation = set.spec.rotation.as_ref();
    let adopts = set.consent().adopts();
    KeySetRequest {
        name: Some(name).filter(|_| adopts || set.spec.set_name.is_some()),
        is_reserved: vault::Key::is_reserved(name),
        adopts,
        period: Some(rotation.map_or(DAY_TEXT, |rotation| rotation.period.as_str())),
        stays: set.consent().asks_to_stay(),
    }
}

/// The key that the server should have.
fn wanted(set: &JsonWebKeySet, ctx: &Context) -> vault::Key {
    let algorithm = set.spec.generate.as_ref().map(|generate| generate.algorithm);
    let refers = |client: &OAuth2Client| client.server_name() == set.server_name() && signs_for(set, client);
    let clients = ctx.kinds.clients.store.state_filter(refers);
    let status = set.status.clone().unwrap_or_default();
    let (added, kept) = listed(ctx, clients, &status.client_ids, &status.kept_client_ids);
    vault::Key {
        algorithm: algorithm.map(KeyAlgorithm::as_str).unwrap_or_default().to_owned(),
        rotation_period: period(set).as_secs(),
        verification_ttl: overlap(set).as_secs(),
        allowed_client_ids: &added | &kept,
        kept_client_ids: kept,
    }
}

/// The ids of clients that resources add to a list, and those that the list keeps besides. `clients`: those that belong
/// to the list; `last`: what it had last; `kept`: what it kept until now. A client that leaves stays in
/// the list if the client itself stays.
pub(crate) fn listed(
    ctx: &Context,
    clients: Vec<Arc<OAuth2Client>>,
    last: &[String],
    kept: &[String],
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (leaving, present): (Vec<_>, Vec<_>) = clients.into_iter().partition(|client| is_leaving(client, ctx));
    let added = present
        .into_iter()
        .filter_map(|client| client_id(ctx, client))
        .collect();
    let stays = |client: &Arc<OAuth2Client>| {
        let status = client.status.clone().unwrap_or_default();
        deletion_policy(client, &status) == DeletionPolicy::Orphan
    };
    let left = leaving
        .into_iter()
        .filter(stays)
        .filter_map(|client| client_id(ctx, client));
    let left = fitting(kept, left.filter(|id| last.contains(id)).collect());
    let kept = still_kept(kept, left, &added);
    (added, kept)
}

/// Whether a client belongs to no list any more as that of its resource: the resource is being deleted, or access was
/// revoked, the server's admin wants deletion then, and the client stays all the same.
pub(crate) fn is_leaving(client: &OAuth2Client, ctx: &Context) -> bool {
    let is_revoked = || {
        let wants = |server: &AuthorizationServer| server.spec.on_revoked == Some(OnRevoked::Delete);
        ctx.server(client.server_name()).is_some_and(|server| wants(&server))
            && matches!(admitted(client, ctx), Err(Error::NotAllowed { .. }))
    };
    is_deleting(client) || outlives_access(client) && is_revoked()
}

/// Whether a client stays when access is revoked: without a rule, only what was adopted does, and only by default.
fn outlives_access(client: &OAuth2Client) -> bool {
    let status = client.status.as_ref();
    client.spec.deletion_policy.is_none()
        && status.is_some_and(|status| status.adopted == Some(true) && status.client_id.is_some())
}

/// Notes ids that a list is to keep. Clients that leave wait for this, so it comes before whatever may hinder a pass.
pub(crate) fn remember(noted: &mut Vec<String>, kept: &BTreeSet<String>) {
    let all = noted.iter().chain(kept).cloned().collect::<BTreeSet<_>>();
    *noted = all.into_iter().collect();
}

/// Those of the ids of leaving clients that a list can keep: the status has no room for more than [`MOST_KEPT`].
fn fitting(kept: &[String], left: BTreeSet<String>) -> BTreeSet<String> {
    let room = MOST_KEPT.saturating_sub(kept.len());
    left.into_iter().filter(|id| !kept.contains(id)).take(room).collect()
}

/// Whether a client's tokens are signed with the key. A client that already has a key keeps it, whatever its spec says
/// now.
pub(crate) fn signs_for(set: &JsonWebKeySet, client: &OAuth2Client) -> bool {
    let status = client.status.as_ref();
    match status.and_then(|status| status.key_set_name.as_ref()) {
        Some(name) => set.metadata.name.as_ref() == Some(name) && set.metadata.namespace == client.metadata.namespace,
        None => set.is_named_by(client),
    }
}

/// The id of a client, once it has one.
fn client_id(ctx: &Context, client: Arc<OAuth2Client>) -> Option<String> {
    ctx.kinds.clients.newest(client).status.as_ref()?.client_id.clone()
}

fn period(set: &JsonWebKeySet) -> Duration {
    let rotation = set.spec.rotation.as_ref();
    rotation
        .and_then(|rotation| crate::duration::parse(&rotation.period))
        .unwrap_or(DAY)
}

/// How long a key verifies after it last signed. This is also the maximum lifetime of an ID token.
pub(crate) fn overlap(set: &JsonWebKeySet) -> Duration {
    let asked = set
        .spec
        .rotation
        .as_ref()
        .and_then(|rotation| rotation.overlap.as_deref());
    asked
        .and_then(crate::duration::parse)
        .unwrap_or_else(|| DAY.min(period(set).saturating_mul(MOST_OVERLAPS)))
}

/// Refuses fields that the server does not have: it makes its keys itself and shows no private key.
fn check_fields(set: &JsonWebKeySet, server: &AuthorizationServer) -> Result<()> {
    let spec = &set.spec;
    let generate = spec.generate.as_ref();
    let rotation = spec.rotation.as_ref();
    let asked = [
        ("import", spec.import.is_some()),
        (
            "generate.by",
            generate.is_some_and(|generate| generate.by == Some(KeyMaker::Operator)),
        ),
        (
            "generate.algorithm",
            generate.is_some_and(|generate| generate.algorithm == KeyAlgorithm::PS256),
        ),
        ("privateKey", spec.private_key.is_some()),
        ("publish", spec.publish.is_some()),
        (
            "rotation.prePublish",
            rotation.is_some_and(|rotation| rotation.pre_publish.is_some()),
        ),
    ];
    refuse(server, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_adopted_client_without_a_policy_outlives_its_access() {
        for (policy, status, expected) in [
            (json!(null), json!({ "adopted": true, "clientId": "a" }), true),
            (json!(null), json!({ "adopted": true }), false),
            (json!(null), json!({ "clientId": "a" }), false),
            (json!("Orphan"), json!({ "adopted": true, "clientId": "a" }), false),
            (json!("Delete"), json!({ "adopted": true, "clientId": "a" }), false),
        ] {
            let mut client = OAuth2Client::new("app", Default::default());
            client.spec.deletion_policy = serde_json::from_value(policy).unwrap();
            client.status = Some(serde_json::from_value(status.clone()).unwrap());
            assert_eq!(
                outlives_access(&client),
                expected,
                "{:?} {status}",
                client.spec.deletion_policy
            );
        }
    }

    #[test]
    fn what_a_list_is_to_keep_is_noted_once() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        for (noted, kept, expected) in [
            (&[][..], &[][..], &[][..]),
            (&["b"], &["a"], &["a", "b"]),
            (&["a", "b"], &["b"], &["a", "b"]),
        ] {
            let mut noted = ids(noted);
            remember(&mut noted, &ids(kept).into_iter().collect());
            assert_eq!(noted, ids(expected));
        }
    }

    #[test]
    fn a_list_keeps_no_more_than_fits_into_the_status() {
        let ids = |from: usize, to: usize| (from..to).map(|id| format!("{id:04}"));
        for (kept, left, expected) in [
            (ids(0, 0), ids(0, 2), ids(0, 2)),
            (ids(0, 999), ids(1000, 1002), ids(1000, 1001)),
            (ids(0, 1000), ids(1000, 1001), ids(0, 0)),
            (ids(0, 1000), ids(5, 6), ids(0, 0)), // kept already
            (ids(0, 1500), ids(1600, 1601), ids(0, 0)),
        ] {
            let kept = kept.collect::<Vec<_>>();
            assert_eq!(fitting(&kept, left.collect()), expected.collect());
        }
    }
}
