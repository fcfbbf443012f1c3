//! Made-up replies of a hostile server: each leads to a known kind of failure or a value of bounded size, never a panic.
//!
//! Recorded answers of real servers are changed at random. A failed case prints its seed: `HOSTILE_SEED` runs that case
//! alone, and `HOSTILE_CASES` sets the number of cases.

mod lies;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use oidc_operator::admin::discovery;
use oidc_operator::admin::foulkon::{Foulkon, Provider};
use oidc_operator::admin::http::{ErrorBody, Failure, Http, Settings};
use oidc_operator::admin::hydra::clients::Cursor;
use oidc_operator::admin::hydra::key::JsonWebKeySet;
use oidc_operator::admin::hydra::keys::GenerateKey;
use oidc_operator::admin::hydra::{Client, Hydra, get_version};
use oidc_operator::admin::vault::health::health;
use oidc_operator::admin::vault::identity::IdentityType;
use oidc_operator::admin::vault::{self, Login, Session, Vault};
use oidc_operator::secret::Secret;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::{client, http, over};
use lies::{Dice, body};

/// Cases of a run, unless the environment says otherwise.
const CASES: u64 = 2_500;
/// Maximum bytes of any text that is kept from a reply.
const LONGEST: usize = 2_048;
/// Maximum number of texts that are kept from one reply.
const MOST: usize = 1_500;

/// The texts that an operation keeps from a reply, or its failure.
type Kept = Result<Vec<String>, Failure>;

/// The operations, each with the recording and a part of the path of the requests whose replies it reads.
const OPERATIONS: [(&str, &[&str]); 28] = [
    ("get_client", &["hydra", "/clients"]),
    ("create_client", &["hydra", "/clients"]),
    ("update_client", &["hydra", "/clients"]),
    ("list_clients 1", &["hydra", "/clients?"]),
    ("list_clients 2", &["hydra", "/clients?"]),
    ("get_key_set", &["hydra", "/keys"]),
    ("create_key_set", &["hydra", "/keys"]),
    ("get_key", &["hydra", "/keys"]),
    ("update_key_set", &["hydra", "/keys"]),
    ("list_trusted_issuers", &["hydra", "/issuers"]),
    ("list_consent_sessions", &["hydra", "/consent"]),
    ("get_version", &["hydra", "/version"]),
    ("discovery", &["openbao", "/openid-configuration"]),
    ("jwks", &["openbao", "/.well-known/keys"]),
    ("health", &["vault", "sys/health"]),
    ("login", &["vault", "lookup-self"]),
    ("renewal", &["vault", "lookup-self"]),
    ("read_client", &["vault", "oidc/client/"]),
    ("read_provider", &["vault", "oidc/provider/"]),
    ("read_key", &["vault", "oidc/key/"]),
    ("read_scope", &["openbao", "oidc/scope/"]),
    ("list_vault_clients", &["vault", "oidc/client?"]),
    ("id_by_name", &["vault", "identity/entity"]),
    ("id_by_alias", &["openbao", "identity/group"]),
    ("accessor", &["openbao", "identity/"]),
    ("foulkon_get", &["foulkon", "/providers/"]),
    ("foulkon_names", &["foulkon", "/providers?"]),
    ("foulkon_about", &["foulkon-loaded", "/about"]),
];

/// Recorded answers of real servers: file name, path, body.
fn recorded() -> Vec<(String, String, Value)> {
    fn walk(file: &str, found: &mut Vec<(String, String, Value)>, value: &Value) {
        match value {
            Value::Object(members) => {
                if let (Some(request), Some(response)) = (members.get("request"), members.get("response")) {
                    let path = request["path"].as_str().unwrap_or_default().to_owned();
                    found.push((file.to_owned(), path, response["body"].clone()));
                }
                members.values().for_each(|value| walk(file, found, value));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(file, found, value)),
            _ => {}
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut found = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("recordings").flatten().collect();
    files.sort_by_key(|file| file.file_name());
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("a recording");
        let name = file.file_name().to_string_lossy().into_owned();
        walk(&name, &mut found, &serde_json::from_str(&text).expect("JSON"));
    }
    found
}

/// A server that gives every request the answer of the current case.
#[derive(Clone, Default)]
struct Liar(Arc<Mutex<Option<ResponseTemplate>>>);

impl Respond for Liar {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        answer.unwrap_or_else(|| ResponseTemplate::new(200))
    }
}

/// The admin APIs, all of the same server.
struct Bed {
    server: MockServer,
    liar: Liar,
    older: Hydra,
    newer: Hydra,
    vault: Vault,
    foulkon: Foulkon,
    workers: Arc<Http>,
    plain: Http,
}

