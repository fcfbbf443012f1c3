//! The layout of the credentials Secret: what it should hold, except for its secret values.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use serde_json::json;

use crate::api::json_web_key_set::{JWK, KID, PEM};
use crate::api::oauth2_client::{Binding, Credentials, OPAQUE, PLAIN, Preset};
use crate::api::{AuthorizationServer, OAuth2Client};
use crate::controller::common::client::plan::{ClientPlan, Keys};
use crate::controller::common::client::template::{Room, Template};
use crate::controller::common::digest::digest;
use crate::controller::engine::context::Context;
use crate::controller::engine::links;
use crate::error::{Error, Result};
use crate::labels::Labels;

/// Variables for the client secret: itself, and for HTTP Basic authentication.
pub(crate) const OF_SECRET: [&str; 2] = ["clientSecret", "basicCredentials"];

/// Variables for the signing key, and the keys of their values in the Secret of the key set.
pub(crate) const OF_KEY: [(&str, &str); 3] = [("keyId", KID), ("privateKey", PEM), ("privateKeyJwk", JWK)];

/// The desired Secret, except for its secret values.
pub(crate) struct Layout {
    /// Name of the Secret.
    pub(crate) name: String,
    pub(crate) id_key: String,
    pub(crate) secret_key: String,
    /// Key of the former secret, while it is valid.
    pub(crate) former_key: Option<String>,
    /// Type of the Secret.
    pub(crate) type_: String,
    /// Whether the client has a secret at all.
    has_secret: bool,
    /// Texts in which all variables except those of the client secret and the private key are replaced.
    pub(crate) entries: BTreeMap<String, Template>,
    /// Keys of random values, which are made once.
    pub(crate) random: BTreeSet<String>,
    /// The source of the private key, if a text contains it.
    pub(crate) key: Option<KeySource>,
    /// Labels in addition to ours.
    pub(crate) labels: Labels,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The Secret of a key set.
pub(crate) struct KeySource {
    pub(crate) name: String,
    pub(crate) owner: String,
    /// The newest known resourceVersion.
    version: Option<String>,
}

impl Layout {
    /// Digest of the layout, without the version of the private key.
    pub(crate) fn digest(&self) -> String {
        let entries = self.entries.iter();
        let entries: BTreeMap<_, _> = entries.map(|(key, text)| (key, text.as_written())).collect();
        let mut parts = vec![
            json!(self.name),
            json!(self.id_key),
            json!(self.secret_key),
            json!(self.has_secret),
            json!(entries),
            json!(self.labels),
            json!(self.annotations),
            json!(self.key.as_ref().map(|key| &key.name)),
        ];
        // Without these, the digest is that of earlier versions, so an upgrade changes nothing.
        let is_special = self.type_ != OPAQUE || !self.random.is_empty();
        parts.extend(is_special.then(|| json!([self.type_, self.random])));
        parts.extend(self.former_key.as_ref().map(|key| json!(key)));
        digest(&json!(parts))
    }

    /// All keys that the Secret may have.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        let secret = self.has_secret.then_some(&self.secret_key);
        let keys = self.entries.keys().chain(&self.random);
        keys.chain(secret).chain(&self.former_key)
    }

    /// The version of the private key's Secret, if a text contains the key.
    pub(crate) fn key_version(&self) -> Option<&str> {
        self.key.as_ref()?.version.as_deref()
    }
}

/// Name of the credentials Secret.
pub(crate) fn secret_name(client: &OAuth2Client) -> String {
    let credentials = client.spec.credentials.as_ref();
    let asked = credentials.and_then(|credentials| credentials.secret_name.clone());
    asked.unwrap_or_else(|| client.name_any())
}

/// Labels that the spec asks for.
pub(crate) fn asked_labels(client: &OAuth2Client) -> Labels {
    let credentials = client.spec.credentials.as_ref();
    credentials
        .map(|credentials| credentials.labels.clone())
        .unwrap_or_default()
}

/// The Secret as a binding of servicebinding.io, if it is laid out as one.
pub(crate) fn binding(client: &OAuth2Client, secret_name: Option<&String>) -> Option<Binding> {
    let preset = client.spec.credentials.as_ref()?.preset;
    let name = secret_name.filter(|_| preset == Some(Preset::ServiceBinding))?.clone();
    Some(Binding { name })
}

/// Returns the layout that the spec requests.
///
/// # Errors
/// [`Error::VariableUnknown`], [`Error::InvalidField`], [`Error::NoPrivateKey`].
pub(crate) fn layout(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<Layout> {
    let Credentials {
        preset,
        type_,
        data,
        labels,
        annotations,
        ..
    } = client.spec.credentials.as_deref().cloned().unwrap_or_default();
    let preset = preset.map_or(PLAIN, Preset::layout);
    let Keys {
        client_id: id_key,
        client_secret: secret_key,
        former_client_secret: former_key,
    } = Keys::of(client);
    check_keys([Some(&id_key), Some(&secret_key), former_key.as_ref()], &data)?;
    let is_former = |key: &str| former_key.as_deref() == Some(key);
    let is_free = |key: &str| key != id_key && key != secret_key && !is_former(key) && !data.contains_key(key);
    let random = preset.random.iter().filter(|key| is_free(key));
    let random = random.map(|key| (*key).to_owned()).collect();
    let of_preset = preset.data.iter().filter(|(key, _)| is_free(key));
    let of_preset = of_preset.map(|(key, text)| (*key, *text));
    let texts = data.iter().map(|(key, text)| (key.as_str(), text.as_str()));
    let (mut entries, mut room) = (BTreeMap::new(), Room::of_secret());
    for (key, text) in of_preset.chain(texts) {
        let filled = Template::parse(text).fill(&mut room, |variable| value(variable, client, plan))?;
        entries.insert(key.to_owned(), filled);
    }
    let is_of_key = |variable| OF_KEY.iter().any(|(name, _)| *name == variable);
    let key = match entries.values().flat_map(Template::variables).any(is_of_key) {
        true => Some(key_source(ctx, plan)?),
        false => None,
    };
    entries.insert(id_key.clone(), Template::text(plan.client_id.clone()));
    let of_preset = preset.labels.iter();
    let of_preset = of_preset.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let of_settings = ctx.settings.output_labels.clone();
    Ok(Layout {
        name: secret_name(client),
        id_key,
        secret_key,
        former_key,
        type_: type_.unwrap_or_else(|| preset.type_.to_owned()),
        has_secret: plan.effective.has_secret(),
        entries,
        random,
        key,
        labels: of_settings.into_iter().chain(of_preset).chain(labels).collect(),
        annotations,
    })
}

/// Checks that no key has two values. Without a preset, the schema has checked this for id and secret. `own`: the keys of
/// id, secret and former secret.
fn check_keys(own: [Option<&String>; 3], data: &BTreeMap<String, String>) -> Result<()> {
    let invalid = |field, problem| Err(Error::InvalidField { field, problem });
    let mut taken = BTreeSet::new();
    for key in own.into_iter().flatten() {
        if !taken.insert(key) {
            return invalid(
                "credentials.keys",
                format!("two of client id, secret and former secret would have the key `{key}`; choose another one"),
            );
        }
        if data.contains_key(key) {
            return invalid(
                "credentials.data",
                format!(
                    "the key `{key}` is that of the client id or secret; choose another one, or change credentials.keys"
                ),
            );
        }
    }
    Ok(())
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
