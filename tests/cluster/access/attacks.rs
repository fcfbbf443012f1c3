//! Attempts of a tenant to get around the access rules: to send the server to other hosts, to plant trusted keys, to
//! cause load; and a mistake of an admin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use oidc_operator::admin::hydra::trust::NewTrustedIssuer;
use oidc_operator::api::json_web_key_set::KeyAlgorithm;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client, ROTATE_AT_ANNOTATION};
use oidc_operator::controller::engine::lifecycle::is_held;
use oidc_operator::key_material;
use serde_json::{Value, json};
use testbed::wait;
use tokio::net::TcpListener;

use super::limits::{on, only};
use crate::bed::{
    Bed, LIMIT, Options, Server, ServerOptions, Space, conditions, everything, ledger_of, settled, uid_of,
};
use crate::conditions::Tone::Reconciling;
use crate::conditions::{client_ready, client_says};
use crate::key_sets::import::import;
use crate::key_sets::login::rotate_now;
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_tenant_cannot_send_the_server_to_unlisted_hosts),
        side.shared(a_key_set_named_after_a_trusted_issuer_never_becomes_trusted),
        side.shared(a_rotation_period_below_the_minimum_makes_no_request),
        side.shared(an_annotation_edited_in_a_loop_makes_no_request),
        side.alone(Options::default(), an_invalid_stored_selector_selects_no_namespace),
    ]
}

/// An AuthorizationServer for one test, with a long resync interval. Its rule allows everything; `rule` adds members.
async fn server_with(bed: &Bed, rule: Value) -> Result<Arc<Server>> {
    let mut access = everything(&[]);
    for (name, value) in rule.as_object().into_iter().flatten() {
        access[0][name] = value.clone();
    }
    let options = ServerOptions {
        resync_interval: "1h".to_owned(),
        spec: json!({ "access": access }),
        ..ServerOptions::default()
    };
    bed.own_server(options).await
}

/// Writes after `mark`, as method and path.
fn written(server: &Server, mark: u64) -> Vec<String> {
    let all = server.about_clients(mark);
    let changes = all.iter().filter(|exchange| exchange.head.method != "GET");
    changes
        .map(|exchange| format!("{} {}", exchange.head.method, exchange.head.path()))
        .collect()
}

/// A listener that accepts connections and never answers.
struct Tarpit {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Tarpit {
    async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                held.push(connection);
            }
        });
        Ok(Tarpit {
            port,
            connections,
            task,
        })
    }
}

impl Drop for Tarpit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn a_tenant_cannot_send_the_server_to_unlisted_hosts(bed: &Bed) -> Result<()> {
    let tarpit = Tarpit::open().await?;
    let server = server_with(
        bed,
        json!({ "clients": { "uriHosts": ["*.example.com", "127.0.0.1"] } }),
    )
    .await?;
    let (evil, good) = (bed.space().await?, bed.space().await?);
    let mark = server.admin.journal().mark();
    let uri = format!("https://127.0.0.1:{}/x", tarpit.port);
    let cases = [
        ("sectorIdentifierUri", json!(uri)),
        ("jwksUri", json!(uri)),
        ("requestUris", json!([uri])),
        ("backchannelLogoutUri", json!(uri)),
    ];
    for (field, value) in cases {
        let name = field.to_lowercase();
        let spec = json!({ "redirectUris": ["https://app.example.com/cb"], field: value });
        evil.apply_client(&name, &on(&server, spec)).await?;
        let message = format!(
            "AuthorizationServer `{}`: access[0].clients.serverUriHosts does not allow `{uri}` in {field} (nothing is allowed); change it or ask the server's admin.",
            server.name
        );
        let refused = client_says(&evil, &name, Reconciling, "NotAllowed", &message).await?;
        ensure!(!is_held(&refused), "it has a finalizer and could not be deleted");
    }
    let victim = json!({ "redirectUris": ["https://app.example.com/cb"] });
    good.apply_client("app", &on(&server, victim)).await?;
    client_ready(&good, "app").await?;
    ensure!(written(&server, mark).len() == 1, "{:?}", written(&server, mark));
    let connections = tarpit.connections.load(Ordering::Relaxed);
    ensure!(
        connections == 0,
        "the server connected to the tarpit {connections} times"
    );

