//! The operator is killed at every request and always reaches the same state: one object, complete credentials, and
//! nothing left behind.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use serde_json::{Value, json};
use testbed::wait;

use super::stage::{REDIRECT, Stage};
use crate::bed::{Bed, LIMIT, Namespaced, Options, Server, ServerOptions};
use crate::crash::blow::Strike;
use crate::crash::lab::{Run, clear, interrupted};
use crate::crash::walk;
use crate::run::Side;

/// Name of the resource that a story is about.
const NAME: &str = "it";

pub fn trials(side: &Side) -> Vec<Trial> {
    let options = Options {
        server: None, // the first server of the bed is that of OpenBao
        ..Options::default()
    };
    vec![
        side.alone(options.clone(), creating_a_client_survives_a_crash_at_every_request),
        side.alone(
            options.clone(),
            changing_and_deleting_a_client_survives_a_crash_at_every_request,
        ),
        side.alone(options.clone(), keys_and_scopes_survive_a_crash_at_every_request),
        side.alone(options, assignments_and_providers_survive_a_crash_at_every_request),
    ]
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// It adopts an object of others.
    Adopt,
}

/// The type of a kind's objects, a spec, and a change of the spec; for an adoption, the fields of the object before it.
struct Cast {
    type_: &'static str,
    spec: Value,
    change: Value,
    /// A field of the object, before and after the change.
    field: (&'static str, Value, Value),
}

async fn creating_a_client_survives_a_crash_at_every_request(bed: &Bed) -> Result<()> {
    survive::<OAuth2Client>(bed, client(), &[Story::Create]).await
}

async fn changing_and_deleting_a_client_survives_a_crash_at_every_request(bed: &Bed) -> Result<()> {
    survive::<OAuth2Client>(bed, client(), &[Story::Update, Story::Delete]).await
}

async fn keys_and_scopes_survive_a_crash_at_every_request(bed: &Bed) -> Result<()> {
    let key = Cast {
        type_: "key",
        spec: json!({ "generate": { "algorithm": "ES256" } }),
        change: json!({ "rotation": { "period": "2h" } }),
        field: ("rotation_period", json!(86400), json!(7200)),
    };
    survive::<JsonWebKeySet>(bed, key, &[Story::Create, Story::Delete]).await?;
    let scope = Cast {
        type_: "scope",
        spec: json!({ "description": "one" }),
        change: json!({ "description": "another" }),
        field: ("description", json!("one"), json!("another")),
    };
    survive::<Scope>(bed, scope, &[Story::Create, Story::Update, Story::Delete]).await
}

async fn assignments_and_providers_survive_a_crash_at_every_request(bed: &Bed) -> Result<()> {
    let group = bed.bao().await?.root().group("crew", &[]).await?;
    let assignment = Cast {
        type_: "assignment",
        spec: json!({ "groups": [{ "name": "crew" }] }),
        change: json!({ "subjects": ["somebody"] }),
        field: ("group_ids", json!([group]), json!([group])),
    };
    survive::<Assignment>(bed, assignment, &[Story::Create, Story::Delete]).await?;
    let provider = Cast {
        type_: "provider",
        spec: json!({ "allowedClients": [{ "clientId": "*" }] }),
        change: json!({ "allowedClients": [{ "clientId": "abc" }] }),
        field: ("allowed_client_ids", json!(["*"]), json!(["abc"])),
    };
    // A client, so that the provider has keys to publish.
    bed.write_object("client/somebody", json!({ "redirect_uris": [REDIRECT] }))
        .await?;
    survive::<OidcProvider>(bed, provider, &[Story::Create, Story::Delete]).await?;
    // The clients of others stay in the list that is adopted.
    let theirs = Cast {
        type_: "provider",
        spec: json!({ "allowedClients": [{ "clientId": "*" }], "adoption": "Allow" }),
        change: json!({ "allowed_client_ids": ["theirs"] }),
        field: ("allowed_client_ids", json!(["*", "theirs"]), json!(null)),
    };
    survive::<OidcProvider>(bed, theirs, &[Story::Adopt]).await
}

fn client() -> Cast {
    Cast {
        type_: "client",
        spec: json!({ "redirectUris": [REDIRECT] }),
        change: json!({ "redirectUris": ["https://b.example.com/"] }),
        field: ("redirect_uris", json!([REDIRECT]), json!(["https://b.example.com/"])),
    }
}

async fn survive<K: Namespaced>(bed: &Bed, cast: Cast, stories: &[Story]) -> Result<()> {
    let server = match bed.servers().first() {
        Some(server) => Arc::clone(server),
        None => {
            let options = ServerOptions {
                resync_interval: "1h".to_owned(),
                ..ServerOptions::default()
            };
            bed.own_vault(options).await?
        }
    };
    for story in stories.iter().copied() {
        let fewest_writes = match story {
            Story::Create | Story::Adopt => 4,  // finalizer, claim, object, status
            Story::Update | Story::Delete => 2, // object, status or finalizer
        };
        let what = format!("{story:?} of a {}", cast.type_);
        let run = async |strike| run::<K>(bed, &server, &cast, story, strike).await;
        walk(&what, fewest_writes, run).await?;
    }
    Ok(())
}

async fn run<K: Namespaced>(
    bed: &Bed,
    server: &Arc<Server>,
    cast: &Cast,
    story: Story,
    strike: Option<Strike>,
) -> Result<Run> {
    let stage = Stage {
        bed,
        space: bed.space().await?,
        server: Arc::clone(server),
    };
    let mut before = None;
    let path = stage.path(cast.type_, NAME);
    if story == Story::Adopt {
        bed.write_object(&path, cast.change.clone()).await?;
        let grant = json!([{
            "namespaces": { "from": "All" }, "kinds": ["OidcProvider"], "objectNames": "Any",
            "adopt": { "objectNames": [format!("{}.{NAME}", stage.space.name())] },
        }]);
        bed.change_server(&server.name, json!({ "access": grant })).await?;
        bed.server_ready(&server.name).await?;
    } else if story != Story::Create {
        stage.ready::<K>(NAME, cast.spec.clone()).await?;
        before = Some(stage.object(cast.type_, NAME).await?);
    }
    let act = async || match story {
        Story::Create | Story::Adopt => stage.make::<K>(NAME, cast.spec.clone()).await,
        Story::Update => stage.space.respecify::<K>(NAME, cast.change.clone()).await,
        Story::Delete => stage.space.remove::<K>(NAME).await,
    };
    let converged = async |acted: &K| match story {
        Story::Delete => stage.space.until_gone(acted).await,
        Story::Create | Story::Update | Story::Adopt => stage.space.until_ready::<K>(NAME).await.map(drop),
    };
    let (_, run) = interrupted(bed, &stage.space, strike, act, converged).await?;
    if story == Story::Delete {
        ensure!(bed.object(&path).await?.is_none(), "{path} still exists");
        ensure!(stage.space.secret(NAME).await?.is_none(), "the Secret still exists");
    } else {
        let object = bed.existing(&path).await?;
        let (field, made, changed) = &cast.field;
        let expected = if story == Story::Update { changed } else { made };
        ensure!(object[*field] == *expected, "{object}");
        if cast.type_ == "client" {
            let (id, secret) = stage.space.credentials(NAME).await?;
            ensure!(
                object["client_id"] == id.as_str() && object["client_secret"] == secret.as_str(),
                "other credentials"
            );
            let same_id = before.is_none_or(|before| before["client_id"] == object["client_id"]);
            ensure!(same_id, "the client was created again");
        }
        next_look_writes_nothing(&stage, &path).await?;
        let made = stage.space.remove::<K>(NAME).await?;
        stage.space.until_gone(&made).await?;
    }
    clear(bed);
    Ok(run)
}

/// Triggers two comparisons of everything, the second one after the first has ended.
async fn next_look_writes_nothing(stage: &Stage<'_>, path: &str) -> Result<()> {
    let admin = stage.server.admin.journal().mark();
    let mut kube = 0;
    for interval in ["2h", "1h"] {
        let mark = stage.server.admin.journal().mark();
        stage
            .bed
            .change_server(&stage.server.name, json!({ "resyncInterval": interval }))
            .await?;
        let is_listed = path.starts_with("client/") || path.starts_with("provider/");
        let target = match is_listed {
            true => "/v1/identity/oidc/provider?list=true".to_owned(), // the last list of a sweep
            false => format!("/v1/identity/oidc/{path}"),
        };
        wait::until("everything to be compared", LIMIT, async || {
            let since = stage.server.admin.journal().since(mark);
            Ok(since
                .iter()
                .any(|exchange| exchange.head.target == target)
                .then_some(()))
        })
        .await
        .with_context(|| stage.bed.last_words(&[stage.space.name(), &stage.server.name]))?;
        if interval == "2h" {
            kube = stage.bed.operator().requests().mark(); // before, a pass whose reply was lost may have started again
        }
    }
    let writes = stage.writes(admin);
    ensure!(writes.is_empty(), "{writes:#?}");
    let requests = stage.bed.operator().kube_requests(kube);
    let within = |namespace: &Option<String>| namespace.as_deref() == Some(stage.space.name());
    let writes: Vec<_> = requests
        .into_iter()
        .filter(|request| request.is_write() && within(&request.namespace) && request.resource != "events")
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    stage
        .bed
        .server_ready(&stage.server.name)
        .await
        .context("the server")
        .map(drop)
}
