//! Scopes and Assignments on Hydra: the clients that refer to them carry them, follow their changes and block their
//! deletion.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, OAuth2Client, OidcProvider, Scope};
use oidc_operator::controller::engine::lifecycle::is_held;
use oidc_operator::error::Error;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault};
use testbed::{install, process, wait};

use crate::bed::{Bed, LIMIT, Namespaced, OperatorOptions, ServerOptions, Space, uid_of};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::conditions::{client_ready, client_says};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_client_waits_for_its_references),
        side.shared(a_change_reaches_exactly_the_clients_that_refer_to_it),
        side.shared(the_assignments_of_a_client_are_merged),
        side.shared(referenced_scopes_and_assignments_are_not_deleted),
        side.shared(a_reference_to_another_server_is_reported),
        side.shared(an_invalid_scope_changes_no_client),
        side.shared(each_kind_needs_its_own_access_rule),
        side.shared(invalid_scopes_and_assignments_are_rejected),
        side.shared(a_status_conflict_is_resolved),
        side.shared(an_orphan_keeps_its_scopes_and_assignments),
        side.shared(fields_of_a_vault_are_rejected),
        side.shared(messages_link_to_the_published_documentation),
    ]
}

const ORDERS: &str =
    "{ name: 'orders:read', description: See your orders, template: '{\"tier\": {{identity.entity.name}}}' }";
const STAFF: &str = "{ subjects: [alice], groups: [{ name: ops }] }";
const APP: &str =
    "{ redirectUris: [https://app.example.com/cb], scopeRefs: [{ name: orders }], assignmentRefs: [{ name: staff }] }";

/// What the command of the documentation that lists everything that is not ready prints for clients.
async fn not_ready(bed: &Bed) -> Result<String> {
    let page = std::fs::read_to_string(install::repository().join("docs/concepts/status.md"))?;
    let (_, template) = page.split_once("--output go-template='").context("no command")?;
    let (template, _) = template.split_once('\'').context("the template does not end")?;
    let mut kubectl = bed.plane().kubectl();
    // Not the category `oidc`: kubectl may have stored the list of categories before our kinds were installed.
    kubectl.args(["get", "oauth2clients.oidc-operator.dev", "--all-namespaces", "--output"]);
    kubectl.arg(format!("go-template={template}"));
    process::output("kubectl", kubectl).await
}

async fn messages_link_to_the_published_documentation(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let flags = [
        ("server-class", "linked"),
        ("docs-url", "https://docs.example.com/oidc/"),
    ];
    let operator = bed
        .start_operator(OperatorOptions {
            flags: flags.map(|(flag, value)| (flag.to_owned(), value.to_owned())).into(),
            ..OperatorOptions::default()
        })
        .await?;
    let options = ServerOptions {
        spec: json!({ "serverClass": "linked" }),
        ..ServerOptions::default()
    };
    let server = bed.own_server(options).await?;
    let on = json!({ "name": server.name });
    let client = json!({
        "serverRef": on, "redirectUris": ["https://app.example.com/cb"], "scopeRefs": [{ "name": "orders" }],
    });
    space.apply_client("app", &client.to_string()).await?;
    let plain = Error::ReferenceNotFound {
        kind: "Scope",
        name: "orders".to_owned(),
    };
    let linked = format!("{plain} See https://docs.example.com/oidc/reasons/ReferenceNotFound.html.");
    client_says(&space, "app", Reconciling, "ReferenceNotFound", &linked).await?;
    let is_linked = |event: &Event| event.note.as_deref() == Some(&linked);
    space.wait_event("app", "ReferenceNotFound", is_linked).await?;

    let listed = not_ready(bed).await?;
    let line = format!("OAuth2Client {}/app: ReferenceNotFound: {linked}", space.name());
    ensure!(listed.lines().any(|listed| listed == line), "{listed}");

    // Where nothing is to be done, there is nothing to read.
    space
        .make::<Scope>("orders", &json!({ "serverRef": on }).to_string())
        .await?;
    let client = client_ready(&space, "app").await?;
    let status = client.status.context("a status")?;
    let says = status.conditions.iter().map(|condition| condition.message.as_str());
    let says: Vec<&str> = says.filter(|message| message.contains("docs.example.com")).collect();
    ensure!(says.is_empty(), "{says:?}");
    operator.terminate().await.map(drop)
}

