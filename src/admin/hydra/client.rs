//! Hydra's OAuth2Client on the wire, and when two of them are equal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::catalogue::{ASSIGNMENTS, SCOPES};
use super::key::{JsonWebKeySet, PublicKey};
use crate::admin::bounded::{Bounded, ID, WORD, fits};
use crate::api::GROUP;
use crate::duration;
use crate::secret::Secret;

pub use super::catalogue::{Assigned, Catalogue, ScopeEntry};

/// Members of replies that are credentials or belong to the server: never kept, compared or sent back.
const NOT_OURS: [&str; 6] = [
    "client_secret",
    "client_secret_expires_at",
    "registration_access_token",
    "registration_client_uri",
    "created_at",
    "updated_at",
];

/// A client in Hydra's admin API (RFC 7591 client metadata and Hydra's own), without its secret.
/// Empty, false and absent are equal unless a field says otherwise.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)] // the names are those of RFC 7591, OpenID Connect and Hydra's API reference
pub struct Client {
    pub client_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_name: String,
    /// None in a wanted client: the owner on the server stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant_types: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_types: Vec<String>,
    /// Space-separated. Never sent empty: Hydra would use its own default instead.
    pub scope: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub logo_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tos_uri: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub jwks: Map<String, Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwks_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sector_identifier_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_endpoint_auth_method: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_endpoint_auth_signing_alg: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_object_signing_alg: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub userinfo_signed_response_alg: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request_uris: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub frontchannel_logout_uri: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub frontchannel_logout_session_required: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub backchannel_logout_uri: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub backchannel_logout_session_required: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_cors_origins: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_consent: bool,
    /// Here absent and false differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_logout_consent: Option<bool>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_token_strategy: String,
    /// Any JSON object; our marker is the member [`GROUP`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    pub lifespans: Lifespans,
    /// When the server last stored the client, by its own clock (RFC 3339). Never sent.
    #[serde(skip)]
    pub updated_at: Option<Bounded<WORD>>,
    /// Members that the operator does not know. A PUT sends them back, since it would drop them otherwise.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Lifetimes of tokens, as Go durations.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
#[allow(missing_docs)] // the names say it: grant, then token
pub struct Lifespans {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorization_code_grant_access_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorization_code_grant_id_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub authorization_code_grant_refresh_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_credentials_grant_access_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_authorization_grant_access_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_authorization_grant_id_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub device_authorization_grant_refresh_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub implicit_grant_access_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub implicit_grant_id_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt_bearer_grant_access_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token_grant_access_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token_grant_id_token_lifespan: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refresh_token_grant_refresh_token_lifespan: String,
}

/// The resource that a remote object belongs to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Marker {
    /// Id of the cluster.
    pub cluster: String,
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// UID of the resource. Only together with the cluster it identifies the resource: a restored copy of a cluster has
    /// the same UIDs.
    pub uid: String,
    /// Revision of the secret that the object was last given; empty for a client without a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Whether the object existed before the resource and was adopted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl Client {
    /// Reads a reply. None if it is not a client.
    pub fn parse(reply: Value) -> Option<Self> {
        let Value::Object(mut members) = reply else { return None };
        let updated_at = members.get("updated_at").and_then(Value::as_str);
        let updated_at = updated_at.map(str::parse).transpose().ok()?;
        // Hydra accepts any JSON as metadata. A value that is not an object differs from every wanted value.
        if let Some(odd) = members
            .get_mut("metadata")
            .filter(|metadata| !metadata.is_object() && !metadata.is_null())
        {
            *odd = serde_json::json!({ "": odd.take() });
        }
        members.retain(|name, value| !value.is_null() && !NOT_OURS.contains(&name.as_str()));
        let mut client: Client = serde_json::from_value(Value::Object(members)).ok()?;
        client.updated_at = updated_at;
        (!client.client_id.is_empty() && fits(&client.client_id, ID)).then_some(client)
    }

