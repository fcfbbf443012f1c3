//! The table of all fields.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use kube::CustomResourceExt;
use oidc_operator::api::OAuth2Client;
use oidc_operator::api::authorization_server::Capability;
use serde_json::{Value, json};

/// The redirect URI of every client that has one.
pub(super) const CALLBACK: &str = "https://app.example.com/callback";
/// Name of the user's own Secret.
pub(super) const OWN_SECRET: &str = "of-the-user";
/// Names of a Scope and an Assignment.
pub(super) const SCOPE: &str = "orders";
pub(super) const ASSIGNMENT: &str = "staff";
/// Name of a JsonWebKeySet with one key.
pub(super) const KEY_SET: &str = "signing";
/// Objects whose members are themselves fields of the table.
const GROUPS: [&str; 4] = ["hydra", "hydra.tokenLifespans", "credentials", "credentials.keys"];

/// A field, a value other than its default, and the expected effect.
pub(super) struct Field {
    /// Path below `spec`.
    pub(super) path: &'static str,
    /// Fields with the same group are set on the same client; the group also decides the rest of the spec.
    pub(super) group: &'static str,
    pub(super) value: Value,
    pub(super) effect: Effect,
    /// Whether the client secret changes.
    pub(super) changes_secret: bool,
}

impl Field {
    /// Whether a server with these capabilities lacks the field.
    pub(super) fn is_lacking(&self, capabilities: &[Capability]) -> bool {
        let needed = match self.path {
            "hydra.skipConsent" | "hydra.skipLogoutConsent" => Capability::SkipConsent,
            "hydra.accessTokenStrategy" => Capability::AccessTokenStrategy,
            path if path.starts_with("hydra.tokenLifespans.device") => Capability::DeviceAuthorizationGrant,
            _ => return false,
        };
        !capabilities.contains(&needed)
    }

    /// The value that takes it off the server.
    pub(super) fn unset(&self) -> Value {
        match self.path {
            "hydra.owner" => json!(""), // without it, what is on the server stays
            _ => Value::Null,
        }
    }
}

/// Effect of a field.
pub(super) enum Effect {
    /// The client in Hydra has these members.
    Hydra(Value),
    /// The credentials Secret changes, without a request to Hydra.
    Secret,
    /// The client secret becomes the user's own.
    OwnSecret,
    /// Nothing visible while the resource exists.
    None,
    /// The field is immutable.
    Immutable,
}

/// The spec of a group without the field.
pub(super) fn group_base(group: &str) -> Value {
    match group {
        "machine" => json!({ "grantTypes": ["client_credentials"] }),
        "assertion" => json!({ "redirectUris": [CALLBACK], "jwks": jwks() }),
        _ => json!({ "redirectUris": [CALLBACK] }),
    }
}