    // The rule is what prevented it: with a rule that names host and port, Hydra connects as soon as it gets the URI.
    let host = format!("127.0.0.1:{}", tarpit.port);
    bed.change_server(&server.name, json!({ "access": everything(&[&host]) }))
        .await?;
    wait::until("the server to connect to the tarpit", LIMIT, async || {
        Ok((tarpit.connections.load(Ordering::Relaxed) > 0).then_some(()))
    })
    .await?;
    Ok(())
}

async fn a_key_set_named_after_a_trusted_issuer_never_becomes_trusted(bed: &Bed) -> Result<()> {
    let server = server_with(bed, json!({ "objectNames": "Prefixed" })).await?;
    let (space, admin) = (bed.space().await?, bed.admin().await?);
    let issuer = format!("issuer-of-{}", space.name());
    let key = |kid: &str| key_material::generate(KeyAlgorithm::ES256, kid).map_err(anyhow::Error::msg);
    let mark = server.admin.journal().mark();

    // The tenant comes first, with the name of the issuer that the admin is going to trust.
    let spec = |name: &str| {
        let import = json!({ "secretRef": { "name": "mine", "key": "key" } });
        json!({ "serverRef": { "name": server.name }, "setName": name, "import": import }).to_string()
    };
    let message = |name: &str| {
        format!(
            "AuthorizationServer `{}`: access[0].objectNames does not allow `{name}` in setName; change it or ask the server's admin.",
            server.name
        )
    };
    for _ in 0..2 {
        let own = key("k")?;
        import(&space, "mine", &String::from_utf8(own.body())?).await?;
        space.make::<JsonWebKeySet>("keys", &spec(&issuer)).await?;
        let set: JsonWebKeySet = space.says("keys", Reconciling, "NotAllowed", &message(&issuer)).await?;
        ensure!(!is_held(&set), "it has a finalizer that the tenant could remove");
    }
    let set = space.remove::<JsonWebKeySet>("keys").await?;
    space.until_gone(&set).await?;
    ensure!(written(&server, mark).is_empty(), "{:?}", written(&server, mark));

    let trusted = key("k")?;
    let new = NewTrustedIssuer {
        issuer: issuer.clone(),
        subject: "alice".to_owned(),
        allow_any_subject: false,
        scope: vec!["openid".to_owned()],
        jwk: trusted.public.clone(),
        expires_at: "2040-01-01T00:00:00Z".parse()?,
    };
    settled("a POST", async || admin.create_trusted_issuer(&new).await)
        .await?
        .context("trusted already")?;
    // The tenant tries again when the issuer is trusted.
    space.make::<JsonWebKeySet>("keys", &spec(&issuer)).await?;
    space
        .says::<JsonWebKeySet>("keys", Reconciling, "NotAllowed", &message(&issuer))
        .await?;
    let found = settled("a GET", async || admin.get_key_set(&issuer).await).await?;
    let found = found.context("the issuer has no keys")?.keys;
    ensure!(found.len() == 1, "{} keys are trusted", found.len());
    ensure!(found[0].public == trusted.public, "the trusted key is not the admin's");
    ensure!(written(&server, mark).is_empty(), "{:?}", written(&server, mark));

    // A name with the tenant's own prefix is allowed.
    let own = format!("{}.keys", space.name());
    space.ready::<JsonWebKeySet>("own", &spec(&own)).await?;
    Ok(())
}

