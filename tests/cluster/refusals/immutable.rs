//! Immutable fields: they cannot be changed, removed, or set later.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::bed::{Bed, Space};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![side.shared(immutable_fields_cannot_be_set_changed_or_removed)]
}

/// Kind, base spec, field, its three values (null: the field is left out), path and message of the refusal.
type Case = (
    &'static str,
    Value,
    &'static str,
    [Value; 3],
    &'static str,
    &'static str,
);

fn vault() -> Value {
    json!({ "vault": { "address": "http://127.0.0.1:9", "auth": { "token": { "secretRef": { "name": "a", "key": "b" } } } } })
}

fn foulkon() -> Value {
    json!({ "foulkon": { "workerUrl": "http://127.0.0.1:9", "auth": { "basic": { "secretRef": { "name": "a" } } } } })
}

fn cases() -> Vec<Case> {
    let machine = || json!({ "grantTypes": ["client_credentials"] });
    let keys = || json!({ "generate": { "algorithm": "ES256" } });
    let staff = || json!({ "subjects": ["alice"] });
    let servers = || [Value::Null, json!({ "name": "one" }), json!({ "name": "two" })];
    let names = || [Value::Null, json!("one"), json!("two")];
    let objects = servers;
    vec![
        (
            "OAuth2Client",
            machine(),
            "/serverRef",
            servers(),
            "spec.serverRef",
            "serverRef is immutable: create a new OAuth2Client for the other server, and set deletionPolicy: Orphan on this one if its client should stay",
        ),
        (
            "OAuth2Client",
            machine(),
            "/clientId",
            names(),
            "spec.clientId",
            "clientId is immutable: create a new OAuth2Client with the other id, and set deletionPolicy: Orphan on this one if its client should stay",
        ),
        (
            "OAuth2Client",
            machine(),
            "/vault",
            objects(),
            "spec.vault",
            "vault.name is immutable: create a new OAuth2Client with the other name",
        ),
        (
            "OidcProvider",
            json!({ "issuer": "https://id.example.com" }),
            "/serverRef",
            servers(),
            "spec.serverRef",
            "serverRef is immutable: create a new OidcProvider for the other server",
        ),
        (
            "OidcProvider",
            json!({ "issuer": "https://id.example.com" }),
            "/vault",
            objects(),
            "spec.vault",
            "vault.name is immutable: create a new OidcProvider with the other name",
        ),
        (
            "Assignment",
            staff(),
            "/serverRef",
            servers(),
            "spec.serverRef",
            "serverRef is immutable: create a new Assignment for the other server",
        ),
        (
            "Assignment",
            staff(),
            "/vault",
            objects(),
            "spec.vault",
            "vault.name is immutable: create a new Assignment with the other name",
        ),
        (
            "Scope",
            json!({ "description": "a" }),
            "/serverRef",
            servers(),
            "spec.serverRef",
            "serverRef is immutable: create a new Scope for the other server",
        ),
        (
            "Scope",
            json!({ "description": "a" }),
            "/name",
            names(),
            "spec.name",
            "name is immutable: create a new Scope with the other name",
        ),
        (
            "JsonWebKeySet",
            keys(),
            "/serverRef",
            servers(),
            "spec.serverRef",
            "serverRef is immutable: create a new JsonWebKeySet for the other server",
        ),
        (
            "JsonWebKeySet",
            keys(),
            "/setName",
            names(),
            "spec.setName",
            "setName is immutable: create a new JsonWebKeySet with the other name",
        ),
        (
            "AuthorizationServer",
            vault(),
            "/vault/namespace",
            names(),
            "spec.vault.namespace",
            "vault.namespace is immutable: create another AuthorizationServer for the other namespace",
        ),
        (
            "AuthorizationServer",
            foulkon(),
            "/foulkon/pathPrefix",
            [Value::Null, json!("/one/"), json!("/two/")],
            "spec.foulkon.pathPrefix",
            "foulkon.pathPrefix is immutable: create another AuthorizationServer for the other prefix",
        ),
    ]
}

/// Kind, spec, field, and its default for a namespace and a name.
type Default = (&'static str, Value, &'static str, fn(&str, &str) -> Value);

