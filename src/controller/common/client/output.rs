//! The credentials Secret: how it is written. It is created only when complete.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use crate::api::event::Happening;
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::{ADOPTABLE_BY_ANNOTATION, JsonWebKeySet, OAuth2Client, REVISION_ANNOTATION};
use crate::controller::common::client::layout::{KeySource, Layout, OF_KEY, OF_SECRET};
use crate::controller::common::client::offered::{check_offered, check_type};
use crate::controller::common::client::plan::{ClientPlan, ledger_name};
use crate::controller::common::client::template::{LONGEST_SECRET, Template};
use crate::controller::common::note::{Wrote, note_secret_renamed, note_secret_restored};
use crate::controller::common::own_secret::{
    bytes, describe_as, drop_one, is_described_as, is_owned, labels, owned_by, remember, text,
};
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{Managed, Pass};
use crate::error::{ClusterFault, Error, Result};
use crate::secret::{Secret, basic_credentials, is_key};

/// The client secret, and its revision if that is recorded.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) secret: &'a Secret,
    /// The secret before it, while that one is valid too.
    pub(crate) former: Option<&'a Secret>,
    pub(crate) revision: Option<&'a str>,
}

impl<'a> Held<'a> {
    /// A secret of a server that shows it, so that nothing else is known of it.
    pub(crate) fn shown(secret: &'a Secret) -> Self {
        Held {
            secret,
            former: None,
            revision: None,
        }
    }
}

/// A Secret that is as wanted.
pub(crate) struct Written {
    /// Its resourceVersion.
    pub(crate) version: String,
    /// What was done with it.
    pub(crate) wrote: Wrote,
}

/// Creates or updates the Secret. `fresh`: tries to create it without reading it first;
/// `strict`: removes labels and annotations that are not wanted.
///
/// # Errors
/// [`Error::SecretConflict`], [`Error::Earlier`], [`Error::Going`], [`Error::InvalidField`], [`Error::Cluster`],
/// [`Error::NotLeader`].
pub(crate) async fn write(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    layout: &Layout,
    held: Option<Held<'_>>,
    fresh: bool,
    strict: bool,
) -> Result<Written> {
    let key = match &layout.key {
        Some(source) => private_key(ctx, plan, source).await?,
        None => Vec::new(),
    };
    let mut wanted = wanted(client, ctx, plan, layout, held, key);
    if fresh {
        fill(&mut wanted, layout, &[]);
        if let Some(created) = ctx.cluster.create(&plan.namespace, &wanted).await.map_err(refused)? {
            remember(ctx, &plan.uid, &created);
            return Ok(Written {
                version: created.resource_version().unwrap_or_default(),
                wrote: Wrote::Created,
            });
        }
    }
    let found = ctx.cluster.secret(&plan.namespace, &layout.name).await?;
    let is_taken_over = found.as_ref().is_some_and(|found| !is_owned(found, &plan.uid));
    if let Some(theirs) = found.as_ref().filter(|_| is_taken_over) {
        check_offered(theirs, client, layout, plan)?;
    }
    let former = match found.is_none() && !layout.random.is_empty() {
        true => former(client, ctx, plan).await?,
        false => None,
    };
    fill(&mut wanted, layout, &[found.as_ref(), former.as_ref()]);
    let wrote = match &found {
        None => Wrote::Created,
        Some(_) if is_taken_over => Wrote::TakenOver,
        Some(found) if found.data == wanted.data => Wrote::Nothing,
        Some(_) => Wrote::Replaced,
    };
    let written = match found {
        None => match ctx.cluster.create(&plan.namespace, &wanted).await.map_err(refused)? {
            Some(created) => created,
            None => return Err(Error::Cluster(ClusterFault::Conflict)),
        },
        Some(found) if !is_taken_over && is_as_wanted(&found, &wanted, strict) => found,
        Some(found) => {
            let replacement = replacement(found, wanted, strict);
            let replaced = ctx.cluster.replace(&plan.namespace, &replacement).await;
            replaced.map_err(refused)?
        }
    };
    remember(ctx, &plan.uid, &written);
    check_type(&written, layout)?;
    Ok(Written {
        version: written.resource_version().unwrap_or_default(),
        wrote,
    })
}

/// Reports a Secret that only others can have changed: all that it is made from is as before, except perhaps a signing
/// key.
pub(crate) fn note_restored(pass: &mut Pass<OAuth2ClientStatus>, layout: &Layout, wrote: Wrote) {
    let is_same = pass.status.secret_name.as_ref() == Some(&layout.name);
    let may_be_ours = layout.key.is_some() && wrote == Wrote::Replaced;
    let is_told = pass.has_noted(&[
        Happening::SecretRotated,
        Happening::SecretReplaced,
        Happening::ClientReplaced,
    ]);
    if is_same && !may_be_ours && !is_told {
        note_secret_restored(pass, &layout.name, wrote);
    }
}

