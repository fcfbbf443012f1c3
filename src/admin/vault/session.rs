//! The login at a Vault: one for all requests. The operator logs in when the login is first needed, renews it before it
//! expires, logs in again when it is lost, and revokes the token at the end.
//!
//! The token is in memory only. Requests that need it during a login wait for that login.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::health::{self, Health};
use super::login::Login;
use super::path::{API, path_of};
use crate::admin::http::{Body, Failure, Http, Order, Reply, Request};
use crate::error::Outage;
use crate::metrics::LoginResult;
use crate::secret::Secret;

/// Header that carries the token.
const TOKEN: &str = "X-Vault-Token";
/// Header that carries the namespace. As a part of the path, a missing namespace would look like a forbidden one.
pub(super) const NAMESPACE: &str = "X-Vault-Namespace";
/// Operation that reports what a token may be used for and how long.
const LOOK_UP: &str = "lookup-self";
/// Why the operator cannot log in to a Vault namespace that does not exist.
pub const NO_NAMESPACE: &str = "there is no such Vault namespace";
/// Why the operator does not log in to another cluster.
pub const OTHER_CLUSTER: &str = "a different cluster than before answers at vault.address";
/// A login that lasts longer is treated as if it ended after this time.
const LONGEST_LEASE: Duration = Duration::from_secs(365 * 86_400);
/// How long to wait after a failed renewal, while the token is still valid.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// The login of one server.
pub struct Session {
    http: Arc<Http>,
    login: Login,
    /// The namespace to log in to; empty: the root namespace.
    namespace: String,
    /// Id of the cluster that the login is for, once that is known.
    cluster: OnceLock<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    closed: bool,
}

struct Token {
    secret: Secret,
    /// None if the token never expires.
    lease: Option<Lease>,
}

struct Lease {
    renew_at: Instant,
    ends_at: Instant,
    renewable: bool,
    /// Duration that the login granted. A renewal that grants far less shows that the token's maximum lifetime is near.
    full: Duration,
}

impl Session {
    /// A session that is not logged in yet. `namespace`: where the auth method is; the empty string is the root
    /// namespace.
    pub fn new(http: Arc<Http>, login: Login, namespace: &str) -> Self {
        Session {
            http,
            login,
            namespace: namespace.to_owned(),
            cluster: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    /// Allows logins at this cluster only. The first call counts.
    pub fn is_for_cluster(&self, id: &str) {
        self.cluster.get_or_init(|| id.to_owned());
    }

    /// The endpoint.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Whether the login is in a namespace other than the root.
    pub fn uses_namespaces(&self) -> bool {
        !self.namespace.is_empty()
    }

    /// How and with which role it logs in, in words.
    pub fn describe(&self) -> String {
        self.login.describe()
    }

    /// Logs in if necessary, and renews the login if it is due. Passes an open circuit breaker. Returns when to call it
    /// again, if the login expires.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn keep(&self) -> Result<Option<Duration>, Failure> {
        self.token(true).await?;
        let state = self.state.lock().await;
        let lease = state.token.as_ref().and_then(|token| token.lease.as_ref());
        Ok(lease.map(|lease| lease.renew_at.saturating_duration_since(Instant::now())))
    }

    /// Sends a request with the token. If the token is no longer valid, logs in again and sends the request once more.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::Denied`] if the login is valid but lacks the permission, [`Failure::NoLogin`] or
    /// [`Failure::NotSent`] if logging in fails.
    pub async fn send<'a>(&self, namespace: &str, request: impl Fn() -> Request<'a>) -> Result<Reply, Failure> {
        let probe = request().probe;
        let token = self.token(probe).await?;
        let reply = self.with(namespace, Some(&token), request()).await;
        if !matches!(reply, Err(Failure::Refused(_))) {
            return reply;
        }
        match self.on_self("lookup_self", LOOK_UP, &token, probe).await {
            Ok(_) => return Err(Failure::Denied),
            Err(Failure::Refused(_)) => self.forget(&token).await,
            Err(failure) => return Err(failure),
        }
        let token = self.token(probe).await?;
        match self.with(namespace, Some(&token), request()).await {
            Err(Failure::Refused(_)) => Err(Failure::Denied),
            other => other,
        }
    }

