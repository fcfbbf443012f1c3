//! OidcProviders on Hydra: what they verify, publish and report.

mod config_map;
mod trouble;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::{AuthorizationServer, OidcProvider, UID_LABEL};
use oidc_operator::controller::engine::lifecycle::is_held;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, RequestHead};
use testbed::{http, wait};
use tokio::sync::Mutex;

use crate::bed::{Bed, LIMIT, Server, ServerOptions, uid_of};
use crate::conditions::Tone::Reconciling;
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let mut trials = vec![
        side.shared(a_minimal_manifest_publishes_what_a_deployment_needs),
        side.shared(an_unexpected_issuer_is_reported),
        side.shared(a_resync_writes_nothing),
        side.shared(a_provider_needs_its_own_access_rule),
        side.shared(a_server_without_a_public_url_is_reported),
        side.shared(invalid_providers_are_rejected),
        side.shared(a_status_conflict_is_resolved),
    ];
    trials.extend(trouble::trials(side));
    trials.extend(config_map::trials(side));
    trials
}

/// Keys of the ConfigMap, each with the member of the discovery document that it copies.
const ENTRIES: [(&str, &str); 8] = [
    ("OIDC_ISSUER", "issuer"),
    ("OIDC_AUTHORIZATION_ENDPOINT", "authorization_endpoint"),
    ("OIDC_DEVICE_AUTHORIZATION_ENDPOINT", "device_authorization_endpoint"),
    ("OIDC_TOKEN_ENDPOINT", "token_endpoint"),
    ("OIDC_USERINFO_ENDPOINT", "userinfo_endpoint"),
    ("OIDC_JWKS_URI", "jwks_uri"),
    ("OIDC_REVOCATION_ENDPOINT", "revocation_endpoint"),
    ("OIDC_END_SESSION_ENDPOINT", "end_session_endpoint"),
];

/// Hydra 2 creates a missing key set once per concurrent request, and the servers of all tests share one Hydra. So only
/// one test at a time requests it.
static KEYS: Mutex<()> = Mutex::const_new(());

/// Waits until the AuthorizationServer knows Hydra's issuer and Hydra has keys, and returns the issuer.
pub async fn issuer_of(bed: &Bed, server: &str) -> Result<String> {
    let issuer = |server: &AuthorizationServer| {
        let endpoints = server.status.as_ref().and_then(|status| status.endpoints.as_ref());
        endpoints.map(|endpoints| endpoints.issuer.clone())
    };
    let what = format!("AuthorizationServer {server} to know its issuer");
    let found = bed
        .wait_server(&what, server, |server| issuer(server).is_some())
        .await?;
    let issuer = issuer(&found).context("no issuer")?;
    let _one_at_a_time = KEYS.lock().await;
    document(&issuer, "jwks.json").await?;
    Ok(issuer)
}

/// Creates a server for the test, and the spec of a provider on it. The spec names the issuer, since the server's URL
/// is that of a proxy.
async fn own_server(bed: &Bed) -> Result<(Arc<Server>, Value)> {
    issuer_of(bed, "default").await?;
    let server = bed.own_server(ServerOptions::default()).await?;
    let issuer = issuer_of(bed, &server.name).await?;
    let spec = json!({ "serverRef": { "name": server.name }, "issuer": issuer });
    Ok((server, spec))
}

/// Reads a document below Hydra's own public URL, not through a proxy. Hydra on SQLite may fail a first request under
/// load.
async fn document(issuer: &str, path: &str) -> Result<Value> {
    let url = format!("{}/.well-known/{path}", issuer.trim_end_matches('/'));
    wait::until(&format!("an answer from {url}"), LIMIT, async || {
        let answer = http::client().get(&url).send().await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&answer.text().await?)?))
    })
    .await
}

/// Whether a request is for the key set; only OidcProviders send such requests.
fn is_for_keys(head: &RequestHead) -> bool {
    head.is("GET", "/.well-known/jwks.json")
}

/// Waits until the operator has read the key set of a server `count` times after `mark`.
async fn looks(server: &Server, mark: u64, count: usize) -> Result<()> {
    wait::until(
        &format!("{count} reads of the keys of {}", server.name),
        LIMIT,
        async || {
            let since = server.public.journal().since(mark);
            let seen = since.iter().filter(|exchange| is_for_keys(&exchange.head)).count();
            Ok((seen >= count).then_some(()))
        },
    )
    .await
}