async fn fields_of_a_vault_are_rejected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let server = bed.server_ready("default").await?;
    let version = server.status.and_then(|status| status.version).unwrap_or_default();
    let message = |fields: &str| {
        format!(
            "AuthorizationServer `default` (version `{version}`) does not support what this resource sets in {fields}; nothing was changed. Remove it, or use a server or version that supports it."
        )
    };
    let reason = "UnsupportedByServer";
    let client = "{ redirectUris: [https://a.example.com/], providerRefs: [{ name: main }], vault: {} }";
    space.apply_client("app", client).await?;
    client_says(&space, "app", Stalled, reason, &message("providerRefs, vault")).await?;
    let provider = "{ allowedClients: [{ name: app }], allowedNamespaces: { from: All }, scopeRefs: [{ name: a }], scopes: [b], vault: {} }";
    space.make::<OidcProvider>("main", provider).await?;
    let fields = "allowedClients, allowedNamespaces, scopeRefs, scopes, vault";
    space
        .says::<OidcProvider>("main", Stalled, reason, &message(fields))
        .await?;
    space
        .make::<Assignment>("staff", "{ subjects: [alice], vault: { groups: [{ name: ops }] } }")
        .await?;
    space
        .says::<Assignment>("staff", Stalled, reason, &message("vault"))
        .await?;
    Ok(())
}

/// The value of the operator's key in a client's metadata.
fn ours(client: &Value) -> &Value {
    &client["metadata"]["oidc-operator.dev"]
}

async fn a_client_waits_for_its_references(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.apply_client("app", APP).await?;
    let message = "Scope `orders` does not exist. Create it.";
    let waits = client_says(&space, "app", Reconciling, "ReferenceNotFound", message).await?;
    ensure!(!is_held(&waits), "it has a finalizer");
    space.ready::<Scope>("orders", ORDERS).await?;
    let message = "Assignment `staff` does not exist. Create it.";
    let waits = client_says(&space, "app", Reconciling, "ReferenceNotFound", message).await?;
    ensure!(
        bed.hydra_client(&uid_of(&waits)).await?.is_none(),
        "an incomplete client was registered"
    );
    space.make::<Assignment>("staff", STAFF).await?;
    let client = client_ready(&space, "app").await?;
    let found = bed.registered(&uid_of(&client)).await?;
    ensure!(
        found["scope"] == "openid offline_access orders:read",
        "{}",
        found["scope"]
    );
    let scopes = json!({ "orders:read": {
        "description": "See your orders", "template": "{\"tier\": {{identity.entity.name}}}",
    } });
    ensure!(ours(&found)["scopes"] == scopes, "{found}");
    let assigned = json!({ "subjects": ["alice"], "groups": ["ops"] });
    ensure!(ours(&found)["assignments"] == assigned, "{found}");
    ensure!(ours(&found)["uid"] == uid_of(&client), "{found}");
    let effective = client
        .status
        .and_then(|status| status.effective)
        .context("no effective")?;
    ensure!(
        effective.scopes == ["openid", "offline_access", "orders:read"],
        "{effective:?}"
    );
    Ok(())
}