/// A public key (RFC 7517, appendix A.1).
pub(super) fn jwks() -> Value {
    json!({ "keys": [{
        "kty": "EC", "kid": "1", "use": "sig", "alg": "ES256", "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }] })
}

/// All fields. `sector` is the URL of a document that lists the redirect URI.
pub(super) fn fields(sector: &str) -> Vec<Field> {
    let mut all = plain(sector);
    all.extend(lifetimes());
    all.extend(outputs());
    all
}

fn plain(sector: &str) -> Vec<Field> {
    let grants = json!([
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    ]);
    let responses = json!(["code", "id_token", "code id_token token"]);
    let logout = json!(["https://app.example.com/bye", "https://app.example.com/adieu"]);
    let requests = json!(["https://app.example.com/request.jwt"]);
    let origins = json!(["https://app.example.com", "https://*.example.org"]);
    let metadata = json!({ "tier": { "level": 3, "names": ["<a>", "b&c"] }, "note": "x" });
    let url = |name: &str| json!(format!("https://app.example.com/{name}"));
    vec![
        immutable("serverRef"),
        immutable("clientId"),
        immutable("clientIdFrom"), // it cannot be added or removed
        hydra("web", "clientName", json!("The Shop ☂"), "client_name"),
        Field {
            changes_secret: true,
            ..wire(
                "public",
                "clientType",
                json!("Public"),
                json!({ "token_endpoint_auth_method": "none" }),
            )
        },
        hydra(
            "machine",
            "redirectUris",
            json!([CALLBACK, "com.example.app:/cb"]),
            "redirect_uris",
        ),
        hydra("web", "postLogoutRedirectUris", logout, "post_logout_redirect_uris"),
        hydra("web", "grantTypes", grants, "grant_types"),
        hydra("web", "responseTypes", responses, "response_types"),
        wire(
            "web",
            "scopes",
            json!(["profile", "openid"]),
            json!({ "scope": "profile openid" }),
        ),
        wire("ttl", "scopes", json!([]), json!({ "scope": " " })),
        wire(
            "referring",
            "scopeRefs",
            json!([{ "name": SCOPE }]),
            json!({
                "scope": "openid offline_access orders:read",
                "metadata": { "oidc-operator.dev": { "scopes": {
                    "orders:read": { "description": "See your orders", "template": "{\"tier\": 1}" },
                } } },
            }),
        ),
        wire(
            "referring",
            "assignmentRefs",
            json!([{ "name": ASSIGNMENT }]),
            json!({ "metadata": { "oidc-operator.dev": { "assignments": { "subjects": ["alice"], "groups": ["ops"] } } } }),
        ),
        hydra("web", "audience", json!(["https://api.example.com", "b"]), "audience"),
        hydra("web", "contacts", json!(["ops@example.com"]), "contacts"),
        hydra("web", "clientUri", url("home"), "client_uri"),
        hydra("web", "logoUri", url("logo.png"), "logo_uri"),
        hydra("web", "policyUri", url("policy"), "policy_uri"),
        hydra("web", "tosUri", url("terms"), "tos_uri"),
        hydra("web", "jwks", jwks(), "jwks"),
        wire(
            "key-set",
            "keySetRef",
            json!({ "name": KEY_SET }),
            json!({ "jwks": { "keys": [jwks()["keys"][0]] } }),
        ),
        hydra("keys", "jwksUri", url("keys.json"), "jwks_uri"),
        hydra("web", "subjectType", json!("pairwise"), "subject_type"),
        hydra("web", "sectorIdentifierUri", json!(sector), "sector_identifier_uri"),
        hydra(
            "web",
            "tokenEndpointAuthMethod",
            json!("client_secret_post"),
            "token_endpoint_auth_method",
        ),
        Field {
            changes_secret: true,
            ..hydra(
                "assertion",
                "tokenEndpointAuthMethod",
                json!("private_key_jwt"),
                "token_endpoint_auth_method",
            )
        },
        hydra(
            "assertion",
            "tokenEndpointAuthSigningAlg",
            json!("ES256"),
            "token_endpoint_auth_signing_alg",
        ),
        hydra(
            "web",
            "requestObjectSigningAlg",
            json!("RS256"),
            "request_object_signing_alg",
        ),
        hydra(
            "web",
            "userinfoSignedResponseAlg",
            json!("RS256"),
            "userinfo_signed_response_alg",
        ),
        hydra("web", "requestUris", requests, "request_uris"),
        hydra("web", "frontchannelLogoutUri", url("front"), "frontchannel_logout_uri"),
        hydra(
            "web",
            "frontchannelLogoutSessionRequired",
            json!(true),
            "frontchannel_logout_session_required",
        ),
        hydra("web", "backchannelLogoutUri", url("back"), "backchannel_logout_uri"),
        hydra(
            "web",
            "backchannelLogoutSessionRequired",
            json!(true),
            "backchannel_logout_session_required",
        ),
        hydra("web", "allowedCorsOrigins", origins, "allowed_cors_origins"),
        hydra("web", "metadata", metadata, "metadata"),
        hydra("web", "hydra.skipConsent", json!(true), "skip_consent"),
        hydra("web", "hydra.skipLogoutConsent", json!(true), "skip_logout_consent"),
        hydra("ttl", "hydra.skipLogoutConsent", json!(false), "skip_logout_consent"),
        hydra("web", "hydra.owner", json!("user-42"), "owner"),
        hydra(
            "ttl",
            "hydra.accessTokenStrategy",
            json!("jwt"),
            "access_token_strategy",
        ),
        Field {
            changes_secret: true,
            ..field(
                "machine",
                "clientSecretRef",
                json!({ "name": OWN_SECRET, "key": "secret" }),
                Effect::OwnSecret,
            )
        },
        field("ttl", "deletionPolicy", json!("Orphan"), Effect::None),
        field("ttl", "managementPolicy", json!("Full"), Effect::None),
        field("suspended", "suspend", json!(true), Effect::None),
        field("web", "adoption", json!("Never"), Effect::None),
        field("web", "onSecretMismatch", json!("Replace"), Effect::None),
        field(
            "web",
            "rotation",
            json!({ "period": "1000h", "overlap": "24h", "withoutOverlap": "Allow" }),
            Effect::None,
        ),
    ]
}

fn lifetimes() -> Vec<Field> {
    let access = [
        "authorization_code",
        "client_credentials",
        "implicit",
        "jwt_bearer",
        "refresh_token",
    ];
    let id = ["authorization_code", "implicit", "refresh_token"];
    let refresh = ["authorization_code", "refresh_token"];
    let all = |grants: &[&str], token: &str, value: &str| {
        let members = grants
            .iter()
            .map(|grant| (format!("{grant}_grant_{token}_token_lifespan"), json!(value)));
        Value::Object(members.collect())
    };
    let mut fields = vec![
        wire("ttl", "accessTokenTtl", json!("90m"), all(&access, "access", "1h30m0s")),
        wire("ttl", "idTokenTtl", json!("1.5h"), all(&id, "id", "1h30m0s")),
        wire(
            "ttl",
            "refreshTokenTtl",
            json!("720h"),
            all(&refresh, "refresh", "720h0m0s"),
        ),
    ];
    let by_grant = [
        (
            "hydra.tokenLifespans.authorizationCodeGrantAccessToken",
            "authorization_code",
            "access",
        ),
        (
            "hydra.tokenLifespans.authorizationCodeGrantIdToken",
            "authorization_code",
            "id",
        ),
        (
            "hydra.tokenLifespans.authorizationCodeGrantRefreshToken",
            "authorization_code",
            "refresh",
        ),
        (
            "hydra.tokenLifespans.clientCredentialsGrantAccessToken",
            "client_credentials",
            "access",
        ),
        (
            "hydra.tokenLifespans.deviceAuthorizationGrantAccessToken",
            "device_authorization",
            "access",
        ),
        (
            "hydra.tokenLifespans.deviceAuthorizationGrantIdToken",
            "device_authorization",
            "id",
        ),
        (
            "hydra.tokenLifespans.deviceAuthorizationGrantRefreshToken",
            "device_authorization",
            "refresh",
        ),
        ("hydra.tokenLifespans.implicitGrantAccessToken", "implicit", "access"),
        ("hydra.tokenLifespans.implicitGrantIdToken", "implicit", "id"),
        ("hydra.tokenLifespans.jwtBearerGrantAccessToken", "jwt_bearer", "access"),
        (
            "hydra.tokenLifespans.refreshTokenGrantAccessToken",
            "refresh_token",
            "access",
        ),
        ("hydra.tokenLifespans.refreshTokenGrantIdToken", "refresh_token", "id"),
        (
            "hydra.tokenLifespans.refreshTokenGrantRefreshToken",
            "refresh_token",
            "refresh",
        ),
    ];
    fields.extend(by_grant.into_iter().enumerate().map(|(number, (path, grant, token))| {
        let minutes = number + 61; // different values, so that none can be mistaken for another
        let expected = all(&[grant], token, &format!("1h{}m0s", number + 1));
        wire("web", path, json!(format!("{minutes}m")), expected)
    }));
    fields
}

fn outputs() -> Vec<Field> {
    [
        ("credentials.preset", json!("Grafana")),
        ("credentials.secretName", json!("another-name")),
        ("credentials.keys.clientId", json!("id")),
        ("credentials.keys.clientSecret", json!("secret")),
        (
            "credentials.data",
            json!({ "issuer": "$(issuer)", "url": "$(tokenEndpoint)?client=$(clientId)" }),
        ),
        ("credentials.labels", json!({ "team": "a" })),
        ("credentials.annotations", json!({ "example.com/note": "b" })),
    ]
    .into_iter()
    .map(|(path, value)| field("outputs", path, value, Effect::Secret))
    // The Secret has no former secret, except during an overlap.
    .chain([field(
        "outputs",
        "credentials.keys.formerClientSecret",
        json!("former"),
        Effect::None,
    )])
    .chain([immutable("credentials.type")]) // Kubernetes never changes the type of a Secret
    .collect()
}

fn field(group: &'static str, path: &'static str, value: Value, effect: Effect) -> Field {
    Field {
        path,
        group,
        value,
        effect,
        changes_secret: false,
    }
}

/// A field that corresponds to one or more members in Hydra.
fn wire(group: &'static str, path: &'static str, value: Value, members: Value) -> Field {
    field(group, path, value, Effect::Hydra(members))
}

/// A field that has the same value in Hydra.
fn hydra(group: &'static str, path: &'static str, value: Value, member: &str) -> Field {
    let members = Value::Object([(member.to_owned(), value.clone())].into_iter().collect());
    wire(group, path, value, members)
}

fn immutable(path: &'static str) -> Field {
    field("web", path, json!({}), Effect::Immutable)
}

/// Fails for a new field of the spec until the table has it.
pub fn the_table_knows_every_field() -> Result<()> {
    let crd = serde_json::to_value(OAuth2Client::crd())?;
    let spec = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .context("the CRD has no schema of spec")?;
    let mut known = BTreeSet::new();
    leaves(spec, "", &mut known)?;
    known.retain(|path| !matches!(path.as_str(), "providerRefs" | "vault")); // refused on Hydra
    let table: BTreeSet<String> = fields("").iter().map(|field| field.path.to_owned()).collect();
    let missing: Vec<_> = known.difference(&table).collect();
    let gone: Vec<_> = table.difference(&known).collect();
    ensure!(
        missing.is_empty() && gone.is_empty(),
        "not in the table: {missing:?}; not in the CRD: {gone:?}"
    );
    ensure!(known.len() > 50, "only {} fields", known.len());
    Ok(())
}

fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) -> Result<()> {
    let properties = schema["properties"].as_object();
    for (name, property) in properties.with_context(|| format!("{path} has no properties"))? {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        if GROUPS.contains(&path.as_str()) {
            leaves(property, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}
