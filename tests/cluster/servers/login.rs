//! Logins: the proxy demands each one, which is missing at first, then wrong, then right.

use anyhow::{Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, RequestHead};

use super::{machine_on, not_ready};
use crate::bed::{Bed, ServerOptions, is_of_clients};
use crate::conditions::{Tone, client_ready, client_says, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(the_operator_logs_in_with_a_bearer_token),
        side.shared(the_operator_logs_in_with_basic_authentication),
        side.shared(the_operator_logs_in_with_headers),
        side.shared(a_login_refused_only_for_clients_is_reported),
        side.shared(the_forwarded_proto_header_is_sent),
    ]
}

/// A login: its spec for the name of a Secret, its name in the status, and the data of the Secret.
struct Login {
    auth: fn(&str) -> Value,
    name: &'static str,
    wrong: Value,
    right: Value,
    /// The headers that the server demands.
    demanded: Vec<(&'static str, String)>,
}

async fn the_operator_logs_in_with_a_bearer_token(bed: &Bed) -> Result<()> {
    let login = Login {
        auth: |secret| json!({ "bearerToken": { "secretRef": { "name": secret, "key": "token" } } }),
        name: "Bearer",
        wrong: json!({ "token": "wrong-bearer-token" }),
        right: json!({ "token": "right-bearer-token\n" }), // a newline as at the end of files
        demanded: vec![("authorization", "Bearer right-bearer-token".to_owned())],
    };
    is_demanded(bed, login).await
}

async fn the_operator_logs_in_with_basic_authentication(bed: &Bed) -> Result<()> {
    let credentials = serde_json::to_value(ByteString(b"operator:right-p\xc3\xa4ssword".to_vec()))?;
    let login = Login {
        auth: |secret| json!({ "basic": { "secretRef": { "name": secret } } }),
        name: "Basic",
        wrong: json!({ "username": "operator", "password": "wrong-password" }),
        right: json!({ "username": "operator", "password": "right-pässword" }),
        demanded: vec![(
            "authorization",
            format!("Basic {}", credentials.as_str().unwrap_or_default()),
        )],
    };
    is_demanded(bed, login).await
}

async fn the_operator_logs_in_with_headers(bed: &Bed) -> Result<()> {
    let login = Login {
        auth: |secret| {
            json!({ "headers": [
                { "name": "X-Api-Key", "secretRef": { "name": secret, "key": "key" } },
                { "name": "X-Tenant", "secretRef": { "name": secret, "key": "tenant" } },
            ] })
        },
        name: "Headers",
        wrong: json!({ "key": "wrong-api-key", "tenant": "tenant-one" }),
        right: json!({ "key": "right-api-key", "tenant": "tenant-one" }),
        demanded: vec![
            ("x-api-key", "right-api-key".to_owned()),
            ("x-tenant", "tenant-one".to_owned()),
        ],
    };
    is_demanded(bed, login).await
}

fn has(head: &RequestHead, demanded: &[(&str, String)]) -> bool {
    let value = |name: &str| head.headers.get(name).map(|value| value.as_bytes().to_vec());
    demanded
        .iter()
        .all(|(name, wanted)| value(name).as_deref() == Some(wanted.as_bytes()))
}

const REFUSED: &str = "The server answered 401: it refuses the operator's login. Check hydra.auth and tls of the AuthorizationServer; if it refuses only /version, set hydra.version.";

async fn is_demanded(bed: &Bed, login: Login) -> Result<()> {
    let space = bed.space().await?;
    let secret = format!("{}-login", space.name()); // a unique name in the namespace that all tests share
    let server = bed.make_server(&secret, ServerOptions::default()).await?;
    let demanded = login.demanded.clone();
    let _check = server.admin.inject(Fault::new(
        move |head| !has(head, &demanded),
        Action::Answer(Answer::status(401)),
    ));
    let mark = server.admin.journal().mark();
    bed.change_server(&server.name, json!({ "hydra": { "auth": (login.auth)(&secret) } }))
        .await?;
    let message = format!("Secret `{secret}` does not exist in namespace `oidc-system`. Create it.");
    server_says(bed, &server.name, Tone::Reconciling, "SecretNotFound", &message).await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_says(
        &space,
        "app",
        Tone::Reconciling,
        "ServerNotReady",
        &not_ready(&server.name),
    )
    .await?;

    for value in [&login.wrong, &login.right]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|data| data.values())
    {
        let text = value.as_str().unwrap_or_default().trim_end();
        if text.starts_with("wrong-") || text.starts_with("right-") {
            bed.canary(text);
        }
    }
    let manifest =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": secret }, "stringData": login.wrong });
    bed.home().apply::<Secret>(&manifest.to_string()).await?;
    server_says(bed, &server.name, Tone::Reconciling, "ServerRefused", REFUSED).await?;
    bed.home().edit_secret(&secret, login.right).await?;
    let ready = bed.server_ready(&server.name).await?.status.unwrap_or_default();
    ensure!(ready.login.as_deref() == Some(login.name), "{:?}", ready.login);
    client_ready(&space, "app").await?;
    let about = server.about_clients(mark);
    ensure!(
        !about.is_empty() && about.iter().all(|found| has(&found.head, &login.demanded)),
        "{about:?}"
    );
    let public = server.public.journal().snapshot();
    ensure!(!public.is_empty(), "discovery was not read");
    let leaked = public.iter().find(|found| {
        login
            .demanded
            .iter()
            .any(|(name, _)| found.head.headers.contains_key(*name))
    });
    ensure!(leaked.is_none(), "the login was sent to the public API");

    // When the login becomes wrong later, a settled client does not change.
    let settled = space.client("app").await?;
    bed.home().edit_secret(&secret, login.wrong).await?;
    server_says(bed, &server.name, Tone::Reconciling, "ServerRefused", REFUSED).await?;
    let now = space.client("app").await?;
    ensure!(
        now.metadata.resource_version == settled.metadata.resource_version,
        "its status is {:?}, and was {:?}",
        now.status,
        settled.status
    );
    Ok(())
}

async fn a_login_refused_only_for_clients_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let refuses = server
        .admin
        .inject(Fault::new(is_of_clients, Action::Answer(Answer::status(403))));
    let message = "The server answered 403: it refuses the operator's login. Check hydra.auth and tls of the AuthorizationServer.";
    server_says(bed, &server.name, Tone::Reconciling, "ServerRefused", message).await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_says(
        &space,
        "app",
        Tone::Reconciling,
        "ServerNotReady",
        &not_ready(&server.name),
    )
    .await?;
    drop(refuses);
    bed.server_ready(&server.name).await?;
    client_ready(&space, "app").await?;
    Ok(())
}

async fn the_forwarded_proto_header_is_sent(bed: &Bed) -> Result<()> {
    let spec = json!({ "hydra": { "forwardedProto": "https" } });
    let server = bed
        .own_server(ServerOptions {
            spec,
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_ready(&space, "app").await?;
    let exchanges = server.admin.journal().snapshot();
    let demanded = [("x-forwarded-proto", "https".to_owned())];
    ensure!(
        exchanges.iter().all(|found| has(&found.head, &demanded)),
        "{exchanges:?}"
    );
    Ok(())
}
