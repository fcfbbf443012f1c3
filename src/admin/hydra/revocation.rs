//! Token revocation (RFC 7009) on the public API. It authenticates the client, so it shows whether a secret is right.

use reqwest::Method;

use super::wire;
use crate::admin::http::{Body, Failure, Http, Request};
use crate::secret::{Secret, basic_credentials};

/// How a client sends its secret (OpenID Connect Core 1.0, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentIn {
    /// In the Authorization header: `client_secret_basic`.
    Header,
    /// In the body: `client_secret_post`.
    Body,
}

impl SentIn {
    /// The way of an authentication method. None: the method uses no secret.
    pub fn of(method: &str) -> Option<Self> {
        match method {
            "" | "client_secret_basic" => Some(SentIn::Header),
            "client_secret_post" => Some(SentIn::Body),
            _ => None,
        }
    }
}

/// Whether a secret is the one of a client. It revokes a token that does not exist, which has no effect (RFC 7009,
/// section 2.2). Versions 1 and 2 answer 200 if the secret is right, and otherwise 401.
///
/// # Errors
/// [`Failure`], for every other answer.
pub async fn is_secret_of(public: &Http, client_id: &str, secret: &Secret, sent_in: SentIn) -> Result<bool, Failure> {
    const TOKEN: (&str, &str) = ("token", "none");
    let basic = Secret::new(format!("Basic {}", basic_credentials(client_id, secret).expose()));
    let (headers, body): (Vec<(&'static str, &str)>, Body) = match sent_in {
        SentIn::Header => (vec![("authorization", basic.expose())], wire::form(&[TOKEN])),
        SentIn::Body => {
            let id = ("client_id", client_id);
            (Vec::new(), wire::form(&[TOKEN, id, ("client_secret", secret.expose())]))
        }
    };
    let request = Request {
        headers,
        body: Some(body),
        probe: true, // nobody probes the public API, so its circuit breaker must not stop this
        ..Request::new("revoke_o_auth2_token", Method::POST, &["oauth2", "revoke"])
    };
    match public.send(request).await {
        Ok(_) => Ok(true),
        Err(Failure::Refused(401)) => Ok(false),
        Err(failure) => Err(failure),
    }
}
