//! Every field of an OAuth2Client: it reaches the server, it stays there, and it can be removed.

mod odd;
mod secret;
mod table;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use libtest_mimic::Trial;
use oidc_operator::api::authorization_server::Capability;
use oidc_operator::api::{OAuth2Client, REVISION_ANNOTATION};
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, FaultHandle, Identity, Proxy, Upstream};
use testbed::run_dir::RunDir;
use testbed::wait;

use crate::bed::{Bed, LIMIT, Lab, Server, ServerOptions, Space, everything, is_list, text_of, uid_of};
use crate::conditions::{Tone, client_says};
use crate::run::Side;
use table::{Effect, Field, fields, group_base};

pub use table::the_table_knows_every_field;

/// Clients that are processed at the same time.
const SIDE_BY_SIDE: usize = 6;

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    let mut trials = vec![
        side.shared(every_field_reaches_the_server_and_stays),
        side.shared(every_field_can_be_set_and_unset),
        side.shared(unknown_members_are_preserved),
        side.shared(odd::odd_values_are_written_once),
    ];
    trials.extend(secret::trials(side));
    trials
}

/// A Hydra that supports pairwise subjects and trusts the server of a sector identifier.
struct Workshop {
    lab: Lab,
    version: String,
    capabilities: Vec<Capability>,
    sector: Proxy,
    _redirects: FaultHandle,
    _files: RunDir,
}

impl Workshop {
    async fn open(bed: &Bed) -> Result<Self> {
        let files = RunDir::new()?;
        let authority = files.write("ca.pem", &bed.plane().ca_pem())?;
        let (certificate_pem, key_pem) = bed.plane().pki().issue_server(&["127.0.0.1"])?;
        let identity = Identity {
            certificate_pem,
            key_pem,
        };
        let sector = Proxy::start("sector", Upstream::http("http://127.0.0.1:1"), Some(identity)).await?;
        let redirects = sector.inject(Fault::new(
            |_| true,
            Action::Answer(Answer::json(200, &json!([table::CALLBACK]))),
        ));
        let env = [
            ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "public,pairwise".to_owned()),
            (
                "OIDC_SUBJECT_IDENTIFIERS_PAIRWISE_SALT",
                "salt-of-the-testbed".to_owned(),
            ),
            ("SSL_CERT_FILE", authority.display().to_string()),
        ];
        let url = sector.url();
        let sector_host = url.trim_start_matches("https://");
        let options = ServerOptions {
            resync_interval: "1s".to_owned(),
            spec: json!({ "access": everything(&["*.example.com", sector_host]) }),
            ..ServerOptions::default()
        };
        let lab = bed.lab(&env, options).await?;
        let status = bed.server_ready(&lab.server.name).await?.status.unwrap_or_default();
        Ok(Self {
            lab,
            version: status.version.unwrap_or_default(),
            capabilities: status.capabilities,
            sector,
            _redirects: redirects,
            _files: files,
        })
    }

    fn fields(&self) -> Vec<Field> {
        fields(&format!("{}/redirects.json", self.sector.url()))
    }

    fn spec(&self, group: &str) -> Value {
        let mut spec = group_base(group);
        spec["serverRef"] = json!({ "name": self.lab.server.name });
        spec
    }
}

async fn every_field_reaches_the_server_and_stays(bed: &Bed) -> Result<()> {
    let workshop = Workshop::open(bed).await?;
    let space = bed.space().await?;
    secret::make_own_secret(bed, &space).await?;
    secret::make_referred(&space, &workshop.lab.server.name).await?;
    let mut groups: Vec<(&str, Value, Value)> = Vec::new();
    for field in workshop.fields() {
        if field.group == "suspended" || matches!(field.effect, Effect::Immutable) {
            continue; // never written, or covered by its own test
        }
        if field.is_lacking(&workshop.capabilities) {
            continue;
        }
        if !groups.iter().any(|(group, ..)| *group == field.group) {
            groups.push((field.group, workshop.spec(field.group), json!({})));
        }
        let found = groups.iter_mut().find(|(group, ..)| *group == field.group);
        let (_, spec, expected) = found.context("it was just pushed")?;
        merge(spec, &nested(field.path, field.value.clone()));
        if let Effect::Hydra(members) = &field.effect {
            merge(expected, members);
        }
    }
    for (group, spec, _) in &groups {
        let applied = space.apply_client(group, &spec.to_string()).await;
        applied.with_context(|| format!("{group}: {spec}"))?;
    }
    for (group, _, expected) in &groups {
        let client = space.wait_ready(group).await.with_context(|| (*group).to_owned())?;
        let found = workshop.lab.registered(&uid_of(&client)).await?;
        ensure_has(&found, expected).with_context(|| (*group).to_owned())?;
    }
    stays_quiet(&workshop.lab.server, 2).await
}

