//! A server that issues, renews and revokes tokens as a Vault does, and answers requests with a valid token.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::errors_reply;
use crate::json_reply;

/// How the server answers. The defaults are those of a healthy server.
#[derive(Clone)]
pub struct Rules {
    /// The lease that a login grants besides the token.
    pub lease: Value,
    /// The answer to a login, if it is not one with a token.
    pub login: Option<ResponseTemplate>,
    /// The answer to a renewal.
    pub renewal: ResponseTemplate,
    /// The answer to a lookup of a token.
    pub look_up: ResponseTemplate,
    /// The answer to a health request.
    pub health: ResponseTemplate,
    /// The answer to everything else.
    pub other: ResponseTemplate,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            lease: lease(3600, true),
            login: None,
            renewal: json_reply(200, &json!({ "auth": lease(3600, true) })),
            look_up: json_reply(200, &json!({ "data": { "ttl": 0, "renewable": false } })),
            health: json_reply(200, &json!({ "initialized": true, "sealed": false })),
            other: json_reply(200, &json!({ "data": { "description": "", "template": "{}" } })),
        }
    }
}

/// The lease of a token, as in the reply to a login or a renewal.
pub fn lease(seconds: u64, renewable: bool) -> Value {
    json!({ "lease_duration": seconds, "renewable": renewable })
}

/// Longest wait for a request that must arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// The server.
#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    arrived: Arc<Notify>,
}

struct State {
    rules: Rules,
    made: usize,
    good: BTreeSet<String>,
}

impl Fake {
    /// Starts a server. The given token is valid.
    pub async fn start(rules: Rules) -> (MockServer, Fake) {
        let good = BTreeSet::from([super::GIVEN.to_owned()]);
        let fake = Fake {
            state: Arc::new(Mutex::new(State { rules, made: 0, good })),
            arrived: Arc::default(),
        };
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(fake.clone()).mount(&server).await;
        (server, fake)
    }

    /// Makes every token invalid.
    pub fn kill(&self) {
        self.lock().good.clear();
    }

    /// Makes a token valid.
    pub fn revive(&self, token: &str) {
        self.lock().good.insert(token.to_owned());
    }

    /// Changes how the server answers.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.lock().rules);
    }

    /// Waits for a request with a valid token that is not about the token itself.
    pub async fn arrival(&self) {
        let arrived = tokio::time::timeout(ARRIVAL, self.arrived.notified()).await;
        arrived.expect("a request");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Respond for Fake {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.lock();
        let path = request.url.path();
        if path.ends_with("/login") {
            return state.log_in();
        }
        if path == "/v1/sys/health" {
            return state.rules.health.clone();
        }
        let Some(token) = header(request, "X-Vault-Token").filter(|token| state.good.contains(token)) else {
            return errors_reply(403, &["permission denied"]);
        };
        match path {
            "/v1/auth/token/lookup-self" => state.rules.look_up.clone(),
            "/v1/auth/token/renew-self" => state.rules.renewal.clone(),
            "/v1/auth/token/revoke-self" => {
                state.good.remove(&token);
                ResponseTemplate::new(204)
            }
            _ => {
                self.arrived.notify_one();
                state.rules.other.clone()
            }
        }
    }
}

impl State {
    fn log_in(&mut self) -> ResponseTemplate {
        if let Some(instead) = &self.rules.login {
            return instead.clone();
        }
        self.made += 1;
        let token = format!("geheim-{}", self.made);
        self.good.insert(token.clone());
        let mut auth = self.rules.lease.clone();
        auth["client_token"] = json!(token);
        json_reply(200, &json!({ "auth": auth }))
    }
}

/// The value of a header.
pub fn header(request: &Request, name: &str) -> Option<String> {
    let value = request.headers.get(name)?;
    Some(value.to_str().expect("text").to_owned())
}

/// Requests that a server received: method, path, and the token, if any.
pub async fn asked(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap_or_default();
    let shown = requests.iter().map(|request| {
        let path = request.url.path().trim_start_matches("/v1/");
        match header(request, "X-Vault-Token") {
            Some(token) => format!("{} {path} as {token}", request.method),
            None => format!("{} {path}", request.method),
        }
    });
    shown.collect()
}

/// How often a server received this request.
pub async fn count(server: &MockServer, what: &str) -> usize {
    asked(server).await.iter().filter(|asked| *asked == what).count()
}
