//! Which namespaces a rule selects, and the exact messages about its limits.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::bed::{Bed, Server, ServerOptions, Space, uid_of};
use crate::conditions::{Tone, client_ready, client_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(rules_select_namespaces_by_name_by_label_or_all),
        side.shared(every_limit_reports_the_value_it_refuses),
        side.shared(limits_of_different_rules_are_not_combined),
        side.shared(an_empty_list_of_rules_admits_no_namespace),
    ]
}

const NOBODY: &str = "no access rule lets namespace";

/// Sets labels of a namespace; null removes a label.
pub(super) async fn label(bed: &Bed, space: &Space<'_>, labels: Value) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(bed.client());
    let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
    namespaces.patch(space.name(), &PatchParams::default(), &patch).await?;
    Ok(())
}

/// The message for a namespace that no rule selects.
pub(super) fn nobody(server: &Server, space: &Space<'_>) -> String {
    let (server, space) = (&server.name, space.name());
    format!("AuthorizationServer `{server}`: {NOBODY} `{space}` have an OAuth2Client; ask the server's admin for one.")
}

/// The spec with a reference to this server.
pub(super) fn on(server: &Server, spec: Value) -> String {
    let mut spec = spec;
    spec["serverRef"] = json!({ "name": server.name });
    spec.to_string()
}

/// A rule that allows clients in these namespaces.
pub(super) fn only(namespaces: Value) -> Value {
    json!({ "namespaces": namespaces, "kinds": ["OAuth2Client"] })
}

/// The spec of a machine client on this server.
pub(super) fn machine(server: &Server) -> String {
    on(server, json!({ "grantTypes": ["client_credentials"] }))
}

async fn rules_select_namespaces_by_name_by_label_or_all(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let (named, labelled, other) = (bed.space().await?, bed.space().await?, bed.space().await?);
    let selector = json!({
        "matchLabels": { "oidc": "true" },
        "matchExpressions": [
            { "key": "stage", "operator": "In", "values": ["dev", "prod"] },
            { "key": "blocked", "operator": "DoesNotExist" },
        ],
    });
    let rules = json!([
        only(json!({ "from": "Names", "names": [named.name()] })),
        only(json!({ "from": "Selector", "selector": selector })),
    ]);
    bed.change_server(&server.name, json!({ "access": rules })).await?;
    for space in [&named, &labelled, &other] {
        space.apply_client("app", &machine(&server)).await?;
    }
    client_ready(&named, "app").await?;
    for space in [&labelled, &other] {
        let refused = client_says(space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, space)).await?;
        ensure!(refused.metadata.finalizers.is_none(), "it has a finalizer");
        ensure!(bed.hydra_client(&uid_of(&refused)).await?.is_none(), "it is registered");
        let secrets = space.secrets().list(&kube::api::ListParams::default()).await?;
        ensure!(secrets.items.is_empty(), "{} Secrets were made", secrets.items.len());
    }
    // A partial match is not enough, and a changed label takes effect at once.
    label(bed, &labelled, json!({ "oidc": "true" })).await?;
    label(bed, &other, json!({ "oidc": "true", "stage": "dev", "blocked": "yes" })).await?;
    client_says(&other, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &other)).await?;
    label(bed, &labelled, json!({ "stage": "prod" })).await?;
    client_ready(&labelled, "app").await?;
    client_says(&other, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &other)).await?;
    bed.change_server(&server.name, json!({ "access": [only(json!({ "from": "All" }))] }))
        .await?;
    for space in [&named, &labelled, &other] {
        client_ready(space, "app").await?;
    }
    Ok(())
}