    /// The health of the server, as it shows it after the login: HashiCorp Vault then hides nothing. Passes an open
    /// circuit breaker.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn health(&self) -> Result<Health, Failure> {
        // The server refuses it in a namespace.
        health::parse(self.send("", health::request).await?.body)
    }

    /// Ends the session for good. Revokes the token, unless it is a [`Login::Token`]. If that fails, the token expires
    /// later.
    pub async fn close(&self) {
        let mut state = self.state.lock().await;
        state.closed = true;
        let Some(token) = state.token.take() else { return };
        if matches!(self.login, Login::Token(_)) {
            return;
        }
        if self
            .on_self("revoke_self", "revoke-self", &token.secret, true)
            .await
            .is_err()
        {
            tracing::debug!("a token could not be revoked; it will expire");
        }
    }

    async fn with(&self, namespace: &str, token: Option<&Secret>, request: Request<'_>) -> Result<Reply, Failure> {
        let namespace = (!namespace.is_empty()).then_some((NAMESPACE, namespace));
        let token = token.map(|token| (TOKEN, token.expose()));
        let headers = namespace.into_iter().chain(token).collect();
        self.http.send(Request { headers, ..request }).await
    }

    /// A request about the token itself, below `auth/token`.
    async fn on_self(
        &self,
        operation: &'static str,
        what: &str,
        token: &Secret,
        probe: bool,
    ) -> Result<Reply, Failure> {
        let path = path_of(&["auth", "token", what]);
        let request = match what {
            LOOK_UP => Request::new(operation, Method::GET, &path),
            _ => Request {
                body: Some(Body::Json(b"{}".to_vec())),
                reads: true,
                ..Request::new(operation, Method::POST, &path)
            },
        };
        let order = Order::Ahead;
        let request = Request {
            probe,
            order,
            ..request
        };
        self.with(&self.namespace, Some(token), request).await
    }

    async fn forget(&self, dead: &Secret) {
        let mut state = self.state.lock().await;
        state.token.take_if(|token| token.secret == *dead);
    }

    async fn token(&self, probe: bool) -> Result<Secret, Failure> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(Failure::Outage(Outage::Known));
        }
        let now = Instant::now();
        match &state.token {
            Some(Token { secret, lease: None }) => return Ok(secret.clone()),
            // `keep` renews the login; other requests need not wait for that.
            Some(Token {
                secret,
                lease: Some(lease),
            }) if now < lease.renew_at || now < lease.ends_at && !probe => return Ok(secret.clone()),
            Some(Token {
                secret,
                lease: Some(lease),
            }) if now < lease.ends_at && lease.renewable => {
                let (secret, full) = (secret.clone(), lease.full);
                if let Some(secret) = self.renew(&mut state, secret, full).await {
                    return Ok(secret);
                }
            }
            _ => {}
        }
        state.token = None;
        if !probe && self.http.breaker().is_open() {
            return Err(Failure::Outage(Outage::Known));
        }
        let logged_in = self.log_in(probe).await;
        self.http.logged_in(match logged_in {
            Ok(_) => LoginResult::Success,
            Err(_) => LoginResult::Failure,
        });
        let token = logged_in.inspect_err(|failure| {
            // Other requests need not try as well.
            if matches!(failure, Failure::NoLogin(_) | Failure::NotSent(_)) {
                self.http.breaker().open(None);
            }
        })?;
        let secret = token.secret.clone();
        state.token = Some(token);
        Ok(secret)
    }

    /// None if the token cannot be renewed.
    async fn renew(&self, state: &mut MutexGuard<'_, State>, secret: Secret, full: Duration) -> Option<Secret> {
        match self.on_self("renew_self", "renew-self", &secret, true).await {
            Ok(reply) => {
                let lease = lease(reply.body.get("auth")?, "lease_duration")?;
                if lease.full * 3 < full {
                    return None;
                }
                state.token = Some(Token {
                    secret: secret.clone(),
                    lease: Some(Lease { full, ..lease }),
                });
                Some(secret)
            }
            Err(Failure::Refused(_) | Failure::Status { .. }) => None,
            Err(_) => {
                let lease = state.token.as_mut()?.lease.as_mut()?;
                lease.renew_at = Instant::now() + RENEW_AGAIN;
                Some(secret)
            }
        }
    }

    async fn log_in(&self, probe: bool) -> Result<Token, Failure> {
        // If the address now leads to another cluster, that cluster does not know the token, and the session logs in
        // again. The login must not be sent there.
        if let Some(known) = self.cluster.get() {
            let found = health::health(&self.http).await?;
            if found.is_of_another_cluster(known) {
                return Err(Failure::NoLogin(OTHER_CLUSTER));
            }
        }
        let (mount, body) = match &self.login {
            Login::Token(secret) => return self.adopt(secret, probe).await,
            Login::Kubernetes(path, role, jwt) => (path, json!({ "role": role, "jwt": jwt.get().await?.expose() })),
            Login::Jwt(path, role, jwt) => (path, json!({ "role": role, "jwt": jwt.get().await?.expose() })),
            Login::AppRole(path, role_id, secret_id) => {
                (path, json!({ "role_id": role_id, "secret_id": secret_id.expose() }))
            }
            Login::Certificate(path, name) => (path, json!({ "name": name })),
        };
        let path: Vec<&str> = [API, "auth"]
            .into_iter()
            .chain(mount.split('/'))
            .chain(["login"])
            .collect();
        let request = Request {
            body: Some(Body::Json(without_nulls(body).to_string().into_bytes())),
            probe,
            reads: true,
            order: Order::Ahead,
            ..Request::new("login", Method::POST, &path)
        };
        let reply = self.with(&self.namespace, None, request).await.map_err(refused)?;
        let auth = reply.body.get("auth").ok_or(Failure::Reply("holds no token"))?;
        let secret = auth.get("client_token").and_then(Value::as_str);
        Ok(Token {
            secret: Secret::new(secret.ok_or(Failure::Reply("holds no token"))?.to_owned()),
            lease: lease(auth, "lease_duration"),
        })
    }

    /// Uses a [`Login::Token`]. Its lifetime has to be looked up.
    async fn adopt(&self, secret: &Secret, probe: bool) -> Result<Token, Failure> {
        let reply = self.on_self("lookup_self", LOOK_UP, secret, probe).await;
        let reply = reply.map_err(|failure| match failure {
            Failure::Refused(_) => {
                Failure::NoLogin("the token is refused; it is no longer valid, or belongs to another Vault namespace")
            }
            other => other,
        })?;
        Ok(Token {
            secret: secret.clone(),
            lease: reply.body.get("data").and_then(|data| lease(data, "ttl")),
        })
    }
}

