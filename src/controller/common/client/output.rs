//! The credentials Secret: its desired content, and how it is written. It is created only when complete.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;
use serde_json::json;

use crate::api::json_web_key_set::{JWK, KID, PEM};
use crate::api::oauth2_client::OAuth2ClientStatus;
use crate::api::{AuthorizationServer, JsonWebKeySet, OAuth2Client, REVISION_ANNOTATION};
use crate::controller::common::client::plan::{ClientPlan, Keys, ledger_name};
use crate::controller::common::client::template::Template;
use crate::controller::common::digest::digest;
use crate::controller::common::own_secret::{
    bytes, conflict, describe_as, drop_one, is_described_as, is_owned, labels, owned_by, remember, text,
};
use crate::controller::engine::context::Context;
use crate::controller::engine::links;
use crate::controller::engine::managed::{Managed, Pass};
use crate::error::{ClusterFault, Error, Result};
use crate::secret::{Secret, basic_credentials};

/// Variables for the client secret: itself, and for HTTP Basic authentication.
const OF_SECRET: [&str; 2] = ["clientSecret", "basicCredentials"];

/// Variables for the signing key, and the keys of their values in the Secret of the key set.
const OF_KEY: [(&str, &str); 3] = [("keyId", KID), ("privateKey", PEM), ("privateKeyJwk", JWK)];

/// The desired Secret, except for its secret values.
pub(crate) struct Layout {
    /// Name of the Secret.
    pub(crate) name: String,
    id_key: String,
    secret_key: String,
    /// Whether the client has a secret at all.
    has_secret: bool,
    /// Texts in which all variables except those of the client secret and the private key are replaced.
    entries: BTreeMap<String, Template>,
    /// The source of the private key, if a text contains it.
    key: Option<KeySource>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// The Secret of a key set.
struct KeySource {
    name: String,
    owner: String,
    /// The newest known resourceVersion.
    version: Option<String>,
}

impl Layout {
    /// Digest of the layout, without the version of the private key.
    pub(crate) fn digest(&self) -> String {
        let entries = self.entries.iter();
        let entries: BTreeMap<_, _> = entries.map(|(key, text)| (key, text.as_written())).collect();
        digest(&json!([
            self.name,
            self.id_key,
            self.secret_key,
            self.has_secret,
            entries,
            self.labels,
            self.annotations,
            self.key.as_ref().map(|key| &key.name),
        ]))
    }

    /// The version of the private key's Secret, if a text contains the key.
    pub(crate) fn key_version(&self) -> Option<&str> {
        self.key.as_ref()?.version.as_deref()
    }