/// A limit, a spec that exceeds it, the expected message, and a change of the spec that complies with it.
fn cases() -> Vec<(Value, Value, &'static str, Value)> {
    let web = |more: Value| {
        let mut spec = json!({ "redirectUris": ["https://app.example.com/cb"] });
        let members = spec.as_object_mut().into_iter();
        members.for_each(|members| members.extend(more.as_object().cloned().unwrap_or_default()));
        spec
    };
    let machine = |more: Value| {
        let mut spec = json!({ "grantTypes": ["client_credentials"] });
        let members = spec.as_object_mut().into_iter();
        members.for_each(|members| members.extend(more.as_object().cloned().unwrap_or_default()));
        spec
    };
    let hosts = || json!({ "uriHosts": ["*.example.com", "localhost"] });
    vec![
        (
            json!({ "grantTypes": ["authorization_code"] }),
            web(json!({})), // the default includes refresh_token
            "grantTypes does not allow `refresh_token` in grantTypes (a default: set grantTypes to replace it; only `authorization_code`)",
            json!({ "grantTypes": ["authorization_code"] }),
        ),
        (
            json!({ "scopes": ["openid"] }),
            web(json!({})), // the default includes offline_access
            "scopes does not allow `offline_access` in scopes (a default: set scopes to replace it; only `openid`)",
            json!({ "scopes": ["openid"] }),
        ),
        (
            json!({ "scopes": [] }),
            machine(json!({ "scopes": ["read"] })),
            "scopes does not allow `read` in scopes (nothing is allowed)",
            json!({ "scopes": null }),
        ),
        (
            json!({ "audiences": ["api"] }),
            machine(json!({ "audience": ["api", "billing"] })),
            "audiences does not allow `billing` in audience (only `api`)",
            json!({ "audience": ["api"] }),
        ),
        (
            hosts(),
            web(json!({ "redirectUris": ["https://app.example.com/cb", "https://example.com/cb"] })),
            "uriHosts does not allow `https://example.com/cb` in redirectUris (only `*.example.com`, `localhost`)",
            json!({ "redirectUris": ["https://app.example.com/cb", "http://localhost:8080/cb"] }),
        ),
        (
            hosts(),
            web(json!({ "redirectUris": ["com.example.app:/callback"] })),
            "uriHosts does not allow `com.example.app:/callback` in redirectUris (only `*.example.com`, `localhost`)",
            json!({ "redirectUris": ["https://APP.example.com/cb"] }),
        ),
        (
            json!({ "uriHosts": ["com.example.app:", "127.0.0.1", "localhost:8080"] }),
            web(
                json!({ "redirectUris": ["com.example.app:/callback", "http://127.0.0.1:51004/cb", "http://localhost/cb"] }),
            ),
            "uriHosts does not allow `http://localhost/cb` in redirectUris (only `com.example.app:`, `127.0.0.1`, `localhost:8080`)",
            json!({ "redirectUris": ["com.example.app:/callback", "http://127.0.0.1:51004/cb", "http://localhost:8080/cb"] }),
        ),
        (
            hosts(),
            web(json!({ "redirectUris": ["https://app.example.com@evil.org/cb"] })),
            "uriHosts does not allow `https://app.example.com@evil.org/cb` in redirectUris (only `*.example.com`, `localhost`)",
            json!({ "redirectUris": ["https://app.example.com/cb"] }),
        ),
        (
            json!({ "scopes": ["read"], "audiences": [], "uriHosts": ["*.example.com"] }),
            machine(json!({
                "scopes": ["a", "read", "b"], "audience": ["api"], "clientUri": "https://a.example.org",
                "redirectUris": ["https://b.example.org/cb", "https://app.example.com/cb"],
            })),
            "scopes does not allow `a`, `b` in scopes (only `read`); access[RULE].clients.audiences does not allow `api` in audience (nothing is allowed); access[RULE].clients.uriHosts does not allow `https://b.example.org/cb` in redirectUris (only `*.example.com`); access[RULE].clients.uriHosts does not allow `https://a.example.org` in clientUri (only `*.example.com`)",
            json!({ "scopes": null, "audience": null, "clientUri": null, "redirectUris": null }),
        ),
        (
            json!({ "clientIds": "Any" }),
            machine(json!({ "hydra": { "skipConsent": true } })),
            "skipConsent does not allow `true` in hydra.skipConsent",
            json!({ "hydra": { "skipConsent": false } }),
        ),
        (
            json!({}),
            machine(json!({ "hydra": { "skipLogoutConsent": true } })),
            "skipConsent does not allow `true` in hydra.skipLogoutConsent",
            json!({ "hydra": null }),
        ),
        (
            json!({ "deletionPolicies": ["Delete"] }),
            machine(json!({ "deletionPolicy": "Orphan" })),
            "deletionPolicies does not allow `Orphan` in deletionPolicy (only `Delete`)",
            json!({ "deletionPolicy": null }),
        ),
    ]
}

