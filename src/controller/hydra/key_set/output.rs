//! What applications get: Secrets with the current private key and with the public keys, and a ConfigMap with the
//! public keys. Each is created only when complete.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::api::JsonWebKeySet;
use crate::api::json_web_key_set::{JWK, JWKS, JsonWebKeySetStatus, KID, PEM};
use crate::controller::common::note::{Wrote, note_secret_restored};
use crate::controller::common::own_config_map;
use crate::controller::common::own_secret::{
    bytes, conflict, drop_one, has_labels, is_owned, labels, owned_by, remember,
};
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::Pass;
use crate::controller::hydra::key_set::ledger::{self, Entry};
use crate::controller::hydra::key_set::plan::KeySetPlan;
use crate::controller::hydra::key_set::restore::{has_only, is_known};
use crate::error::{ClusterFault, Error, Result};
use crate::key_material;
use crate::labels::Labels;

/// Writes everything that the spec asks for, and deletes what it does not ask for any more.
pub(crate) async fn write(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    pass: &mut Pass<JsonWebKeySetStatus>,
    current: Option<&Entry>,
) -> Result<()> {
    let jwks = jwks(&pass.status.keys);
    if let (Some(name), Some(current)) = (&plan.secret_name, current) {
        let wrote = secret(set, ctx, plan, name, private(current)?, &pass.status.key_ids()).await?;
        let is_same = pass.status.current_key_id.as_ref() == Some(&current.key.public.kid);
        if is_same && pass.status.secret_name.as_ref() == Some(name) {
            note_secret_restored(pass, name, wrote);
        }
    }
    if let Some(name) = &plan.public_secret_name {
        let data = BTreeMap::from([(JWKS.to_owned(), bytes(&jwks))]);
        secret(set, ctx, plan, name, data, &pass.status.key_ids()).await?;
    }
    drop_others(ctx, plan).await?;
    let name = set.config_map_name();
    if let Some(name) = name.clone() {
        let wanted = own_config_map::Wanted {
            name,
            data: BTreeMap::from([(JWKS.to_owned(), jwks)]),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        let ids = pass.status.key_ids();
        let holds_ours = |data: &BTreeMap<String, String>| data.get(JWKS).is_some_and(|public| has_only(public, &ids));
        own_config_map::write(set, ctx, wanted, false, holds_ours).await?;
    }
    own_config_map::rename(set, ctx, &mut pass.status.config_map_name, name).await
}

/// Creates a Secret, or makes it what it should be. `ids`: of the keys of the set.
async fn secret(
    set: &JsonWebKeySet,
    ctx: &Context,
    plan: &KeySetPlan,
    name: &str,
    data: BTreeMap<String, ByteString>,
    ids: &[&str],
) -> Result<Wrote> {
    let labels = labels(ctx, &plan.target.uid, &Labels::new());
    let found = ctx.cluster.secret(&plan.target.namespace, name).await?;
    let wrote = match &found {
        None => Wrote::Created,
        Some(found) if found.data.as_ref() == Some(&data) => Wrote::Nothing,
        Some(_) => Wrote::Replaced,
    };
    let written = match found {
        Some(found) if !is_owned(&found, &plan.target.uid) && !is_known(&found, &data, ids) => {
            return Err(conflict(&found, set));
        }
        Some(found)
            if is_owned(&found, &plan.target.uid)
                && found.data.as_ref() == Some(&data)
                && has_labels(&found, &labels) =>
        {
            found
        }
        Some(mut found) => {
            found.data = Some(data);
            found.metadata.owner_references = owned_by(set);
            found.labels_mut().extend(labels);
            ctx.cluster.replace(&plan.target.namespace, &found).await?
        }
        None => {
            let mut secret = KubeSecret {
                data: Some(data),
                type_: Some("Opaque".to_owned()),
                ..KubeSecret::default()
            };
            secret.metadata.name = Some(name.to_owned());
            secret.metadata.owner_references = owned_by(set);
            secret.metadata.labels = Some(labels);
            let created = ctx.cluster.create(&plan.target.namespace, &secret).await?;
            created.ok_or(Error::Cluster(ClusterFault::Conflict))?
        }
    };
    remember(ctx, &plan.target.uid, &written);
    Ok(wrote)
}

/// Deletes our Secrets, except the ledger and those that the spec names.
async fn drop_others(ctx: &Context, plan: &KeySetPlan) -> Result<()> {
    let kept = [
        Some(ledger::name(&plan.target.uid)),
        plan.secret_name.clone(),
        plan.public_secret_name.clone(),
    ];
    for name in ctx.marked_secrets(&plan.target.namespace, &plan.target.uid) {
        if kept.iter().flatten().any(|kept| *kept == name) {
            continue;
        }
        if let Some(secret) = ctx.own_secret(&plan.target.namespace, &plan.target.uid, &name) {
            drop_one(ctx, &plan.target.namespace, &plan.target.uid, &name, secret.uid).await?;
        }
    }
    Ok(())
}

fn jwks(keys: &[Map<String, Value>]) -> String {
    json!({ "keys": keys }).to_string()
}

fn private(current: &Entry) -> Result<BTreeMap<String, ByteString>> {
    let unreadable = || Error::Internal("write the current private key as PEM");
    let jwk = String::from_utf8(current.key.body()).map_err(|_| unreadable())?;
    let members: Value = serde_json::from_str(&jwk).map_err(|_| unreadable())?;
    let pem = members.as_object().and_then(key_material::pem).ok_or_else(unreadable)?;
    Ok(BTreeMap::from([
        (KID.to_owned(), bytes(&current.key.public.kid)),
        (JWK.to_owned(), bytes(&jwk)),
        (PEM.to_owned(), bytes(pem.expose())),
    ]))
}
