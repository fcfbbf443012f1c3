//! A key set that was restored from a backup keeps its keys, so that what they signed can still be verified.
//!
//! A ledger or a Secret with a private key is its own proof: who has the key can import it anyway. So the keys go into
//! the set of the restored resource, which has another name unless the spec requests one. A set on the server that an
//! earlier resource had is not touched, because nothing there tells its namespace.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::admin::hydra::key::{JsonWebKey, JsonWebKeySet as Keys};
use crate::api::event::Happening;
use crate::api::json_web_key_set::{JWK, JWKS, JsonWebKeySetStatus, KID};
use crate::api::status::clear;
use crate::api::{JsonWebKeySet, UID_LABEL};
use crate::controller::common::own_secret::{drop_left, is_left_by, text};
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::key_set::kid;
use crate::controller::hydra::key_set::ledger::{self, Entry, Ledger};
use crate::controller::hydra::key_set::plan::KeySetPlan;
use crate::controller::hydra::key_set::rotation::Stage;
use crate::error::Result;
use crate::key_material;

/// Fills the ledger of a new resource with the keys that an earlier one left, and deletes the ledgers that are not
/// needed any more.
///
/// # Errors
/// [`Error::Cluster`](crate::error::Error::Cluster), [`Error::NotLeader`](crate::error::Error::NotLeader).
pub(crate) async fn inherit(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    pass: &mut Pass<JsonWebKeySetStatus>,
    ledger: &mut Ledger,
) -> Result<()> {
    let status = &mut pass.status;
    if status.set_name.as_ref() == Some(&plan.target.set_name) {
        return Ok(());
    }
    if status.set_name.is_some() {
        // It was restored as well and is of the earlier resource.
        clear(status);
    }
    let namespace = &plan.target.namespace;
    let private = plan.secret_name.clone().unwrap_or_default();
    for uid in ctx.left_by(namespace, &set.name_any(), &private) {
        let name = ledger::name(&uid);
        let left = left(ctx, namespace, &name, &uid).await?;
        let mut entries = left.as_ref().and_then(ledger::parse).unwrap_or_default();
        entries.retain(|entry| !entry.is_ordered());
        if entries.is_empty() {
            let secret = left_private(ctx, plan, &uid).await?;
            entries.extend(secret.as_ref().and_then(current));
        }
        if ledger.entries.is_empty() && is_usable(set, ctx, &entries, &uid) {
            ledger.entries = entries.clone();
            ledger.write(set, ctx).await?;
            let note = "The keys of an earlier resource of this name came back and are kept.";
            pass.note(Happening::Restored, note);
        }
        let known = ledger.ids();
        if !entries.is_empty() && entries.iter().all(|entry| known.contains(&entry.key.public.kid)) {
            drop_left(ctx, namespace, &uid, &name).await?;
        }
    }
    Ok(())
}

async fn left(ctx: &Context, namespace: &str, name: &str, uid: &str) -> Result<Option<KubeSecret>> {
    let found = ctx.cluster.secret(namespace, name).await?;
    Ok(found.filter(|found| is_left_by(found, uid)))
}

/// The Secret with the private key, which applications use.
async fn left_private(ctx: &Context, plan: &KeySetPlan, uid: &str) -> Result<Option<KubeSecret>> {
    match &plan.secret_name {
        Some(name) => left(ctx, &plan.target.namespace, name, uid).await,
        None => Ok(None),
    }
}

/// The key that signs, from the Secret that applications use.
fn current(secret: &KubeSecret) -> Option<Entry> {
    let parsed = JsonWebKey::parse(serde_json::from_str(&text(secret, JWK)?).ok()?)?;
    let key = key_material::complete(&parsed).ok()?;
    let is_whole = key.is_private() && !key.public.kid.is_empty();
    is_whole.then(|| Entry {
        key,
        stage: Stage::Current,
        since: Timestamp::now(),
    })
}

/// Whether there are keys, and none of them is in a set that another cluster may manage under the same name.
fn is_usable(set: &JsonWebKeySet, ctx: &Context, entries: &[Entry], uid: &str) -> bool {
    let settings = &ctx.settings;
    let ours = || settings.former_clusters.iter().chain([&settings.cluster]);
    let is_foreign = |entry: &Entry| kid::is_of_another_cluster(&entry.key.public.kid, uid, ours());
    let may_be_theirs = set.spec.set_name.is_some() && entries.iter().any(is_foreign);
    !entries.is_empty() && !may_be_theirs
}

/// Whether a Secret came back that holds nothing but keys that the set has, which are written anew.
pub(crate) fn is_known(found: &KubeSecret, wanted: &BTreeMap<String, ByteString>, ids: &[&str]) -> bool {
    let label = found.labels().get(UID_LABEL);
    let has_same_keys = found.data.as_ref().is_some_and(|data| data.keys().eq(wanted.keys()));
    let has = |kid: String| ids.contains(&kid.as_str());
    let are_known = match (text(found, KID), text(found, JWKS)) {
        (Some(kid), _) => has(kid),
        (None, Some(public)) => has_only(&public, ids),
        (None, None) => false,
    };
    label.is_some_and(|uid| is_left_by(found, uid)) && has_same_keys && are_known
}

/// Whether a published set has no keys besides these.
pub(crate) fn has_only(public: &str, ids: &[&str]) -> bool {
    let set = serde_json::from_str(public).ok().and_then(Keys::parse);
    set.is_some_and(|set| set.keys.iter().all(|key| ids.contains(&key.public.kid.as_str())))
}