async fn a_rotation_period_below_the_minimum_makes_no_request(bed: &Bed) -> Result<()> {
    // The default is one hour.
    let server = server_with(bed, json!({ "minRotationPeriod": null })).await?;
    let space = bed.space().await?;
    let machine = json!({ "grantTypes": ["client_credentials"] });
    space.apply_client("app", &on(&server, machine)).await?;
    let client = client_ready(&space, "app").await?;
    let keys = json!({ "serverRef": { "name": server.name }, "generate": { "algorithm": "RS256" }, "privateKey": {} });
    space.ready::<JsonWebKeySet>("keys", &keys.to_string()).await?;
    let before = (space.credentials("app").await?, space.secret_data("keys").await?);
    let mark = server.admin.journal().mark();

    let message = format!(
        "AuthorizationServer `{}`: access[0].minRotationPeriod does not allow rotation.period `1s`, which is shorter than 1h; lengthen it or ask the server's admin.",
        server.name
    );
    let rotation = json!({ "period": "1s", "withoutOverlap": "Allow" });
    space.change("app", json!({ "spec": { "rotation": rotation } })).await?;
    client_says(&space, "app", Reconciling, "NotAllowed", &message).await?;
    let rotation = json!({ "period": "1s", "prePublish": "0s", "overlap": "0s" });
    space
        .respecify::<JsonWebKeySet>("keys", json!({ "rotation": rotation }))
        .await?;
    space
        .says::<JsonWebKeySet>("keys", Reconciling, "NotAllowed", &message)
        .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(written(&server, mark).is_empty(), "{:?}", written(&server, mark));
    let after = (space.credentials("app").await?, space.secret_data("keys").await?);
    ensure!(after == before, "something was replaced");
    bed.token(&before.0.0, &before.0.1, "").await?;

    // With a period that the rule allows, both become ready again.
    let period = json!({ "rotation": { "period": "1h" } });
    space.change("app", json!({ "spec": period })).await?;
    space.respecify::<JsonWebKeySet>("keys", period).await?;
    client_ready(&space, "app").await?;
    space.until_ready::<JsonWebKeySet>("keys").await?;
    ensure!(uid_of(&client) == before.0.0, "the client id has changed");
    Ok(())
}

