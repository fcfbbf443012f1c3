//! A careless or malicious admin configures a login that would send a server a token that the Kubernetes API accepts. A
//! canary records all requests that it receives, and receives none. Then the login gets a value that only the server
//! accepts, and the canary receives it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::StreamExt;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use libtest_mimic::Trial;
use oidc_operator::api::Scope;
use serde_json::{Value, json};
use testbed::proxy::Exchange;
use testbed::{ControlPlane, Foulkon, install, wait};

use super::login::ISSUER;
use super::stage::Stage;
use crate::bed::{Bed, LIMIT, Server, ServerOptions, uid_of};
use crate::conditions::{Tone, client_ready, client_says, server_says};
use crate::run::Side;

const UNSAFE: &str = "UnsafeToken";
const OWN: &str = "is a token of the operator's own ServiceAccount";
const AUDIENCE: &str = "is a token with an audience that the Kubernetes API accepts";
const ANY: &str = "is a ServiceAccount token for any audience";
const TYPE: &str = "is in a Secret whose type is for tokens of the Kubernetes API";

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_vault_gets_no_token_of_the_operator_or_for_the_kubernetes_api),
        side.shared(no_login_secret_sends_a_token_for_the_api_to_a_server),
        side.shared(no_client_secret_sends_a_token_for_the_api_to_a_server),
        side.shared(the_chart_lets_the_operator_request_none_of_its_own_tokens),
    ]
}

fn refusal(secret: &str, key: &str, why: &str) -> String {
    format!(
        "Secret `{secret}`, key `{key}`: the value {why}, so the operator does not send it to a server. Use a token that only that server accepts."
    )
}

fn slow(spec: Value) -> ServerOptions {
    ServerOptions {
        resync_interval: "1h".to_owned(),
        spec,
        ..ServerOptions::default()
    }
}

/// All requests that a server received.
fn heard(server: &Server) -> Vec<Exchange> {
    let mut all = server.admin.journal().snapshot();
    all.extend(server.public.journal().snapshot());
    all
}

async fn a_vault_gets_no_token_of_the_operator_or_for_the_kubernetes_api(bed: &Bed) -> Result<()> {
    let (own, login) = (bed.installation().service_account(), bed.installation().login_account());
    let root = bed.bao().await?.root();
    root.jwt_auth(ISSUER, &bed.plane().service_account_public_key()?)
        .await?;
    root.jwt_role(&bed.vault_role()).await?;
    let own_message = "vault.auth names the operator's own ServiceAccount, whose tokens the operator does not send to a server. Name a ServiceAccount without rights, such as login.serviceAccount of the chart.";
    let api_message = "vault.auth asks for a token with an audience that the Kubernetes API accepts, and the operator does not send such a token to a server. Remove that audience, and give the Kubernetes auth method its own token_reviewer_jwt, or use the JWT auth method.";
    let cases = [
        (own, json!([ISSUER]), own_message),
        (own, json!(["vault"]), own_message),
        (login, json!([ISSUER]), api_message),
        (login, json!(["vault", ISSUER]), api_message),
    ];
    for method in ["kubernetes", "jwt"] {
        for (nth, (account, audiences, message)) in cases.iter().enumerate() {
            let mut auth = json!({ "kubernetes": null });
            auth[method] =
                json!({ "role": "oidc-operator", "serviceAccount": { "name": account, "audiences": audiences } });
            let name = format!("greedy-{method}-{nth}");
            let server = bed
                .make_vault(&name, slow(json!({ "vault": { "auth": auth } })))
                .await?;
            server_says(bed, &name, Tone::Stalled, UNSAFE, message).await?;
            ensure!(heard(&server).is_empty(), "{name}: {:?}", heard(&server));
            // The same with a token that only the server accepts.
            let good = json!({ "serviceAccount": { "name": login, "audiences": ["vault"] } });
            let mut auth = json!({});
            auth[method] = good;
            bed.change_server(&name, json!({ "vault": { "auth": auth } })).await?;
            bed.server_ready(&name).await?;
            let is_login = |exchange: &Exchange| exchange.head.path().ends_with("/login");
            ensure!(heard(&server).iter().any(is_login), "{name} received no login");
            bed.servers_api().delete(&name, &Default::default()).await?;
        }
    }
    let stage = Stage::quiet(bed).await?;
    stage.ready::<Scope>("proof", json!({})).await.map(drop)
}