/// Our Secret of the former name, while a rename is incomplete.
async fn former(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Option<KubeSecret>> {
    let status = client.status.as_ref();
    let Some(name) = status.and_then(|status| status.secret_name.as_ref()) else {
        return Ok(None);
    };
    let found = ctx.cluster.secret(&plan.namespace, name).await?;
    Ok(found.filter(|found| is_owned(found, &plan.uid)))
}

/// Adds the random values: those of an existing Secret, or new ones.
fn fill(wanted: &mut KubeSecret, layout: &Layout, existing: &[Option<&KubeSecret>]) {
    let kept = |key: &String| {
        let mut values = existing
            .iter()
            .flatten()
            .filter_map(|found| found.data.as_ref()?.get(key));
        values.find(|value| is_key(&value.0)).cloned()
    };
    for key in &layout.random {
        let value = kept(key).unwrap_or_else(|| bytes(Secret::generate_key().expose()));
        wanted.data.get_or_insert_default().insert(key.clone(), value);
    }
}

/// Reads the variables for the signing key. The key set writes its Secret before its status names it.
async fn private_key(ctx: &Context, plan: &ClientPlan, source: &KeySource) -> Result<Vec<(&'static str, Secret)>> {
    let found = ctx.cluster.secret(&plan.namespace, &source.name).await?;
    let found = found.filter(|found| is_owned(found, &source.owner));
    let value = |(variable, key): &(&'static str, &str)| {
        let value = text(found.as_ref()?, key).filter(|value| value.len() <= LONGEST_SECRET)?;
        Some((*variable, Secret::new(value)))
    };
    let values: Option<Vec<_>> = OF_KEY.iter().map(value).collect();
    values.ok_or_else(|| Error::ReferenceNotReady {
        kind: JsonWebKeySet::KIND,
        name: plan.key_set.as_ref().map(|set| set.name_any()).unwrap_or_default(),
        namespace: plan.namespace.clone(),
    })
}

/// The Kubernetes API refuses what the schema does not check: label values, long annotations, changes of an immutable
/// Secret.
fn refused(error: Error) -> Error {
    match error {
        Error::Cluster(ClusterFault::Status(422)) => Error::InvalidField {
            field: "credentials",
            problem:
                "the Kubernetes API does not accept this Secret; check secretName, labels and annotations, and whether it is immutable"
                    .to_owned(),
        },
        other => other,
    }
}

fn wanted(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    layout: &Layout,
    held: Option<Held<'_>>,
    key: Vec<(&'static str, Secret)>,
) -> KubeSecret {
    let basic = held.map(|held| basic_credentials(&plan.client_id, held.secret));
    let of_secret = held.map(|held| held.secret.clone()).into_iter().chain(basic);
    let secrets: Vec<_> = OF_SECRET.into_iter().zip(of_secret).chain(key).collect();
    let entries = layout.entries.iter();
    let filled = |(key, text): (&String, &Template)| (key.clone(), bytes(text.with(&secrets).expose()));
    let mut data: BTreeMap<String, ByteString> = entries.map(filled).collect();
    let mut annotations = layout.annotations.clone();
    if let Some(held) = held {
        data.insert(layout.secret_key.clone(), bytes(held.secret.expose()));
        let former = layout.former_key.clone().zip(held.former);
        data.extend(former.map(|(key, former)| (key, bytes(former.expose()))));
        annotations.extend(
            held.revision
                .map(|revision| (REVISION_ANNOTATION.to_owned(), revision.to_owned())),
        );
    }
    let mut wanted = KubeSecret {
        data: Some(data),
        type_: Some(layout.type_.clone()),
        ..KubeSecret::default()
    };
    wanted.metadata.name = Some(layout.name.clone());
    wanted.metadata.owner_references = owned_by(client);
    wanted.metadata.labels = Some(labels(ctx, &plan.uid, &layout.labels));
    wanted.metadata.annotations = Some(annotations);
    wanted
}

fn is_as_wanted(found: &KubeSecret, wanted: &KubeSecret, strict: bool) -> bool {
    found.data.clone().unwrap_or_default() == wanted.data.clone().unwrap_or_default()
        && is_described_as(&found.metadata, &wanted.metadata, strict)
}

/// Returns the found Secret with our content. It keeps UID, resourceVersion and type and, unless `strict`, the labels
/// and annotations of others.
fn replacement(mut found: KubeSecret, wanted: KubeSecret, strict: bool) -> KubeSecret {
    found.data = wanted.data;
    describe_as(&mut found.metadata, wanted.metadata, strict);
    found.annotations_mut().remove(ADOPTABLE_BY_ANNOTATION); // the consent to a takeover is used up with it
    found
}

/// Deletes our Secrets of other names: those of a former secretName, and the ledger of a client that no longer has a
/// secret.
pub(crate) async fn drop_others(
    ctx: &Context,
    plan: &ClientPlan,
    pass: &mut Pass<OAuth2ClientStatus>,
    name: &str,
    has_ledger: bool,
) -> Result<()> {
    let ledger = ledger_name(&plan.uid);
    let former = pass.status.secret_name.clone().filter(|former| former != name);
    let mut others: BTreeSet<String> = BTreeSet::new();
    if let Some(former) = &former {
        others.extend(ctx.marked_secrets(&plan.namespace, &plan.uid));
        others.insert(former.clone());
    }
    others.remove(name);
    others.remove(&ledger);
    if !has_ledger {
        others.insert(ledger);
    }
    for other in others {
        let cached = plan.own_secret(ctx, &other).map(|secret| secret.uid);
        let uid = match cached {
            // A former Secret that has lost its label is not in the cache.
            None if former.as_ref() == Some(&other) => {
                let found = ctx.cluster.secret(&plan.namespace, &other).await?;
                found
                    .filter(|found| is_owned(found, &plan.uid))
                    .and_then(|found| found.uid())
            }
            cached => cached,
        };
        if let Some(uid) = uid {
            drop_one(ctx, &plan.namespace, &plan.uid, &other, uid).await?;
        }
    }
    if let Some(former) = former {
        note_secret_renamed(pass, &former, name);
    }
    Ok(())
}