fn texts(value: &Value) -> Vec<String> {
    let listed = value.as_array().into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn a_minimal_manifest_publishes_what_a_deployment_needs(bed: &Bed) -> Result<()> {
    let issuer = issuer_of(bed, "default").await?;
    let url = issuer.trim_end_matches('/');
    let options = ServerOptions {
        spec: json!({ "hydra": { "publicUrl": url } }),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name } }).to_string();
    let provider = space.ready::<OidcProvider>("login", &spec).await?;

    let found = document(&issuer, "openid-configuration").await?;
    let published = space.config_maps().get("login").await?;
    let data = published.data.clone().unwrap_or_default();
    for (key, member) in ENTRIES {
        ensure!(
            data.get(key).map(String::as_str) == found[member].as_str(),
            "{key}: {data:?}"
        );
    }
    let discovery = format!("{url}/.well-known/openid-configuration");
    ensure!(data.get("OIDC_DISCOVERY_URL") == Some(&discovery), "{data:?}");
    ensure!(data.len() <= ENTRIES.len() + 1, "{data:?}");
    ensure!(
        published.labels().get(UID_LABEL) == Some(&uid_of(&provider)),
        "the ConfigMap has no UID label"
    );
    let owner = published.owner_references().first().context("no owner")?;
    ensure!(
        owner.uid == uid_of(&provider) && owner.controller == Some(true),
        "{owner:?}"
    );

    let status = provider.status.context("no status")?;
    ensure!(status.issuer.as_deref() == Some(&*issuer), "{status:?}");
    ensure!(status.config_map_name.as_deref() == Some("login"), "{status:?}");
    ensure!(
        status.scopes_supported == texts(&found["scopes_supported"]) && !status.scopes_supported.is_empty(),
        "{status:?}"
    );
    ensure!(
        status.id_token_signing_algs == texts(&found["id_token_signing_alg_values_supported"]),
        "{status:?}"
    );
    let keys = document(&issuer, "jwks.json").await?;
    let keys = keys["keys"].as_array().context("no keys")?;
    let mut ids: Vec<String> = keys
        .iter()
        .filter_map(|key| key["kid"].as_str())
        .map(str::to_owned)
        .collect();
    ids.sort();
    ensure!(
        status.signing_key_ids == ids && !ids.is_empty(),
        "{ids:?} {:?}",
        status.signing_key_ids
    );
    Ok(())
}

async fn an_unexpected_issuer_is_reported(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let issuer = spec["issuer"].as_str().context("no issuer")?;
    let space = bed.space().await?;
    space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let before = space.config_maps().get("login").await?;
    let says = |expected: &str| {
        format!(
            "The discovery document of AuthorizationServer `{}` names the issuer `{issuer}` instead of `{expected}`; the published values stay. If the document is right, set issuer to its value, otherwise correct the server.",
            server.name
        )
    };
    let slash = match issuer.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{issuer}/"),
    };
    for expected in [issuer.replace("127.0.0.1", "localhost"), slash] {
        space
            .respecify::<OidcProvider>("login", json!({ "issuer": expected }))
            .await?;
        let refused = space
            .says::<OidcProvider>("login", Reconciling, "IssuerMismatch", &says(&expected))
            .await?;
        let known = refused.status.and_then(|status| status.issuer);
        ensure!(known.as_deref() == Some(issuer), "{known:?}");
    }
    // The default is the public URL, which here is that of a proxy.
    space
        .respecify::<OidcProvider>("login", json!({ "issuer": null }))
        .await?;
    let url = server.public.url();
    space
        .says::<OidcProvider>("login", Reconciling, "IssuerMismatch", &says(&url))
        .await?;
    let after = space.config_maps().get("login").await?;
    ensure!(
        after.resource_version() == before.resource_version(),
        "it was changed: {after:?}"
    );
    space
        .respecify::<OidcProvider>("login", json!({ "issuer": issuer }))
        .await?;
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

async fn a_resync_writes_nothing(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let space = bed.space().await?;
    let before = space.ready::<OidcProvider>("login", &spec.to_string()).await?;
    let what = format!("AuthorizationServer {} to count one resource", server.name);
    bed.wait_server(&what, &server.name, |server| {
        let status = server.status.as_ref();
        status.is_some_and(|status| status.resources == Some(1))
    })
    .await?;
    let (public, kube) = (server.public.journal().mark(), bed.operator().requests().mark());
    looks(&server, public, 4).await?;
    let writes: Vec<_> = bed.operator().kube_requests(kube);
    let writes: Vec<_> = writes
        .iter()
        .filter(|request| request.is_write() && request.namespace.as_deref() == Some(space.name()))
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    let after = space.until_ready::<OidcProvider>("login").await?;
    ensure!(
        after.resource_version() == before.resource_version(),
        "the resource was written"
    );
    Ok(())
}