    /// The body of a POST or PUT.
    pub fn body(&self, secret: Option<&Secret>) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            client: &'a Client,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_secret: Option<&'a str>,
        }
        let body = Body {
            client: self,
            client_secret: secret.map(Secret::expose),
        };
        serde_json::to_vec(&body).expect("strings and JSON values serialise")
    }

    /// Our marker, if the client carries one that can be read.
    pub fn marker(&self) -> Option<Marker> {
        let marker: Marker = serde_json::from_value(self.metadata.get(GROUP)?.clone()).ok()?;
        let texts = [
            &marker.cluster,
            &marker.namespace,
            &marker.name,
            &marker.uid,
            &marker.revision,
        ];
        let is_bounded = texts.into_iter().all(|text| fits(text, ID));
        is_bounded.then_some(marker)
    }

    /// The cluster that `owner` names, if an earlier version of the operator wrote it there as part of the marker.
    pub fn owning_cluster(&self) -> Option<&str> {
        old_mark_in(self.owner.as_deref()?)
    }

    /// Whether the client has no marker. A marker that cannot be read counts as one.
    pub fn is_unmarked(&self) -> bool {
        let is_mark = |ours: &Value| ours.as_object().is_none_or(|ours| ours.contains_key("uid"));
        !self.metadata.get(GROUP).is_some_and(is_mark)
    }

    /// Sets the marker of the client. Other members under our key stay.
    pub fn mark(&mut self, marker: &Marker) {
        self.drop_old_mark();
        let members = serde_json::to_value(marker).expect("strings serialise");
        let ours = self.metadata.entry(GROUP).or_insert_with(|| Value::Object(Map::new()));
        match (ours.as_object_mut(), members) {
            (Some(ours), Value::Object(members)) => {
                // Members that are omitted when they are empty: old values must not stay.
                ours.retain(|name, _| !["revision", "adopted"].contains(&name.as_str()));
                ours.extend(members);
            }
            (_, members) => *ours = members,
        }
    }

    fn drop_old_mark(&mut self) {
        if self.owning_cluster().is_some() {
            self.owner = None;
        }
    }

    /// Removes the marker. The data for the login and consent app under our key stays.
    pub fn unmark(&mut self) {
        self.drop_old_mark();
        let Some(ours) = self.metadata.get_mut(GROUP).and_then(Value::as_object_mut) else {
            return;
        };
        ours.retain(|name, _| [SCOPES, ASSIGNMENTS].contains(&name.as_str()));
        if ours.is_empty() {
            self.metadata.remove(GROUP);
        }
    }

    /// Sets the data for the login and consent app under our key.
    pub fn catalogue(&mut self, catalogue: &Catalogue) {
        let ours = self.metadata.entry(GROUP).or_insert_with(|| Value::Object(Map::new()));
        let members = serde_json::to_value(catalogue).expect("strings serialise");
        if let (Some(ours), Value::Object(members)) = (ours.as_object_mut(), members) {
            ours.extend(members);
        }
    }

    /// This wanted client, with those members of the observed one that are not the operator's: a PUT would drop them.
    pub fn carrying(&self, observed: &Client) -> Client {
        let mut other = observed.other.clone();
        let is_users = |owner: &&str| !owner.is_empty() && old_mark_in(owner).is_none();
        let stays = observed.owner.as_deref().filter(is_users);
        if let (None, Some(owner)) = (&self.owner, stays) {
            other.insert("owner".to_owned(), Value::from(owner));
        }
        Client { other, ..self.clone() }
    }

    /// Names of the members that differ between this wanted client and the observed one, after both are normalized.
    pub fn differences(&self, observed: &Client) -> Vec<String> {
        let (wanted, mut found) = (self.normalized(), observed.normalized());
        if self.owner.is_none() {
            found.remove("owner");
        }
        let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
        names
            .into_iter()
            .filter(|name| wanted.get(*name) != found.get(*name))
            .cloned()
            .collect()
    }

    /// The members that the operator owns, normalized: values that the server treats as equal become equal.
    pub fn normalized(&self) -> Map<String, Value> {
        let mut client = self.clone();
        client.other.clear();
        client.owner = client.owner.filter(|owner| !owner.is_empty());
        for set in [
            &mut client.redirect_uris,
            &mut client.post_logout_redirect_uris,
            &mut client.grant_types,
            &mut client.audience,
            &mut client.contacts,
            &mut client.request_uris,
        ] {
            as_set(set);
        }
        client
            .response_types
            .iter_mut()
            .for_each(|combination| *combination = words(combination));
        as_set(&mut client.response_types);
        client.allowed_cors_origins.iter_mut().for_each(|origin| {
            let bare = origin.trim_end_matches('/');
            *origin = bare.split_once("://").map_or(bare.to_owned(), |(scheme, rest)| {
                format!("{}://{rest}", scheme.to_lowercase())
            });
        });
        as_set(&mut client.allowed_cors_origins);
        client.scope = words(&client.scope);
        client.access_token_strategy.make_ascii_lowercase();
        if client.userinfo_signed_response_alg == "none" {
            client.userinfo_signed_response_alg.clear();
        }
        client.jwks = normalized_jwks(&client.jwks);
        let Ok(Value::Object(mut members)) = serde_json::to_value(&client) else {
            return Map::new();
        };
        for (_, value) in members.iter_mut().filter(|(name, _)| name.ends_with("_lifespan")) {
            if let Some(duration) = value.as_str().and_then(duration::parse) {
                *value = Value::String(format!("{}ns", duration.as_nanos()));
            }
        }
        members
    }
}

/// What earlier versions of the operator wrote into the `owner` of every client of a cluster.
pub fn old_mark(cluster: &str) -> String {
    format!("{GROUP}/{cluster}")
}

fn old_mark_in(owner: &str) -> Option<&str> {
    owner.strip_prefix(GROUP)?.strip_prefix('/')
}

/// Whether a listed client, as JSON, has a marker of any cluster.
pub(super) fn is_marked(listed: &Value) -> bool {
    let ours = listed.get("metadata").and_then(|metadata| metadata.get(GROUP));
    let owner = listed.get("owner").and_then(Value::as_str);
    ours.is_some() || owner.and_then(old_mark_in).is_some()
}

fn as_set(list: &mut Vec<String>) {
    list.sort_unstable();
    list.dedup();
}

fn words(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// The public part of a set of keys, normalized. An empty set equals no set. A value that is not a set differs from
/// every set.
fn normalized_jwks(jwks: &Map<String, Value>) -> Map<String, Value> {
    let Some(set) = JsonWebKeySet::parse(Value::Object(jwks.clone())) else {
        return jwks.clone();
    };
    let keys: Vec<PublicKey> = set.normalized().keys.into_iter().map(|key| key.public).collect();
    match serde_json::to_value(keys) {
        Ok(Value::Array(keys)) if !keys.is_empty() => Map::from_iter([("keys".to_owned(), Value::Array(keys))]),
        _ => Map::new(),
    }
}