/// A login that sends a value of a Secret to a server.
struct Way {
    flavour: &'static str,
    /// The login in the spec, for the name of the Secret.
    auth: fn(&str) -> Value,
    /// Keys of the Secret in the order in which they are read; the last one holds the token.
    keys: &'static [&'static str],
}

fn ways() -> Vec<Way> {
    const VALUE: &[&str] = &["value"];
    const BASIC: &[&str] = &["username", "password"];
    let way = |flavour, keys, auth| Way { flavour, auth, keys };
    vec![
        way(
            "hydra",
            VALUE,
            |secret| json!({ "bearerToken": { "secretRef": { "name": secret, "key": "value" } } }),
        ),
        way(
            "hydra",
            BASIC,
            |secret| json!({ "basic": { "secretRef": { "name": secret } } }),
        ),
        way(
            "hydra",
            VALUE,
            |secret| json!({ "headers": [{ "name": "X-Api-Key", "secretRef": { "name": secret, "key": "value" } }] }),
        ),
        way(
            "foulkon",
            VALUE,
            |secret| json!({ "basic": null, "bearerToken": { "secretRef": { "name": secret, "key": "value" } } }),
        ),
        way(
            "foulkon",
            BASIC,
            |secret| json!({ "basic": { "secretRef": { "name": secret } } }),
        ),
        way(
            "vault",
            VALUE,
            |secret| json!({ "kubernetes": null, "token": { "secretRef": { "name": secret, "key": "value" } } }),
        ),
        way(
            "vault",
            VALUE,
            |secret| json!({ "kubernetes": null, "jwt": { "role": "oidc-operator", "secretRef": { "name": secret, "key": "value" } } }),
        ),
        way(
            "vault",
            VALUE,
            |secret| json!({ "kubernetes": null, "appRole": { "roleId": "operator", "secretRef": { "name": secret, "key": "value" } } }),
        ),
    ]
}

async fn no_login_secret_sends_a_token_for_the_api_to_a_server(bed: &Bed) -> Result<()> {
    let home = install::NAMESPACE;
    let (own, login) = (bed.installation().service_account(), bed.installation().login_account());
    let for_vault = issued(bed, own, &["vault"]).await?;
    let for_api = bed.plane().service_account_token(home, login).await?;
    let endless = unsigned(&json!({
        "iss": "kubernetes/serviceaccount", "sub": format!("system:serviceaccount:{home}:{login}"),
        "kubernetes.io/serviceaccount/namespace": home,
    }));
    let hostile = [
        (for_vault, OWN),
        (for_api.clone(), AUDIENCE),
        (format!("Bearer {for_api}"), AUDIENCE),
        (endless, ANY),
    ];
    let foulkon = Foulkon::start().await?;
    let (foulkon, hostile) = (&foulkon, &hostile);
    let plays = ways().into_iter().map(async |way| {
        let kind = format!("{} {}", way.flavour, (way.auth)("it"));
        for (token, why) in hostile {
            with_value(bed, foulkon, &way, token, why)
                .await
                .with_context(|| format!("{kind}: {why}"))?;
        }
        with_type(bed, foulkon, &way)
            .await
            .with_context(|| format!("{kind}: its type"))
    });
    let results: Vec<Result<()>> = futures::stream::iter(plays).buffer_unordered(4).collect().await;
    results.into_iter().collect()
}