    /// Key in the Secret for the client secret.
    pub(crate) fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

/// Name of the credentials Secret.
pub(crate) fn secret_name(client: &OAuth2Client) -> String {
    let credentials = client.spec.credentials.as_ref();
    let asked = credentials.and_then(|credentials| credentials.secret_name.clone());
    asked.unwrap_or_else(|| client.name_any())
}

/// Returns the layout that the spec requests.
///
/// # Errors
/// [`Error::VariableUnknown`], [`Error::InvalidField`], [`Error::NoPrivateKey`].
pub(crate) fn layout(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Layout> {
    let credentials = client.spec.credentials.clone().unwrap_or_default();
    let keys = Keys::of(client);
    let mut entries = BTreeMap::new();
    for (key, text) in &credentials.data {
        entries.insert(
            key.clone(),
            Template::parse(text).fill(|variable| value(variable, client, plan))?,
        );
    }
    let is_of_key = |variable| OF_KEY.iter().any(|(name, _)| *name == variable);
    let key = match entries.values().flat_map(Template::variables).any(is_of_key) {
        true => Some(key_source(ctx, plan)?),
        false => None,
    };
    entries.insert(keys.client_id.clone(), Template::text(plan.client_id.clone()));
    Ok(Layout {
        name: secret_name(client),
        id_key: keys.client_id,
        secret_key: keys.client_secret,
        has_secret: plan.effective.has_secret(),
        entries,
        key,
        labels: credentials.labels,
        annotations: credentials.annotations,
    })
}

/// The client secret, and its revision if that is recorded.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) secret: &'a Secret,
    pub(crate) revision: Option<&'a str>,
}

/// Returns the source of the private key that the texts contain.
fn key_source(ctx: &Context, plan: &ClientPlan) -> Result<KeySource> {
    let Some(set) = &plan.key_set else {
        let problem =
            "$(keyId), $(privateKey) and $(privateKeyJwk) come from a JsonWebKeySet; set keySetRef, or remove them";
        return Err(Error::InvalidField {
            field: "credentials.data",
            problem: problem.to_owned(),
        });
    };
    let name = set.status.as_ref().and_then(|status| status.secret_name.clone());
    let name = name.ok_or_else(|| Error::NoPrivateKey(set.name_any()))?;
    let owner = set.uid().unwrap_or_default();
    let version = ctx
        .own_secret(&plan.namespace, &owner, &name)
        .map(|secret| secret.version);
    Ok(KeySource { name, owner, version })
}

/// The value of a variable. None for the client secret and the private key, which stay until the Secret is written.
fn value(variable: &'static str, client: &OAuth2Client, plan: &ClientPlan) -> Result<Option<String>> {
    if OF_KEY.iter().any(|(name, _)| *name == variable) {
        return Ok(None);
    }
    if OF_SECRET.contains(&variable) {
        if plan.effective.has_secret() {
            return Ok(None);
        }
        return Err(Error::InvalidField {
            field: "credentials.data",
            problem: format!("$({variable}) has no value, because this client has no secret; remove it"),
        });
    }
    let known = known(variable, client, plan);
    known.map(Some).ok_or_else(|| match plan.endpoints {
        Some(_) => Error::InvalidField {
            field: "credentials.data",
            problem: format!(
                "$({variable}) has no value, because the server's discovery document does not name it; remove it"
            ),
        },
        None => unknown(variable, &plan.server),
    })
}

/// Returns why a variable has no value: the server has no discovery document, the document was not read yet, or the
/// server itself was not checked yet.
fn unknown(variable: &'static str, server: &AuthorizationServer) -> Error {
    let name = server.name_any();
    if !server.spec.has_discovery() {
        Error::VariableUnknown { variable, server: name }
    } else if links::is_reported(server) {
        Error::VariablePending { variable, server: name }
    } else {
        Error::ServerPending(name)
    }
}

fn known(variable: &str, client: &OAuth2Client, plan: &ClientPlan) -> Option<String> {
    match variable {
        "clientId" => return Some(plan.client_id.clone()),
        "scope" => return Some(plan.effective.scopes.join(" ")),
        "audience" => return Some(client.spec.audience.join(" ")),
        _ => {}
    }
    let endpoints = plan.endpoints.as_ref()?;
    match variable {
        "issuer" => Some(endpoints.issuer.clone()),
        "discoveryUrl" => Some(endpoints.discovery_url.clone()),
        "authorizationEndpoint" => endpoints.authorization_endpoint.clone(),
        "deviceAuthorizationEndpoint" => endpoints.device_authorization_endpoint.clone(),
        "tokenEndpoint" => endpoints.token_endpoint.clone(),
        "userinfoEndpoint" => endpoints.userinfo_endpoint.clone(),
        "jwksUri" => endpoints.jwks_uri.clone(),
        "revocationEndpoint" => endpoints.revocation_endpoint.clone(),
        "endSessionEndpoint" => endpoints.end_session_endpoint.clone(),
        _ => None,
    }
}

/// Creates or updates the Secret. Returns its resourceVersion. `fresh`: tries to create it without reading it first;
/// `strict`: removes labels and annotations that are not wanted.
pub(crate) async fn write(
    client: &OAuth2Client,
    ctx: &Context,
    plan: &ClientPlan,
    layout: &Layout,
    held: Option<Held<'_>>,
    fresh: bool,
    strict: bool,
) -> Result<String> {
    let key = match &layout.key {
        Some(source) => private_key(ctx, plan, source).await?,
        None => Vec::new(),
    };
    let wanted = wanted(client, plan, layout, held, key);
    if fresh && let Some(created) = ctx.cluster.create(&plan.namespace, &wanted).await.map_err(refused)? {
        remember(ctx, &plan.uid, &created);
        return Ok(created.resource_version().unwrap_or_default());
    }
    let written = match ctx.cluster.secret(&plan.namespace, &layout.name).await? {
        None => match ctx.cluster.create(&plan.namespace, &wanted).await.map_err(refused)? {
            Some(created) => created,
            None => return Err(Error::Cluster(ClusterFault::Conflict)),
        },
        Some(found) if !is_owned(&found, &plan.uid) => return Err(conflict(&found, client)),
        Some(found) if is_as_wanted(&found, &wanted, strict) => found,
        Some(found) => ctx
            .cluster
            .replace(&plan.namespace, &replacement(found, wanted, strict))
            .await
            .map_err(refused)?,
    };
    remember(ctx, &plan.uid, &written);
    Ok(written.resource_version().unwrap_or_default())
}

/// Reads the variables for the signing key. The key set writes its Secret before its status names it.
async fn private_key(ctx: &Context, plan: &ClientPlan, source: &KeySource) -> Result<Vec<(&'static str, Secret)>> {
    let found = ctx.cluster.secret(&plan.namespace, &source.name).await?;
    let found = found.filter(|found| is_owned(found, &source.owner));
    let value = |(variable, key): &(&'static str, &str)| Some((*variable, Secret::new(text(found.as_ref()?, key)?)));
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
        annotations.extend(
            held.revision
                .map(|revision| (REVISION_ANNOTATION.to_owned(), revision.to_owned())),
        );
    }
    let mut wanted = KubeSecret {
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..KubeSecret::default()
    };
    wanted.metadata.name = Some(layout.name.clone());
    wanted.metadata.owner_references = owned_by(client);
    wanted.metadata.labels = Some(layout.labels.clone().into_iter().chain(labels(&plan.uid)).collect());
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
    found
}

/// Deletes our Secrets of other names: those of a former secretName, and the ledger of a client that no longer has a
/// secret.
pub(crate) async fn drop_others(
    ctx: &Context,
    plan: &ClientPlan,
    pass: &Pass<OAuth2ClientStatus>,
    name: &str,
    has_ledger: bool,
) -> Result<()> {
    let ledger = ledger_name(&plan.uid);
    let former = pass.status.secret_name.as_deref().filter(|former| *former != name);
    let mut others: BTreeSet<String> = BTreeSet::new();
    if let Some(former) = former {
        others.extend(ctx.marked_secrets(&plan.namespace, &plan.uid));
        others.insert(former.to_owned());
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
            None if former == Some(other.as_str()) => {
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
    Ok(())
}