impl Bed {
    async fn start() -> Bed {
        let server = MockServer::builder().disable_request_recording().start().await;
        let liar = Liar::default();
        Mock::given(any()).respond_with(liar.clone()).mount(&server).await;
        let uri = server.uri();
        let plain = || http(&uri, &Settings::default());
        let coded = Settings {
            errors: ErrorBody::Coded,
            ..Settings::default()
        };
        let workers = Arc::new(http(&uri, &coded));
        liar.answers(ResponseTemplate::new(200).set_body_json(json!({ "data": { "ttl": 0 } })));
        let vault = vault_of(&uri, Login::Token(Secret::new("given".to_owned())));
        vault.session().keep().await.expect("a login");
        Bed {
            older: over(plain(), "v1.11.10"),
            newer: over(plain(), "v2.3.0"),
            vault,
            foulkon: Foulkon::new(workers.clone()),
            workers,
            plain: plain(),
            liar,
            server,
        }
    }

    /// Runs an operation. Returns the texts that it keeps from the reply.
    async fn run(&self, operation: &str, id: &str) -> Kept {
        let (older, newer, vault, foulkon) = (&self.older, &self.newer, &self.vault, &self.foulkon);
        for http in [older.http(), newer.http(), vault.http(), &self.workers, &self.plain] {
            http.breaker().close();
        }
        let mut cursor = Cursor::default();
        match operation {
            "get_client" => older.get_client(id).await.map(|found| of_clients(found.as_slice())),
            "create_client" => newer
                .create_client(&client(id), None)
                .await
                .map(|found| of_clients(found.as_slice())),
            "update_client" => newer
                .update_client(&client(id), None)
                .await
                .map(|found| of_clients(found.as_slice())),
            "list_clients 1" => older
                .list_clients(|_| true, &mut cursor)
                .await
                .map(|found| of_clients(&found.unwrap_or_default())),
            "list_clients 2" => newer
                .list_clients(|_| true, &mut cursor)
                .await
                .map(|found| of_clients(&found.unwrap_or_default())),
            "get_key_set" => newer
                .get_key_set("set")
                .await
                .map(|found| of_keys(&found.unwrap_or_default())),
            "create_key_set" => {
                let made = older.create_key_set("set", &GenerateKey::default()).await;
                made.map(|made| of_keys(&made.unwrap_or_default()))
            }
            "get_key" => newer.get_key("set", "k1").await.map(|key| {
                let keys = key.into_iter().collect();
                of_keys(&JsonWebKeySet { keys })
            }),
            "update_key_set" => newer
                .update_key_set("set", &JsonWebKeySet::default())
                .await
                .map(|set| of_keys(&set)),
            "list_trusted_issuers" => older.list_trusted_issuers(None, &mut cursor).await.map(|_| Vec::new()),
            "list_consent_sessions" => newer.list_consent_sessions("s", &mut cursor).await.map(|_| Vec::new()),
            "get_version" => get_version(&self.plain).await.map(|version| vec![version]),
            "discovery" => discovery::fetch(&self.plain).await.map(of_discovery),
            "jwks" => discovery::fetch_keys(&self.plain).await.map(|keys| keys.ids),
            "health" => health(vault.http())
                .await
                .map(|health| vec![health.version.into(), health.cluster_id.into()]),
            "login" | "renewal" => self.log_in(operation).await,
            "read_client" => vault.read::<vault::Client>("x").await.map(|found| {
                found
                    .and_then(|found| found.client_id)
                    .map(String::from)
                    .into_iter()
                    .collect()
            }),
            "read_provider" => vault.read::<vault::Provider>("x").await.map(|_| Vec::new()),
            "read_key" => vault.read::<vault::Key>("x").await.map(|_| Vec::new()),
            "read_scope" => vault.read::<vault::Scope>("x").await.map(|_| Vec::new()),
            "list_vault_clients" => vault.list::<vault::Client>().await.map(|_| Vec::new()),
            "id_by_name" => vault
                .id_by_name(IdentityType::Entity, "x")
                .await
                .map(|id| id.into_iter().collect()),
            "id_by_alias" => vault
                .id_by_alias(IdentityType::Group, "x", "y")
                .await
                .map(|id| id.into_iter().collect()),
            "accessor" => vault.accessor("userpass").await.map(|id| id.into_iter().collect()),
            "foulkon_get" => foulkon
                .get("x")
                .await
                .map(|found| found.iter().flat_map(of_provider).collect()),
            "foulkon_names" => foulkon
                .names("/x/")
                .await
                .map(|names| names.into_iter().take(MOST + 1).collect()),
            _ => {
                let about = foulkon.about().await?;
                let loaded = about.loaded.iter().flatten().flat_map(of_provider);
                Ok([about.version.to_string()]
                    .into_iter()
                    .chain(loaded)
                    .take(MOST)
                    .collect())
            }
        }
    }

    /// Makes a separate login and keeps it.
    async fn log_in(&self, operation: &str) -> Kept {
        let login = match operation {
            "login" => Login::AppRole(
                "approle".to_owned(),
                "operator".to_owned(),
                Secret::new("id".to_owned()),
            ),
            _ => Login::Token(Secret::new("given".to_owned())),
        };
        let vault = vault_of(&self.server.uri(), login);
        for _ in 0..2 {
            vault.session().keep().await?;
        }
        Ok(Vec::new())
    }
}

