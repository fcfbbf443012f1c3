//! Adoption of existing clients: only with a grant, with a marker, and with the secret that they had.

mod offered;
mod owners;
mod secret;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use libtest_mimic::Trial;
use oidc_operator::api::oauth2_client::OAuth2ClientStatus;
use oidc_operator::api::{GROUP, OAuth2Client};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault};

use crate::bed::{Bed, LIMIT, Server, ServerOptions, Space, is_list};
use crate::conditions::Tone::{Reconciling, Stalled};
use crate::run::Side;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(secret::an_adopted_client_keeps_its_secret),
        side.shared(secret::the_secret_of_an_adopted_client_can_be_given_from_the_start),
        side.shared(secret::the_secret_of_an_adopted_client_is_replaced_only_on_request),
        side.shared(secret::a_conflicting_secret_is_detected_before_anything_is_changed),
        side.shared(secret::an_adoption_replaces_no_secret_unless_the_spec_consents),
        side.shared(offered::a_secret_that_names_the_resource_is_taken_over_with_the_client),
        side.shared(offered::a_secret_that_would_lose_something_is_not_taken_over),
        side.shared(offered::a_public_client_takes_its_secret_over),
        side.shared(a_suspended_resource_says_what_an_adoption_would_change),
        side.shared(a_public_client_is_adopted_without_a_secret),
        side.shared(an_adopted_client_keeps_its_grant_types),
        side.shared(a_client_that_does_not_exist_is_created_as_usual),
        side.shared(owners::only_clients_that_a_rule_allows_are_adopted),
        side.shared(owners::a_client_of_another_resource_is_not_adopted),
        side.shared(owners::a_client_released_by_another_resource_is_adopted_with_its_secret),
        side.shared(owners::the_marker_replaces_a_lost_status),
        side.shared(owners::an_abandoned_client_can_be_adopted),
        side.shared(an_adopted_client_stays_when_its_resource_is_deleted),
        side.shared(an_adopted_client_stays_when_access_is_revoked),
    ]
}

/// Secret of a client that another writer registered.
pub const SECRET: &str = "known-to-others-1";
/// Message while the secret is unknown.
pub const UNKNOWN: &str = "The client existed on the server before this resource, and the operator does not know its secret. Name a Secret that holds it in clientSecretRef, or replace it with rotation.withoutOverlap: Allow and the annotation oidc-operator.dev/rotate-at.";

/// A machine client that another writer registered, and a server whose rules allow its adoption.
struct Legacy<'a> {
    bed: &'a Bed,
    space: Space<'a>,
    server: Arc<Server>,
    id: String,
}

impl<'a> Legacy<'a> {
    async fn new(bed: &'a Bed, more: Value) -> Result<Self> {
        let space = bed.space().await?;
        let id = format!("legacy-{}", space.name());
        let mut members = json!({
            "client_id": id, "client_name": "Legacy", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic", "metadata": { "team": "old" },
        });
        let more = more.as_object().cloned().unwrap_or_default();
        members.as_object_mut().context("no object")?.extend(more);
        if members["token_endpoint_auth_method"] != "none" {
            space.canary(SECRET);
            members["client_secret"] = json!(SECRET);
        }
        bed.register(members).await?;
        let access = json!([{
            "namespaces": { "from": "Names", "names": [space.name()] },
            "kinds": ["OAuth2Client"],
            "clients": { "deletionPolicies": ["Delete"] },
            "adopt": { "clientIds": [id] },
        }]);
        let options = ServerOptions {
            resync_interval: "1s".to_owned(),
            spec: json!({ "access": access }),
            ..ServerOptions::default()
        };
        let server = bed.own_server(options).await?;
        Ok(Self { bed, space, server, id })
    }

    fn spec(&self, more: Value) -> String {
        let mut spec = json!({
            "serverRef": { "name": self.server.name }, "clientId": self.id, "adoption": "Allow",
            "grantTypes": ["client_credentials"], "scopes": ["read"],
        });
        let more = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut()
            .into_iter()
            .for_each(|spec| spec.extend(more.clone()));
        spec.to_string()
    }

    /// The client on the server, and its marker.
    async fn on_server(&self) -> Result<(Value, Value)> {
        let client = self.bed.registered(&self.id).await?;
        let mark = client["metadata"][GROUP].clone();
        Ok((client, mark))
    }

    /// Waits for two more sweeps.
    async fn swept(&self) -> Result<()> {
        let journal = self.server.admin.journal();
        let mut mark = journal.mark();
        for _ in 0..2 {
            let listing = journal.wait_for(|found| found.seq > mark && is_list(&found.head), LIMIT);
            mark = listing.await?.seq;
        }
        Ok(())
    }

    /// Waits until a resource reports that its client's secret is unknown.
    async fn is_unknown(&self, name: &str) -> Result<OAuth2Client> {
        self.space.says(name, Stalled, "SecretUnknown", UNKNOWN).await
    }