/// A Secret with a token: the operator sends nothing until the Secret holds another value.
async fn with_value(bed: &Bed, foulkon: &Foulkon, way: &Way, token: &str, why: &str) -> Result<()> {
    let data = |value: &str| json!({ "username": "operator", "password": value, "value": value });
    let secret = bed.beside_operator(data(token)).await?;
    let server = server(bed, foulkon, way, &secret).await?;
    let key = way.keys.last().copied().unwrap_or_default();
    server_says(
        bed,
        &server.name,
        Tone::Reconciling,
        UNSAFE,
        &refusal(&secret, key, why),
    )
    .await?;
    ensure!(heard(&server).is_empty(), "{:?}", heard(&server));

    let harmless = format!("good-there-alone-{secret}");
    bed.home().edit_secret(&secret, data(&harmless)).await?;
    wait::until("the canary to be sent the harmless value", LIMIT, async || {
        let found = heard(&server).iter().any(|exchange| carries(exchange, &harmless));
        Ok(found.then_some(()))
    })
    .await?;
    ensure!(!heard(&server).iter().any(|exchange| carries(exchange, token)));
    bed.servers_api().delete(&server.name, &Default::default()).await?;
    Ok(())
}

/// A Secret whose type is for tokens of the API: the operator does not send it, whatever its values are.
async fn with_type(bed: &Bed, foulkon: &Foulkon, way: &Way) -> Result<()> {
    let secret = token_secret(bed, install::NAMESPACE, bed.installation().login_account()).await?;
    let server = server(bed, foulkon, way, &secret).await?;
    let key = way.keys[0];
    server_says(
        bed,
        &server.name,
        Tone::Reconciling,
        UNSAFE,
        &refusal(&secret, key, TYPE),
    )
    .await?;
    ensure!(heard(&server).is_empty(), "{:?}", heard(&server));
    bed.servers_api().delete(&server.name, &Default::default()).await?;
    Ok(())
}

/// Creates a Secret of the type for tokens that never expire; its values are no tokens.
async fn token_secret(bed: &Bed, namespace: &str, account: &str) -> Result<String> {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "generateName": "endless-", "annotations": { "kubernetes.io/service-account.name": account } },
        "type": "kubernetes.io/service-account-token",
        "stringData": { "username": "operator", "password": "no-token", "value": "no-token" },
    }))?;
    let secrets: Api<Secret> = Api::namespaced(bed.client(), namespace);
    let made = secrets.create(&PostParams::default(), &secret).await?;
    made.metadata.name.context("a name")
}

async fn server(bed: &Bed, foulkon: &Foulkon, way: &Way, secret: &str) -> Result<Arc<Server>> {
    let mut spec = json!({});
    spec[way.flavour] = json!({ "auth": (way.auth)(secret) });
    let name = format!("canary-{secret}");
    match way.flavour {
        "hydra" => bed.make_server(&name, slow(spec)).await,
        "vault" => bed.make_vault(&name, slow(spec)).await,
        _ => bed.make_foulkon(foulkon, slow(spec)).await,
    }
}

/// Whether a request carries a value, in a header or in its body.
fn carries(exchange: &Exchange, value: &str) -> bool {
    let basic = STANDARD.encode(format!("operator:{value}"));
    let holds = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.contains(value) || text.contains(&basic)
    };
    let headers = &exchange.head.headers;
    headers.values().any(|header| holds(header.as_bytes())) || holds(&exchange.body)
}

/// A token for these audiences of a ServiceAccount in the operator's namespace.
async fn issued(bed: &Bed, account: &str, audiences: &[&str]) -> Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: audiences.iter().copied().map(str::to_owned).collect(),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(bed.client(), install::NAMESPACE);
    let made = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    Ok(made.status.context("a token")?.token)
}

/// A token without a valid signature.
fn unsigned(claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256"}"#),
        part(&claims.to_string()),
        part("signature")
    )
}