async fn an_annotation_edited_in_a_loop_makes_no_request(bed: &Bed) -> Result<()> {
    let server = server_with(bed, json!({ "minRotationPeriod": "1h" })).await?;
    let space = bed.space().await?;
    let machine = json!({ "grantTypes": ["client_credentials"], "rotation": { "withoutOverlap": "Allow" } });
    space.apply_client("app", &on(&server, machine)).await?;
    let client = client_ready(&space, "app").await?;
    let keys = json!({
        "serverRef": { "name": server.name }, "generate": { "algorithm": "ES256" }, "privateKey": {},
        "rotation": { "period": "1000h", "prePublish": "0s" },
    });
    space.ready::<JsonWebKeySet>("keys", &keys.to_string()).await?;
    let before = (space.credentials("app").await?, space.secret_data("keys").await?);
    tokio::time::sleep(Duration::from_secs(1)).await; // so that rotate-at is later than the last rotation
    let mark = server.admin.journal().mark();
    for _ in 0..10 {
        let now = Timestamp::now().to_string();
        space.annotate("app", ROTATE_AT_ANNOTATION, &now).await?;
        rotate_now(&space, "keys").await?;
        // A ledger that was edited to look old does not help either.
        space
            .edit_secret(&ledger_of(&client), json!({ "since": "2020-01-01T00:00:00Z" }))
            .await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let waits = "the rotation that rotate-at requests waits until minRotationPeriod of the access rule has passed";
    let message = format!("The client is registered and its credentials are in Secret `app`; {waits}.");
    has_message(
        &space,
        &message,
        &format!("The keys on the server are up to date; {waits}."),
    )
    .await?;
    ensure!(written(&server, mark).is_empty(), "{:?}", written(&server, mark));
    let after = (space.credentials("app").await?, space.secret_data("keys").await?);
    ensure!(after == before, "something was replaced");

    // The requested rotation happens as soon as the rule allows it, and only once.
    bed.change_server(&server.name, json!({ "access": everything(&[]) }))
        .await?;
    wait::until("another secret and another key", LIMIT, async || {
        let now = (space.credentials("app").await?, space.secret_data("keys").await?);
        Ok((now.0 != before.0 && now.1["kid"] != before.1["kid"]).then_some(()))
    })
    .await
}

/// Waits until client and key set are ready with these messages.
async fn has_message(space: &Space<'_>, client: &str, keys: &str) -> Result<()> {
    let says = |conditions: Vec<Condition>, message: &str| {
        let mut ready = conditions.iter().filter(|found| found.type_ == "Ready");
        ready.any(|found| found.status == "True" && found.message == message)
    };
    let app = |found: &OAuth2Client| says(conditions(found), client);
    space.until("its message", "app", app).await?;
    let set = |found: &JsonWebKeySet| says(conditions(found), keys);
    space.until("its message", "keys", set).await?;
    Ok(())
}

/// The object was stored before the validation existed, or bypassed it.
async fn an_invalid_stored_selector_selects_no_namespace(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let crds: Api<CustomResourceDefinition> = Api::all(bed.client());
    let name = "authorizationservers.oidc-operator.dev";
    let strict = crds.get(name).await?;
    let mut lax = serde_json::to_value(&strict)?;
    unchecked(
        &mut lax["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["access"],
    );
    crds.replace(name, &PostParams::default(), &serde_json::from_value(lax)?)
        .await?;

    let selectors = [
        json!([{ "key": "stage", "operator": "NotIn" }]),
        json!([{ "key": "stage", "operator": "NotIn", "values": [] }]),
        json!([{ "key": "stage", "operator": "DoesNotExist", "values": ["prod"] }]),
        json!([{ "key": "stage", "operator": "Equals" }]),
        json!([{ "key": "not a label", "operator": "DoesNotExist" }]),
    ];
    let only_one = |selector: &Value| {
        let namespaces = json!({ "from": "Selector", "selector": { "matchExpressions": selector } });
        json!({ "access": [only(namespaces)] })
    };
    let server = server_with(bed, json!({})).await?;
    space
        .apply_client("first", &on(&server, json!({ "grantTypes": ["client_credentials"] })))
        .await?;
    client_ready(&space, "first").await?;
    for (nth, selector) in selectors.iter().enumerate() {
        // The kube-apiserver takes a moment to drop the validation.
        wait::until("the selector to be accepted", LIMIT, async || {
            Ok(bed.change_server(&server.name, only_one(selector)).await.ok().map(drop))
        })
        .await?;
        let app = format!("app-{nth}");
        space
            .apply_client(&app, &on(&server, json!({ "grantTypes": ["client_credentials"] })))
            .await?;
        client_says(
            &space,
            &app,
            Reconciling,
            "NotAllowed",
            &super::limits::nobody(&server, &space),
        )
        .await?;
    }

    // With the validation restored, the stored object can be read, changed and reported on, but not created again.
    let live = crds.get(name).await?;
    let strict = CustomResourceDefinition {
        metadata: live.metadata,
        ..strict
    };
    crds.replace(name, &PostParams::default(), &strict).await?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let servers = bed.servers_api();
    wait::until("the validation to be restored", LIMIT, async || {
        let again = Patch::Merge(json!({ "spec": only_one(&selectors[0]) }));
        Ok(servers.patch(&server.name, &dry, &again).await.is_err().then_some(()))
    })
    .await?;
    bed.change_server(&server.name, json!({ "resyncInterval": "2h" }))
        .await?;
    bed.server_ready(&server.name).await?;
    client_says(
        &space,
        "app-0",
        Reconciling,
        "NotAllowed",
        &super::limits::nobody(&server, &space),
    )
    .await?;
    Ok(())
}

/// Removes all validation from a part of a schema.
fn unchecked(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("x-kubernetes-validations");
            members.remove("enum");
            members.remove("pattern");
            members.values_mut().for_each(unchecked);
        }
        Value::Array(items) => items.iter_mut().for_each(unchecked),
        _ => {}
    }
}