async fn every_field_can_be_set_and_unset(bed: &Bed) -> Result<()> {
    let workshop = Workshop::open(bed).await?;
    let space = bed.space().await?;
    secret::make_own_secret(bed, &space).await?;
    secret::make_referred(&space, &workshop.lab.server.name).await?;
    let fields = workshop.fields();
    let walks = fields.iter().enumerate().map(|(number, field)| {
        let (space, workshop) = (&space, &workshop);
        async move {
            let name = format!("field-{number}");
            let walked = match field.is_lacking(&workshop.capabilities) {
                true => set_is_refused(workshop, space, &name, field).await,
                false => set_and_unset(workshop, space, &name, field).await,
            };
            walked.with_context(|| format!("{} in {}", field.path, field.group))
        }
    });
    stream::iter(walks)
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect::<()>()
        .await?;
    stays_quiet(&workshop.lab.server, 2).await
}

async fn set_and_unset(workshop: &Workshop, space: &Space<'_>, name: &str, field: &Field) -> Result<()> {
    if matches!(field.effect, Effect::Immutable) {
        return Ok(()); // covered by its own test
    }
    let spec = workshop.spec(field.group);
    let client = space.ready_client(name, &spec.to_string()).await?;
    let never_set = Seen::of(workshop, space, &client).await?;

    space
        .change(name, json!({ "spec": nested(field.path, field.value.clone()) }))
        .await?;
    let client = space.wait_ready(name).await?;
    let set = Seen::of(workshop, space, &client).await?;
    match &field.effect {
        Effect::Hydra(members) => {
            ensure_has(&set.hydra, members)?;
            ensure!(
                ensure_has(&never_set.hydra, members).is_err(),
                "the client had these members before: {members}"
            );
        }
        Effect::Secret => ensure!(
            set.secret != never_set.secret && set.updated_at == never_set.updated_at,
            "the Secret should change without a request to Hydra"
        ),
        Effect::OwnSecret => ensure!(set.updated_at != never_set.updated_at, "the secret was not sent"),
        Effect::None => ensure!(set == never_set, "{set:?} instead of {never_set:?}"),
        Effect::Immutable => {}
    }

    space
        .change(name, json!({ "spec": nested(field.path, field.unset()) }))
        .await?;
    let client = space.wait_ready(name).await?;
    let unset = Seen::of(workshop, space, &client).await?;
    ensure!(
        unset.hydra == never_set.hydra,
        "after it was unset:\n{}\nbefore it was set:\n{}",
        unset.hydra,
        never_set.hydra
    );
    match field.effect {
        Effect::OwnSecret => {}
        _ if field.changes_secret => {}
        _ => ensure!(unset.secret == never_set.secret, "the Secret is not as before"),
    }
    if matches!(field.effect, Effect::Secret | Effect::None) {
        ensure!(
            unset.updated_at == never_set.updated_at,
            "Hydra received a request for a change that does not concern it"
        );
    }
    Ok(())
}

/// The operator refuses a field that this version does not have by name, and keeps the registration.
async fn set_is_refused(workshop: &Workshop, space: &Space<'_>, name: &str, field: &Field) -> Result<()> {
    let client = space
        .ready_client(name, &workshop.spec(field.group).to_string())
        .await?;
    let never_set = Seen::of(workshop, space, &client).await?;
    space
        .change(name, json!({ "spec": nested(field.path, field.value.clone()) }))
        .await?;
    let message = format!(
        "AuthorizationServer `{}` (version `{}`) does not support what this resource sets in {}; nothing was changed. Remove it, or use a server or version that supports it.",
        workshop.lab.server.name, workshop.version, field.path
    );
    client_says(space, name, Tone::Stalled, "UnsupportedByServer", &message).await?;
    ensure!(Seen::of(workshop, space, &client).await? == never_set, "it was changed");
    space
        .change(name, json!({ "spec": nested(field.path, Value::Null) }))
        .await?;
    space.wait_ready(name).await?;
    ensure!(
        Seen::of(workshop, space, &client).await? == never_set,
        "it is not as before"
    );
    Ok(())
}