    async fn works_with(&self, secret: &str) -> Result<()> {
        self.bed.token(&self.id, secret, "").await.map(drop)
    }
}

fn status_of(client: &OAuth2Client) -> OAuth2ClientStatus {
    client.status.clone().unwrap_or_default()
}

async fn a_suspended_resource_says_what_an_adoption_would_change(bed: &Bed) -> Result<()> {
    const SUSPENDED: &str = "Reconciliation is suspended by spec.suspend.";
    let legacy = Legacy::new(
        bed,
        json!({ "token_endpoint_auth_method": "client_secret_post", "owner": "user-42" }),
    )
    .await?;
    let space = &legacy.space;
    let before = legacy.on_server().await?.0;
    space
        .apply_client("app", &legacy.spec(json!({ "suspend": true })))
        .await?;
    let changes = "client_name, metadata, scope, token_endpoint_auth_method";
    let says = |text: String| {
        move |client: &OAuth2Client| {
            let conditions = status_of(client).conditions;
            conditions
                .iter()
                .any(|condition| condition.type_ == "Suspended" && condition.message == text)
        }
    };
    let expected = format!("{SUSPENDED} An adoption would change these members of the client: {changes}.");
    space.wait_client("the preview", "app", says(expected)).await?;
    let ours = json!({ "spec": { "scopes": null, "clientName": "Legacy", "metadata": { "team": "old" },
        "tokenEndpointAuthMethod": "client_secret_post" } });
    space.change("app", ours).await?;
    let expected = format!("{SUSPENDED} An adoption would change these members of the client: scope.");
    space.wait_client("a smaller preview", "app", says(expected)).await?;
    ensure!(legacy.on_server().await?.0 == before, "the client was changed");
    // The event of the adoption names the same members.
    space.change("app", json!({ "spec": { "suspend": null } })).await?;
    legacy.is_unknown("app").await?;
    let names = |event: &Event| {
        let note = "The client existed on the server before and now belongs to this resource. Changed: scope.";
        event.note.as_deref() == Some(note)
    };
    space.wait_event("app", "Adopted", names).await?;
    Ok(())
}

/// Grant types that no spec can list stay, and all of them if the spec lists none.
async fn an_adopted_client_keeps_its_grant_types(bed: &Bed) -> Result<()> {
    const OTHERS: [&str; 2] = ["urn:ietf:params:oauth:grant-type:token-exchange", "urn:example:custom"];
    const KEPT: &str = "It keeps grant types that it had before its adoption: ";
    let before = json!(["client_credentials", OTHERS[0], "implicit", OTHERS[1]]);
    let legacy = Legacy::new(
        bed,
        json!({ "grant_types": before, "token_endpoint_auth_method": "none" }),
    )
    .await?;
    let space = &legacy.space;
    let public = json!({ "clientType": "Public", "redirectUris": ["https://a.example.com/cb"] });
    let mut spec: Value = serde_json::from_str(&legacy.spec(public))?;
    spec.as_object_mut().map(|spec| spec.remove("grantTypes"));
    space.apply_client("app", &spec.to_string()).await?;
    let named = format!(
        "{KEPT}`client_credentials`, `{}`, `implicit`, `{}`.",
        OTHERS[0], OTHERS[1]
    );
    let says = |named: &str| {
        let named = named.to_owned();
        move |client: &OAuth2Client| {
            let ready = status_of(client)
                .conditions
                .into_iter()
                .find(|condition| condition.type_ == "Ready");
            ready.is_some_and(|ready| ready.status == "True" && ready.message.ends_with(&named))
        }
    };
    space
        .wait_client("app to say what it keeps", "app", says(&named))
        .await?;
    let all = json!([
        "authorization_code",
        "refresh_token",
        "client_credentials",
        OTHERS[0],
        "implicit",
        OTHERS[1]
    ]);
    let (found, _) = legacy.on_server().await?;
    ensure!(found["grant_types"] == all, "{found}");
    let mark = legacy.server.admin.journal().mark();
    legacy.swept().await?;
    let asked = legacy.server.about_clients(mark);
    ensure!(asked.is_empty(), "{asked:#?}");

    // Once the spec lists its grant types, only those stay that it cannot list.
    space
        .change(
            "app",
            json!({ "spec": { "grantTypes": ["implicit", "refresh_token"] } }),
        )
        .await?;
    let named = format!("{KEPT}`{}`, `{}`.", OTHERS[0], OTHERS[1]);
    space.wait_client("app to keep less", "app", says(&named)).await?;
    let (found, _) = legacy.on_server().await?;
    let rest = json!(["implicit", "refresh_token", OTHERS[0], OTHERS[1]]);
    ensure!(found["grant_types"] == rest, "{found}");
    let mark = legacy.server.admin.journal().mark();
    legacy.swept().await?;
    let asked = legacy.server.about_clients(mark);
    ensure!(asked.is_empty(), "{asked:#?}");

    // A client that is missing for a moment, as behind a wrong DNS entry, has not lost them.
    let (admin, id) = (&legacy.server.admin, legacy.id.clone());
    let missing = Fault::new(
        move |head| head.method == "GET" && head.path().ends_with(&id),
        Action::Answer(Answer::json(404, &json!({ "error": "Unable to locate the resource" }))),
    );
    let missing = admin.inject(missing);
    let broken = admin.inject(Fault::new(
        |head| head.method == "POST",
        Action::Answer(Answer::status(503)),
    ));
    space
        .change("app", json!({ "spec": { "clientName": "Later" } }))
        .await?;
    space
        .wait_condition("app", "Ready", "False", "ServerUnavailable")
        .await?;
    missing.end();
    broken.end();
    space.wait_client("app to keep the same", "app", says(&named)).await?;
    let (found, _) = legacy.on_server().await?;
    ensure!(
        found["grant_types"] == rest && found["client_name"] == "Later",
        "{found}"
    );
    Ok(())
}