async fn a_provider_needs_its_own_access_rule(bed: &Bed) -> Result<()> {
    let (server, spec) = own_server(bed).await?;
    let rules = |kinds: &[&str]| json!({ "access": [{ "namespaces": { "from": "All" }, "kinds": kinds }] });
    bed.change_server(&server.name, rules(&["OAuth2Client"])).await?;
    let space = bed.space().await?;
    space.make::<OidcProvider>("login", &spec.to_string()).await?;
    let message = format!(
        "AuthorizationServer `{}`: no access rule lets namespace `{}` have an OidcProvider; ask the server's admin for one.",
        server.name,
        space.name()
    );
    let refused = space
        .says::<OidcProvider>("login", Reconciling, "NotAllowed", &message)
        .await?;
    ensure!(!is_held(&refused), "it has a finalizer");
    ensure!(
        space.config_maps().get_opt("login").await?.is_none(),
        "it was published"
    );
    bed.change_server(&server.name, rules(&["OAuth2Client", "OidcProvider"]))
        .await?;
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

async fn a_server_without_a_public_url_is_reported(bed: &Bed) -> Result<()> {
    let issuer = issuer_of(bed, "default").await?;
    let options = ServerOptions {
        spec: json!({ "hydra": { "publicUrl": null } }),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name } }).to_string();
    space.make::<OidcProvider>("login", &spec).await?;
    let message = format!(
        "AuthorizationServer `{}` has no hydra.publicUrl, so the operator cannot read the discovery document. Set hydra.publicUrl there.",
        server.name
    );
    let waits = space
        .says::<OidcProvider>("login", Reconciling, "ServerNotReady", &message)
        .await?;
    ensure!(!is_held(&waits), "it has a finalizer");
    bed.change_server(&server.name, json!({ "hydra": { "publicUrl": issuer } }))
        .await?;
    space.until_ready::<OidcProvider>("login").await?;
    Ok(())
}

async fn invalid_providers_are_rejected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let url =
        "issuer: must be an http or https URL without query and fragment (OpenID Connect Discovery 1.0, section 3)";
    for issuer in [
        "id.example.com",
        "ftp://id",
        "https://id?x",
        "https://id#x",
        "https://u@id",
        "https://i d",
    ] {
        let spec = json!({ "issuer": issuer }).to_string();
        let refusal = space.refused::<OidcProvider>("refused", &spec).await?;
        ensure!(
            refusal.contains("spec.issuer: Invalid value: ") && refusal.contains(url),
            "{issuer}: {refusal}"
        );
    }
    let ours = "publish: labels and annotations of kubernetes.io (other than app.kubernetes.io labels) and of oidc-operator.dev are reserved; remove them";
    for publish in [
        json!({ "labels": { "oidc-operator.dev/uid": "x" } }),
        json!({ "labels": { "kubernetes.io/x": "y" } }),
        json!({ "annotations": { "oidc-operator.dev/x": "y" } }),
        json!({ "annotations": { "app.kubernetes.io/x": "y" } }),
    ] {
        let spec = json!({ "publish": publish }).to_string();
        let refusal = space.refused::<OidcProvider>("refused", &spec).await?;
        ensure!(refusal.contains(ours), "{spec}: {refusal}");
    }
    space
        .refused::<OidcProvider>("refused", "{ publish: { configMapName: 'Not A Name' } }")
        .await?;
    space
        .make::<OidcProvider>("login", "{ serverRef: { name: a } }")
        .await?;
    for spec in ["{ serverRef: { name: b } }", "{ issuer: 'https://id' }"] {
        let refusal = space.refused::<OidcProvider>("login", spec).await?;
        let message =
            "spec.serverRef: Invalid value: serverRef is immutable: create a new OidcProvider for the other server";
        ensure!(refusal.contains(message), "{spec}: {refusal}");
    }
    Ok(())
}

/// The first write of a status fails with a conflict. The operator then writes it onto the current version.
async fn a_status_conflict_is_resolved(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let path = format!(
        "/apis/oidc-operator.dev/v1alpha1/namespaces/{}/oidcproviders/login/status",
        space.name()
    );
    let conflict = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409, "message": "",
    });
    let is_status = move |head: &RequestHead| head.is("PATCH", &path);
    let fault = Fault::new(is_status, Action::Answer(Answer::json(409, &conflict))).nth(1);
    let fault = bed.operator().kube().inject(fault);
    let spec = json!({ "issuer": issuer_of(bed, "default").await? }).to_string();
    space.ready::<OidcProvider>("login", &spec).await?;
    ensure!(fault.struck() == 1, "the fault did not strike");
    Ok(())
}