async fn a_change_reaches_exactly_the_clients_that_refer_to_it(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let on = json!({ "name": server.name });
    let scope = |description: &str| json!({ "serverRef": on, "description": description }).to_string();
    space.ready::<Scope>("orders", &scope("See")).await?;
    space.ready::<Scope>("other", &scope("Other")).await?;
    let machine = |scopes: &[&str]| {
        let references: Vec<Value> = scopes.iter().map(|name| json!({ "name": name })).collect();
        json!({ "serverRef": on, "grantTypes": ["client_credentials"], "scopeRefs": references }).to_string()
    };
    let mut ids = Vec::new();
    for (name, scopes) in [
        ("one", &["orders"][..]),
        ("two", &["orders", "other"]),
        ("none", &[]),
        ("else", &["other"]),
    ] {
        ids.push(uid_of(&space.ready_client(name, &machine(scopes)).await?));
    }
    let mark = server.admin.journal().mark();
    space.make::<Scope>("orders", &scope("See and print")).await?;
    for id in &ids[..2] {
        bed.until_registered("the new description", id, |found| {
            ours(found)["scopes"]["orders"]["description"] == "See and print"
        })
        .await?;
    }
    let scopes = ours(&bed.registered(&ids[1]).await?)["scopes"].clone();
    ensure!(scopes["other"]["description"] == "Other", "{scopes}");
    for name in ["one", "two", "none", "else"] {
        space.wait_ready(name).await?;
    }
    let asked = server.about_clients(mark);
    let about_others = asked
        .iter()
        .filter(|exchange| ids[2..].iter().any(|id| exchange.head.path().ends_with(id.as_str())));
    ensure!(about_others.count() == 0, "{asked:#?}");
    let (id, secret) = space.credentials("two").await?;
    bed.token(&id, &secret, "orders other").await?;
    Ok(())
}

async fn the_assignments_of_a_client_are_merged(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready::<Assignment>("staff", STAFF).await?;
    let more = "{ subjects: [bob, alice], groups: [{ name: dev }] }";
    space.ready::<Assignment>("guests", more).await?;
    let both = json!({
        "redirectUris": ["https://app.example.com/cb"], "assignmentRefs": [{ "name": "staff" }, { "name": "guests" }],
    });
    let id = uid_of(&space.ready_client("app", &both.to_string()).await?);
    let expected = json!({ "subjects": ["alice", "bob"], "groups": ["dev", "ops"] });
    let found = bed.registered(&id).await?;
    ensure!(ours(&found)["assignments"] == expected, "{found}");
    space
        .respecify::<Assignment>("guests", json!({ "subjects": ["carol"] }))
        .await?;
    let expected = json!({ "subjects": ["alice", "carol"], "groups": ["dev", "ops"] });
    bed.until_registered("the changed assignment", &id, |found| {
        ours(found)["assignments"] == expected
    })
    .await?;
    space
        .change("app", json!({ "spec": { "assignmentRefs": null } }))
        .await?;
    bed.until_registered("no assignment", &id, |found| ours(found)["assignments"].is_null())
        .await?;
    Ok(())
}

async fn referenced_scopes_and_assignments_are_not_deleted(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready::<Scope>("orders", ORDERS).await?;
    space.ready::<Assignment>("staff", STAFF).await?;
    let client = space.ready_client("app", APP).await?;
    let scope = space.remove::<Scope>("orders").await?;
    let assignment = space.remove::<Assignment>("staff").await?;
    let message = "OAuth2Client `app` still refers to this Scope. Remove it from scopeRefs of the OAuth2Client, or delete the OAuth2Client first.";
    space.says::<Scope>("orders", Reconciling, "InUse", message).await?;
    let message = "OAuth2Client `app` still refers to this Assignment. Remove it from assignmentRefs of the OAuth2Client, or delete the OAuth2Client first.";
    space.says::<Assignment>("staff", Reconciling, "InUse", message).await?;
    let found = bed.registered(&uid_of(&client)).await?;
    ensure!(!ours(&found)["scopes"]["orders:read"].is_null(), "{found}");
    // The deletion continues when the client drops the reference or is deleted.
    space.change("app", json!({ "spec": { "scopeRefs": null } })).await?;
    space.until_gone(&scope).await?;
    space.delete_and_wait("app").await?;
    space.until_gone(&assignment).await?;

    // An unused Scope is deleted at once, and a namespace with everything in it.
    space.ready::<Scope>("orders", ORDERS).await?;
    let scope = space.remove::<Scope>("orders").await?;
    space.until_gone(&scope).await?;
    space.ready::<Scope>("orders", ORDERS).await?;
    space.ready::<Assignment>("staff", STAFF).await?;
    space.ready_client("app", APP).await?;
    space.delete_namespace_and_wait().await
}