impl Liar {
    fn answers(&self, answer: ResponseTemplate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }
}

fn vault_of(uri: &str, login: Login) -> Vault {
    let settings = Settings {
        refuses_singly: true,
        errors: ErrorBody::Listed,
        ..Settings::default()
    };
    let session = Session::new(Arc::new(http(uri, &settings)), login, "");
    Vault::new(Arc::new(session), "")
}

fn of_clients(clients: &[Client]) -> Vec<String> {
    let mut kept = Vec::new();
    for client in clients {
        kept.push(client.client_id.clone());
        kept.extend(client.updated_at.as_deref().map(str::to_owned));
        if let Some(marker) = client.marker() {
            kept.extend([
                marker.cluster,
                marker.namespace,
                marker.name,
                marker.uid,
                marker.revision,
            ]);
        }
        // As a sweep does.
        let _ = client.differences(&Client::default());
    }
    kept
}

fn of_keys(set: &JsonWebKeySet) -> Vec<String> {
    let _ = set.same_as(&JsonWebKeySet::default());
    set.keys.iter().map(|key| key.public.kid.clone()).collect()
}

fn of_provider(provider: &Provider) -> Vec<String> {
    let provider = provider.clone();
    let ids = provider.client_ids();
    let texts: [String; 5] = [
        provider.id.into(),
        provider.name.into(),
        provider.path.into(),
        provider.urn.into(),
        provider.issuer_url.into(),
    ];
    texts.into_iter().chain(ids).collect()
}

fn of_discovery(found: discovery::Discovery) -> Vec<String> {
    let endpoints = found.endpoints;
    let urls = [
        Some(endpoints.issuer),
        endpoints.authorization_endpoint,
        endpoints.device_authorization_endpoint,
        endpoints.token_endpoint,
        endpoints.userinfo_endpoint,
        endpoints.jwks_uri,
        endpoints.revocation_endpoint,
        endpoints.end_session_endpoint,
    ];
    urls.into_iter()
        .flatten()
        .chain(found.scopes)
        .chain(found.id_token_signing_algs)
        .collect()
}

/// Runs one case: an operation gets a made-up reply, and the size of what it keeps is checked.
async fn one(bed: &Bed, recorded: &[(String, String, Value)], seed: u64) {
    let mut dice = Dice(seed);
    let (operation, of) = *dice.one_of(&OPERATIONS);
    let fits = |(file, path, _): &&(String, String, Value)| file.starts_with(of[0]) && path.contains(of[1]);
    let fitting: Vec<_> = recorded.iter().filter(fits).collect();
    assert!(!fitting.is_empty(), "no recording for {operation}");
    let seed_body = match dice.below(4) {
        0 => &dice.one_of(recorded).2,
        _ => &dice.one_of(&fitting).2,
    };
    let body = body(&mut dice, seed_body);
    let status = *dice.one_of(&[
        200, 200, 200, 200, 200, 201, 204, 400, 401, 403, 404, 409, 410, 412, 418, 500, 503,
    ]);
    let id = seed_body["client_id"]
        .as_str()
        .filter(|id| !id.is_empty())
        .unwrap_or("shop");
    let reply = ResponseTemplate::new(status).set_body_raw(body, "application/json");
    let reply = match dice.below(4) {
        0 => reply.insert_header(
            "Link",
            format!("<?page_token={}>; rel=\"next\"", "x".repeat(dice.below(6_000))).as_str(),
        ),
        _ => reply,
    };
    bed.liar.answers(reply);
    match bed.run(operation, id).await {
        Ok(kept) => {
            assert!(kept.len() <= MOST, "{operation}: {} texts", kept.len());
            for text in kept {
                assert!(text.len() <= LONGEST, "{operation}: {} bytes", text.len());
                assert!(!text.contains(char::is_control), "{operation}: {text:?}");
            }
        }
        Err(Failure::Status { error, description, .. }) => {
            let said = error.map_or(0, |error| error.len()) + description.len();
            assert!(said <= 8_192, "{operation}: an error of {said} bytes");
        }
        Err(_) => {}
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test]
async fn any_reply_leads_to_a_failure_or_a_value_of_bounded_size() {
    let recorded = Arc::new(recorded());
    let bed = Arc::new(Bed::start().await);
    let first = number("HOSTILE_SEED");
    let cases = first.map_or(number("HOSTILE_CASES").unwrap_or(CASES), |_| 1);
    let begin = first.unwrap_or_else(|| number("HOSTILE_START").unwrap_or(1));
    for seed in begin..begin + cases {
        let (bed, recorded) = (Arc::clone(&bed), Arc::clone(&recorded));
        let case = tokio::spawn(async move { one(&bed, &recorded, seed).await });
        if let Err(failed) = case.await {
            panic!("HOSTILE_SEED={seed} runs this case again: {failed}");
        }
    }
}