fn defaults() -> Vec<Default> {
    let server: fn(&str, &str) -> Value = |_, _| json!({ "name": "default" });
    let object: fn(&str, &str) -> Value = |namespace, name| json!({ "name": format!("{namespace}.{name}") });
    let bases = [
        (
            "OAuth2Client",
            json!({ "grantTypes": ["client_credentials"] }),
            "/vault",
            object,
        ),
        (
            "OidcProvider",
            json!({ "issuer": "https://id.example.com" }),
            "/vault",
            object,
        ),
        ("Assignment", json!({ "subjects": ["alice"] }), "/vault", object),
    ];
    let each = |(kind, base, field, of): Default| [(kind, base.clone(), "/serverRef", server), (kind, base, field, of)];
    let mut all: Vec<Default> = bases.into_iter().flat_map(each).collect();
    all.push(("Scope", json!({ "description": "a" }), "/serverRef", server));
    all.push((
        "JsonWebKeySet",
        json!({ "generate": { "algorithm": "ES256" } }),
        "/serverRef",
        server,
    ));
    all
}

async fn immutable_fields_cannot_be_set_changed_or_removed(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let mut made = Vec::new();
    for (number, (kind, base, field, values, path, message)) in cases().into_iter().enumerate() {
        let all = objects(&space, kind);
        let specs = values.map(|value| with(&base, field, value));
        for (from, before) in specs.iter().enumerate() {
            let name = format!("{}-{number}-{from}", space.name());
            apply(&all, kind, &name, before).await?.map_err(anyhow::Error::msg)?;
            for (to, after) in specs.iter().enumerate() {
                let answer = apply(&all, kind, &name, after).await?;
                if from == to {
                    answer.map_err(anyhow::Error::msg)?;
                    continue;
                }
                let said = answer
                    .err()
                    .with_context(|| format!("{kind} {field}: {before} became {after}"))?;
                ensure!(
                    said.contains(&format!("{path}: Invalid value")) && said.contains(message),
                    "{kind} {field}, {before} to {after}: {said}"
                );
            }
            made.push((all.clone(), name));
        }
    }
    // A default may be written out, and left out again.
    for (number, (kind, base, field, written)) in defaults().into_iter().enumerate() {
        let all = objects(&space, kind);
        let name = format!("{}-default-{number}", space.name());
        let written = with(&base, field, written(space.name(), &name));
        for spec in [&base, &written, &base] {
            let applied = apply(&all, kind, &name, spec).await?;
            applied
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("{kind} {field}"))?;
        }
        made.push((all, name));
        let other = format!("{}-other-{number}", space.name());
        let all = objects(&space, kind);
        apply(&all, kind, &other, &written).await?.map_err(anyhow::Error::msg)?;
        if field != "/serverRef" {
            ensure!(
                apply(&all, kind, &other, &base).await?.is_err(),
                "{kind} {field} was removed"
            );
        }
        made.push((all, other));
    }
    // The member that is set selects the API of a server.
    let servers = objects(&space, "AuthorizationServer");
    let name = format!("{}-api", space.name());
    let hydra = json!({ "hydra": { "adminUrl": "http://127.0.0.1:9" } });
    apply(&servers, "AuthorizationServer", &name, &hydra)
        .await?
        .map_err(anyhow::Error::msg)?;
    made.push((servers.clone(), name.clone()));
    for other in [vault(), foulkon()] {
        let said = apply(&servers, "AuthorizationServer", &name, &other)
            .await?
            .err()
            .context("the API of the server was changed")?;
        let message = "hydra, vault and foulkon: the API of a server is immutable; create another AuthorizationServer";
        ensure!(said.contains(message), "{said}");
    }
    for (all, name) in made {
        all.delete(&name, &DeleteParams::default()).await?;
    }
    Ok(())
}

fn objects(space: &Space<'_>, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("oidc-operator.dev", "v1alpha1", kind));
    match kind {
        "AuthorizationServer" => Api::all_with(space.bed().client(), &resource),
        _ => Api::namespaced_with(space.bed().client(), space.name(), &resource),
    }
}

fn with(base: &Value, field: &str, value: Value) -> Value {
    let mut spec = base.clone();
    let (parent, name) = field.rsplit_once('/').unwrap_or_default();
    if let Some(members) = spec
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .filter(|_| !value.is_null())
    {
        members.insert(name.to_owned(), value);
    }
    spec
}

/// Applies an object. The inner error is the refusal of the Kubernetes API.
async fn apply(all: &Api<DynamicObject>, kind: &str, name: &str, spec: &Value) -> Result<Result<(), String>> {
    let object = json!({
        "apiVersion": "oidc-operator.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    let parameters = PatchParams::apply("a-user").force();
    match all.patch(name, &parameters, &Patch::Apply(&object)).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) if status.is_invalid() => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}