async fn every_limit_reports_the_value_it_refuses(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let cases = cases();
    let mut spaces = Vec::new();
    for _ in 0..cases.len() + 2 {
        spaces.push(bed.space().await?);
    }
    // One rule per namespace, so that each message names another rule.
    let [generated, prefixed] = &spaces[cases.len()..] else {
        anyhow::bail!("two more namespaces are needed");
    };
    let limits = cases.iter().map(|(limits, ..)| limits.clone());
    let limits = limits.chain([json!({ "clientIds": "Generated" }), json!({ "clientIds": "Prefixed" })]);
    let rules: Vec<Value> = spaces
        .iter()
        .zip(limits)
        .map(|(space, limits)| {
            let namespaces = json!({ "from": "Names", "names": [space.name()] });
            json!({ "namespaces": namespaces, "kinds": ["OAuth2Client"], "clients": limits })
        })
        .collect();
    bed.change_server(&server.name, json!({ "access": rules })).await?;

    let says = |rule: usize, what: &str| {
        let what = what.replace("RULE", &rule.to_string());
        format!(
            "AuthorizationServer `{}`: access[{rule}].clients.{what}; change it or ask the server's admin.",
            server.name
        )
    };
    for (rule, (_, spec, expected, cure)) in cases.into_iter().enumerate() {
        let space = &spaces[rule];
        space.apply_client("app", &on(&server, spec)).await?;
        client_says(space, "app", Tone::Reconciling, "NotAllowed", &says(rule, expected)).await?;
        space.change("app", json!({ "spec": cure })).await?;
        client_ready(space, "app").await?;
    }
    // clientId is immutable, so its limits are tested separately.
    let with_id = |id: &str| on(&server, json!({ "grantTypes": ["client_credentials"], "clientId": id }));
    for (rule, space, id) in [
        (spaces.len() - 2, generated, format!("{}.app", generated.name())),
        (spaces.len() - 1, prefixed, format!("{}x.app", prefixed.name())),
        (spaces.len() - 1, prefixed, format!("{}.", prefixed.name())),
        (spaces.len() - 1, prefixed, "app".to_owned()),
    ] {
        space.apply_client("app", &with_id(&id)).await?;
        let what = format!("clientIds does not allow `{id}` in clientId");
        client_says(space, "app", Tone::Reconciling, "NotAllowed", &says(rule, &what)).await?;
        space.delete_and_wait("app").await?;
    }
    space_ready(prefixed, &with_id(&format!("{}.app", prefixed.name()))).await
}

async fn space_ready(space: &Space<'_>, spec: &str) -> Result<()> {
    space.apply_client("app", spec).await?;
    client_ready(space, "app").await?;
    Ok(())
}

async fn limits_of_different_rules_are_not_combined(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let rule =
        |clients: Value| json!({ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "clients": clients });
    let rules = json!([
        rule(json!({ "grantTypes": ["authorization_code"], "scopes": ["read"], "audiences": [] })),
        rule(json!({ "grantTypes": ["client_credentials"], "scopes": [] })),
    ]);
    bed.change_server(&server.name, json!({ "access": rules })).await?;
    // The first rule allows the scope, the second the grant type; the second is the closer match.
    let spec = json!({ "grantTypes": ["client_credentials"], "scopes": ["read"], "audience": ["api"] });
    space.apply_client("app", &on(&server, spec)).await?;
    let message = format!(
        "AuthorizationServer `{}`: access[1].clients.scopes does not allow `read` in scopes (nothing is allowed); change it or ask the server's admin.",
        server.name
    );
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &message).await?;
    space.change("app", json!({ "spec": { "scopes": null } })).await?;
    client_ready(&space, "app").await?;
    Ok(())
}

async fn an_empty_list_of_rules_admits_no_namespace(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    bed.change_server(&server.name, json!({ "access": null })).await?;
    bed.server_ready(&server.name).await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine(&server)).await?;
    client_says(&space, "app", Tone::Reconciling, "NotAllowed", &nobody(&server, &space)).await?;
    space.delete_and_wait("app").await?;
    Ok(())
}