/// What others see of a client: on the server and in its Secret.
#[derive(Debug, PartialEq)]
struct Seen {
    hydra: Value,
    updated_at: Value,
    secret: Value,
}

impl Seen {
    async fn of(workshop: &Workshop, space: &Space<'_>, client: &OAuth2Client) -> Result<Self> {
        let mut hydra = workshop.lab.registered(&uid_of(client)).await?;
        let updated_at = hydra["updated_at"].take();
        if let Some(marker) = hydra["metadata"]["oidc-operator.dev"].as_object_mut() {
            marker.remove("revision"); // of the ledger; it changes with the secret
        }
        let name = client.status.as_ref().and_then(|status| status.secret_name.clone());
        let name = name.context("no secretName in status")?;
        let secret = space.secret(&name).await?.context("no credentials Secret")?;
        let mut annotations = secret.annotations().clone();
        annotations.remove(REVISION_ANNOTATION);
        let secret = json!([name, text_of(&secret), secret.labels(), annotations]);
        Ok(Self {
            hydra,
            updated_at,
            secret,
        })
    }
}

/// No Hydra of the testbed has members that the operator does not model. A proxy adds some to a reply, and the PUT
/// repeats them.
async fn unknown_members_are_preserved(bed: &Bed) -> Result<()> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    let spec = json!({ "serverRef": { "name": server.name }, "grantTypes": ["client_credentials"] });
    let id = uid_of(&space.ready_client("app", &spec.to_string()).await?);
    let mut found = bed.registered(&id).await?;
    found["of_tomorrow"] = json!({ "a": [1, "b"] });
    found["also_of_tomorrow"] = Value::Null;
    let path = bed.client_path(&id);
    let asked = path.clone();
    let shown = server.admin.inject(Fault::new(
        move |head| head.is("GET", &asked),
        Action::Answer(Answer::json(200, &found)),
    ));
    let mark = server.admin.journal().mark();
    space
        .change("app", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    space.wait_ready("app").await?;
    drop(shown);
    let puts: Vec<_> = server.about_clients(mark);
    let put = puts
        .iter()
        .find(|exchange| exchange.head.is("PUT", &path))
        .context("no PUT")?;
    let body: Value = serde_json::from_slice(&put.body)?;
    ensure!(body["of_tomorrow"] == found["of_tomorrow"], "{body}");
    for never in [
        "also_of_tomorrow",
        "created_at",
        "updated_at",
        "client_secret_expires_at",
        "client_secret",
    ] {
        ensure!(body.get(never).is_none(), "{never} was sent: {}", body[never]);
    }
    Ok(())
}

/// During this many sweeps the operator reads no single client and writes nothing.
async fn stays_quiet(server: &Server, sweeps: usize) -> Result<()> {
    let mark = server.admin.journal().mark();
    let what = format!("{sweeps} sweeps of {}", server.name);
    let waited = wait::until(&what, LIMIT, async || {
        let since = server.admin.journal().since(mark);
        let lists = since.iter().filter(|exchange| is_list(&exchange.head));
        Ok((lists.count() > sweeps).then_some(())) // once the next sweep has begun, the previous ones have ended
    });
    waited.await?;
    let mut asked = server.about_clients(mark);
    // Key sets cannot be listed, so the operator reads each one.
    asked.retain(|exchange| !(exchange.head.method == "GET" && exchange.head.path().contains("/keys/")));
    ensure!(asked.is_empty(), "{asked:#?}");
    Ok(())
}

/// Every member of `expected` has its value; objects may have more members.
fn ensure_has(found: &Value, expected: &Value) -> Result<()> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (name, value) in expected {
                ensure_has(found.get(name).unwrap_or(&Value::Null), value).with_context(|| name.clone())?;
            }
        }
        _ => ensure!(found == expected, "{found} instead of {expected}"),
    }
    Ok(())
}

/// Nests a value: `a.b` and `v` become `{ "a": { "b": v } }`.
fn nested(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, name| {
        Value::Object([(name.to_owned(), inner)].into_iter().collect())
    })
}

/// Merges objects, and replaces everything else.
fn merge(target: &mut Value, change: &Value) {
    let (Value::Object(members), Value::Object(changes)) = (&mut *target, change) else {
        *target = change.clone();
        return;
    };
    for (name, change) in changes {
        merge(members.entry(name).or_insert(Value::Null), change);
    }
}