/// Why a login failed. The server's text is not shown, but it hints at the cause.
fn refused(failure: Failure) -> Failure {
    let (code, text) = match &failure {
        Failure::Refused(code) => (*code, ""),
        Failure::Status { code, description, .. } => (*code, description.as_str()),
        _ => return failure,
    };
    let problem = match (code, text) {
        (404, text) if names_namespace(text) => NO_NAMESPACE,
        (403 | 404, _) => {
            "the login is refused; the auth method is not mounted at that path, or the role does not accept the ServiceAccount, its namespace or the audiences"
        }
        (_, text) if text.contains("role") => "there is no such role, or the secret id is not valid",
        (_, text) if text.contains("certificate") => "the client certificate is not accepted, or none was sent",
        (_, text) if text.contains("token") || text.contains("claim") => {
            "the token is not accepted; compare its issuer, audience and expiry with the role"
        }
        _ => "the login is not accepted",
    };
    Failure::NoLogin(problem)
}

/// Whether a 404 of this text is about the namespace.
pub fn names_namespace(text: &str) -> bool {
    text.contains("namespace") || text.contains("no handler for route")
}

/// When a token has to be renewed and when it expires. None if it never expires.
fn lease(auth: &Value, duration: &str) -> Option<Lease> {
    let seconds = auth
        .get(duration)
        .and_then(Value::as_u64)
        .filter(|seconds| *seconds > 0)?;
    let full = Duration::from_secs(seconds).min(LONGEST_LEASE);
    let now = Instant::now();
    Some(Lease {
        renew_at: now + full.mul_f64(2.0 / 3.0),
        ends_at: now + full,
        renewable: auth.get("renewable").and_then(Value::as_bool).unwrap_or_default(),
        full,
    })
}

/// Removes members that are null: the server does not treat them as absent.
fn without_nulls(body: Value) -> Value {
    match body {
        Value::Object(members) => {
            let present: Map<String, Value> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
            Value::Object(present)
        }
        other => other,
    }
}