async fn a_public_client_is_adopted_without_a_secret(bed: &Bed) -> Result<()> {
    let redirects = json!(["https://app.example.com/cb"]);
    let more = json!({
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"], "redirect_uris": redirects,
    });
    let legacy = Legacy::new(bed, more).await?;
    let spec = json!({ "clientType": "Public", "grantTypes": ["authorization_code"], "redirectUris": redirects });
    let client = legacy.space.ready_client("app", &legacy.spec(spec)).await?;
    ensure!(status_of(&client).adopted == Some(true), "{:?}", client.status);
    let data = legacy.space.secret_data("app").await?;
    ensure!(data.len() == 1 && data["CLIENT_ID"] == legacy.id, "{data:?}");
    Ok(())
}

async fn a_client_that_does_not_exist_is_created_as_usual(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    bed.unregister(&legacy.id).await?;
    let client = legacy.space.ready_client("app", &legacy.spec(json!({}))).await?;
    let (id, secret) = legacy.space.credentials("app").await?;
    ensure!(id == legacy.id, "{id}");
    legacy.works_with(&secret).await?;
    ensure!(status_of(&client).adopted.is_none(), "{:?}", client.status);
    ensure!(
        legacy.on_server().await?.1.get("adopted").is_none(),
        "it is marked as adopted"
    );
    legacy.space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&legacy.id).await?.is_none(), "the client stayed");
    Ok(())
}

async fn an_adopted_client_stays_when_its_resource_is_deleted(bed: &Bed) -> Result<()> {
    let legacy = Legacy::new(bed, json!({})).await?;
    let space = &legacy.space;
    space.apply_client("app", &legacy.spec(json!({}))).await?;
    legacy.is_unknown("app").await?;
    space.delete_and_wait("app").await?;
    let (found, mark) = legacy.on_server().await?;
    ensure!(mark.is_null() && found["owner"] == "", "the marker stayed: {found}");
    legacy.works_with(SECRET).await?;

    // With deletionPolicy Delete it is deleted.
    space
        .apply_client("app", &legacy.spec(json!({ "deletionPolicy": "Delete" })))
        .await?;
    legacy.is_unknown("app").await?;
    space.delete_and_wait("app").await?;
    ensure!(bed.hydra_client(&legacy.id).await?.is_none(), "the client stayed");
    Ok(())
}

async fn an_adopted_client_stays_when_access_is_revoked(bed: &Bed) -> Result<()> {
    for policy in [json!({}), json!({ "deletionPolicy": "Orphan" })] {
        let legacy = Legacy::new(bed, json!({})).await?;
        let (space, server) = (&legacy.space, &legacy.server.name);
        let unlimited = json!([{
            "namespaces": { "from": "All" }, "kinds": ["OAuth2Client"], "adopt": { "clientIds": [legacy.id] },
        }]);
        bed.change_server(server, json!({ "access": unlimited })).await?;
        space.apply_client("app", &legacy.spec(policy)).await?;
        legacy.is_unknown("app").await?;
        bed.change_server(server, json!({ "onRevoked": "Delete", "access": [] }))
            .await?;
        let message = format!(
            "AuthorizationServer `{server}`: no access rule lets namespace `{}` have an OAuth2Client; ask the server's admin for one.",
            space.name()
        );
        space
            .says::<OAuth2Client>("app", Reconciling, "NotAllowed", &message)
            .await?;
        let let_go = |client: &OAuth2Client| client.metadata.finalizers.as_ref().is_none_or(Vec::is_empty);
        space.wait_client("the finalizer to be gone", "app", let_go).await?;
        ensure!(legacy.on_server().await?.1.is_null(), "the marker stayed");
        legacy.works_with(SECRET).await?;
    }
    Ok(())
}