async fn a_reference_to_another_server_is_reported(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    space
        .ready::<Scope>("orders", &format!("{{ serverRef: {{ name: {} }} }}", server.name))
        .await?;
    space
        .apply_client(
            "app",
            "{ redirectUris: [https://app.example.com/cb], scopeRefs: [{ name: orders }] }",
        )
        .await?;
    let message = format!(
        "scopeRefs: Scope `orders` is on AuthorizationServer `{}`, but this resource is on `default`. Refer to a resource on the same server.",
        server.name
    );
    client_says(&space, "app", Reconciling, "InvalidSpec", &message).await?;
    Ok(())
}

async fn an_invalid_scope_changes_no_client(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready::<Scope>("orders", ORDERS).await?;
    space.ready::<Assignment>("staff", STAFF).await?;
    let id = uid_of(&space.ready_client("app", APP).await?);
    let before = bed.registered(&id).await?;
    for (template, problem) in [
        ("not JSON", "it is not a JSON object"),
        ("[1]", "it is not a JSON object"),
        ("{\"a\": {{b}", "a `{{` is not closed by `}}`"),
        (
            "{\"a\": \"{{b}}\"}",
            "a `{{…}}` must not be in quotation marks, because the inserted value has its own",
        ),
    ] {
        space
            .respecify::<Scope>("orders", json!({ "template": template, "description": template }))
            .await?;
        let message = format!("template: {problem}.");
        space.says::<Scope>("orders", Stalled, "InvalidSpec", &message).await?;
        let message = format!(
            "Scope `orders` is not ready. Run `kubectl describe scope orders -n {}` to see why.",
            space.name()
        );
        client_says(&space, "app", Reconciling, "ReferenceNotReady", &message).await?;
        ensure!(bed.registered(&id).await? == before, "it was changed");
    }
    let good: Value = serde_saphyr::from_str(ORDERS)?;
    space.respecify::<Scope>("orders", good).await?;
    client_ready(&space, "app").await?;
    ensure!(bed.registered(&id).await? == before, "it was changed");
    Ok(())
}