async fn no_client_secret_sends_a_token_for_the_api_to_a_server(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let server = bed.own_server(slow(json!({}))).await?;
    let mark = server.admin.journal().mark();
    let account: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": "robot" } }))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(bed.client(), space.name());
    accounts.create(&PostParams::default(), &account).await?;
    let token = bed.plane().service_account_token(space.name(), "robot").await?;
    bed.canary(&token);
    let own: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "own" }, "stringData": { "value": token } }))?;
    space.secrets().create(&PostParams::default(), &own).await?;
    let endless = token_secret(bed, space.name(), "robot").await?;
    for (client, secret, why) in [("bound", "own", AUDIENCE), ("endless", endless.as_str(), TYPE)] {
        let spec = json!({
            "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"],
            "clientSecretRef": { "name": secret, "key": "value" },
        });
        let made = space.apply_client(client, &spec.to_string()).await?;
        client_says(
            &space,
            client,
            Tone::Reconciling,
            UNSAFE,
            &refusal(secret, "value", why),
        )
        .await?;
        ensure!(
            bed.hydra_client(&uid_of(&made)).await?.is_none(),
            "{client} was registered"
        );
    }
    let since = server.admin.journal().since(mark);
    ensure!(
        !since
            .iter()
            .any(|exchange| carries(exchange, &token) || exchange.head.method == "POST")
    );
    space.edit_secret("own", json!({ "value": "good-there-alone" })).await?;
    client_ready(&space, "bound").await?;
    Ok(())
}

/// Names of the ServiceAccounts for which the chart lets the operator request tokens.
async fn granted(settings: &[&str]) -> Result<BTreeSet<String>> {
    let manifests = install::manifests(&install::render(settings).await?)?;
    let rules = manifests
        .iter()
        .filter(|manifest| manifest["kind"].as_str().is_some_and(|kind| kind.ends_with("Role")))
        .flat_map(|role| role["rules"].as_array().into_iter().flatten())
        .filter(|rule| rule["resources"].to_string().contains("serviceaccounts"));
    let mut names = BTreeSet::new();
    for rule in rules {
        let named = rule["resourceNames"]
            .as_array()
            .context("a right on all ServiceAccounts")?;
        ensure!(
            !named.is_empty() && rule["resources"] == json!(["serviceaccounts/token"]),
            "{rule}"
        );
        names.extend(named.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    Ok(names)
}

async fn the_chart_lets_the_operator_request_none_of_its_own_tokens(bed: &Bed) -> Result<()> {
    let (own, login) = (bed.installation().service_account(), bed.installation().login_account());
    let named = |names: &[&str]| names.iter().copied().map(str::to_owned).collect::<BTreeSet<_>>();
    let create = "login.serviceAccount.create=true";
    for (settings, expected) in [
        (&[create][..], named(&[login])),
        (
            &[create, "vault.serviceAccounts={one,two}"],
            named(&[login, "one", "two"]),
        ),
        (&[create, "login.serviceAccount.name=other"], named(&["other"])),
        (&["login.serviceAccount.name=theirs"], named(&["theirs"])),
        (&["vault.serviceAccounts={one}"], named(&["one"])),
        (&[], named(&[])),
    ] {
        ensure!(
            granted(settings).await? == expected,
            "{settings:?}: {:?}",
            granted(settings).await?
        );
    }
    for own in [
        format!("vault.serviceAccounts={{{own}}}"),
        format!("login.serviceAccount.name={own}"),
    ] {
        let refused = granted(&[&own])
            .await
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        ensure!(
            refused.contains("does not log in to servers as its own ServiceAccount"),
            "{own}: {refused}"
        );
    }

    // No role is bound to the ServiceAccount for logins.
    let bound = bed
        .installation()
        .manifests()
        .iter()
        .filter(|manifest| manifest["subjects"].to_string().contains(login));
    ensure!(bound.count() == 0, "{login} has rights");
    // The requests are made as the operator.
    let plane = bed.plane();
    let token = bed.installation().token(plane).await?;
    bed.canary(&token);
    let kubeconfig = ControlPlane::token_kubeconfig(plane.url(), &plane.ca_pem(), &token);
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(kube::Client::try_from(config)?, install::NAMESPACE);
    let ask = async |name: &str| {
        accounts
            .create_token_request(name, &PostParams::default(), &TokenRequest::default())
            .await
    };
    for name in [own, "default"] {
        match ask(name).await {
            Err(kube::Error::Api(status)) if status.is_forbidden() => {}
            other => anyhow::bail!("{name}: {:?}", other.map(|_| "a token")),
        }
    }
    ask(login).await?;
    Ok(())
}