async fn each_kind_needs_its_own_access_rule(bed: &Bed) -> Result<()> {
    let rules = json!({ "access": [{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"] }] });
    let server = bed
        .own_server(ServerOptions {
            spec: rules,
            ..ServerOptions::default()
        })
        .await?;
    let space = bed.space().await?;
    let on = format!("serverRef: {{ name: {} }}", server.name);
    space.make::<Scope>("orders", &format!("{{ {on} }}")).await?;
    space
        .make::<Assignment>("staff", &format!("{{ {on}, subjects: [a] }}"))
        .await?;
    let refused = |kind: &str| {
        format!(
            "AuthorizationServer `{}`: no access rule lets namespace `{}` have {kind}; ask the server's admin for one.",
            server.name,
            space.name()
        )
    };
    let scope = space
        .says::<Scope>("orders", Reconciling, "NotAllowed", &refused("a Scope"))
        .await?;
    ensure!(!is_held(&scope), "it has a finalizer");
    space
        .says::<Assignment>("staff", Reconciling, "NotAllowed", &refused("an Assignment"))
        .await?;
    let rules = json!([{ "namespaces": { "from": "All" }, "kinds": ["OAuth2Client", "Scope", "Assignment"] }]);
    bed.change_server(&server.name, json!({ "access": rules })).await?;
    space.until_ready::<Scope>("orders").await?;
    space.until_ready::<Assignment>("staff").await?;
    Ok(())
}

async fn invalid_scopes_and_assignments_are_rejected(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    let invalid = "name: must consist of visible ASCII characters other than quotation mark and backslash (RFC 6749, section 3.3)";
    for name in ["a b", "a\"b", "a\\b", "é", "a\tb"] {
        let refusal = space
            .refused::<Scope>("refused", &json!({ "name": name }).to_string())
            .await?;
        ensure!(
            refusal.contains("spec.name: Invalid value: ") && refusal.contains(invalid),
            "{name}: {refusal}"
        );
    }
    let nobody = "an Assignment must name at least one subject or group; to let nobody log in, delete the client";
    for spec in ["{}", "{ subjects: [] }", "{ subjects: [], groups: [] }"] {
        let refusal = space.refused::<Assignment>("refused", spec).await?;
        ensure!(refusal.contains(nobody), "{spec}: {refusal}");
    }
    for spec in [
        "{ subjects: [a, a] }",
        "{ groups: [{ name: a }, { name: a }] }",
        "{ subjects: [''] }",
    ] {
        space.refused::<Assignment>("refused", spec).await?;
    }
    space.make::<Scope>("orders", "{ name: 'a:b' }").await?;
    for (spec, field, thing) in [
        (
            "{ name: 'b' }",
            "name",
            "name is immutable: create a new Scope with the other name",
        ),
        (
            "{ description: x }",
            "name",
            "name is immutable: create a new Scope with the other name",
        ),
        (
            "{ name: 'a:b', serverRef: { name: x } }",
            "serverRef",
            "serverRef is immutable: create a new Scope for the other server",
        ),
    ] {
        let refusal = space.refused::<Scope>("orders", spec).await?;
        ensure!(
            refusal.contains(&format!("spec.{field}: Invalid value: {thing}")),
            "{refusal}"
        );
    }
    space.make::<Assignment>("staff", STAFF).await?;
    let refusal = space
        .refused::<Assignment>("staff", "{ subjects: [a], serverRef: { name: x } }")
        .await?;
    ensure!(
        refusal.contains("serverRef is immutable: create a new Assignment for the other server"),
        "{refusal}"
    );
    Ok(())
}

/// The first write of a status fails with a conflict. The operator then writes it onto the current version.
async fn a_status_conflict_is_resolved(bed: &Bed) -> Result<()> {
    async fn resolved<K: Namespaced>(bed: &Bed, space: &Space<'_>, name: &str, spec: &str, plural: &str) -> Result<()> {
        let path = format!(
            "/apis/oidc-operator.dev/v1alpha1/namespaces/{}/{plural}/{name}/status",
            space.name()
        );
        let conflict = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409, "message": "",
        });
        let fault = bed.operator().kube().inject(
            Fault::new(
                move |head| head.is("PATCH", &path),
                Action::Answer(Answer::json(409, &conflict)),
            )
            .nth(1),
        );
        space.ready::<K>(name, spec).await?;
        ensure!(fault.struck() == 1, "the fault did not strike a {}", K::KIND);
        Ok(())
    }
    let space = bed.space().await?;
    resolved::<Scope>(bed, &space, "orders", ORDERS, "scopes").await?;
    resolved::<Assignment>(bed, &space, "staff", STAFF, "assignments").await
}

async fn an_orphan_keeps_its_scopes_and_assignments(bed: &Bed) -> Result<()> {
    let space = bed.space().await?;
    space.ready::<Scope>("orders", ORDERS).await?;
    space.ready::<Assignment>("staff", STAFF).await?;
    let mut spec: Value = serde_saphyr::from_str(APP)?;
    spec["deletionPolicy"] = json!("Orphan");
    let client: OAuth2Client = space.ready_client("app", &spec.to_string()).await?;
    space.delete_and_wait("app").await?;
    let id = uid_of(&client);
    wait::until("the marker to be gone", LIMIT, async || {
        let found = bed.registered(&id).await?;
        Ok(ours(&found)["uid"].is_null().then_some(()))
    })
    .await?;
    let found = bed.registered(&id).await?;
    let kept: Vec<&String> = ours(&found)
        .as_object()
        .into_iter()
        .flat_map(|ours| ours.keys())
        .collect();
    ensure!(kept == ["assignments", "scopes"], "{found}");
    ensure!(found["owner"] == "", "{found}");
    bed.unregister(&id).await?;
    Ok(())
}
