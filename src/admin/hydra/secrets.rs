//! Secrets of a client that the server makes itself, so that it can keep the former ones valid beside the new one. A
//! server that cannot do this is found by asking, since builds with it tell no version of their own.

use reqwest::Method;
use serde::Deserialize;

use super::clients::one;
use super::wire::is_absent;
use super::{Client, Hydra};
use crate::admin::http::{Failure, Reply, Request};
use crate::secret::Secret;

/// The answer to a request about the secrets of a client.
pub enum Answer<T> {
    /// The server did it.
    Done(T),
    /// The client does not exist.
    NoClient,
    /// The server has no such operation.
    NoOperation,
}

/// A client with its new secret. No Debug.
pub struct Rotated {
    /// The client, as after an update.
    pub client: Client,
    /// The new secret. No other reply shows it again.
    pub secret: Secret,
}

#[derive(Deserialize)]
struct WithSecret {
    client_secret: Secret,
}

impl Hydra {
    /// `rotate_o_auth2_client_secret`: makes a new secret. The secret so far and the four before it stay valid for
    /// authentication. Only for clients that authenticate with `client_secret_basic` or `client_secret_post`.
    ///
    /// After a lost reply nobody knows the new secret. The one before it still works, so the request can be repeated up
    /// to four times.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn rotate_secret(&self, id: &str) -> Result<Answer<Rotated>, Failure> {
        let path = self.path(&["clients", id, "secrets", "rotate"]);
        let request = Request::new("rotate_o_auth2_client_secret", Method::POST, &path);
        let with_secret = |reply: Reply| {
            let secret = WithSecret::deserialize(&reply.body).map(|found| found.client_secret);
            let secret = secret.ok().filter(|secret| !secret.expose().is_empty());
            Ok(Rotated {
                secret: secret.ok_or(Failure::Reply("has no secret"))?,
                client: one(reply, id)?,
            })
        };
        answer(self.http.send(request).await, with_secret)
    }

    /// `delete_rotated_o_auth2_client_secrets`: ends all former secrets. The current one stays.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn end_former_secrets(&self, id: &str) -> Result<Answer<()>, Failure> {
        let path = self.path(&["clients", id, "secrets", "rotate"]);
        let request = Request::new("delete_rotated_o_auth2_client_secrets", Method::DELETE, &path);
        answer(self.http.send(request).await, |reply| one(reply, id).map(drop))
    }
}

/// Hydra's own 404 is about the client. Any other one, and 405, are those of a router without such a path.
fn answer<T>(
    sent: Result<Reply, Failure>,
    read: impl FnOnce(Reply) -> Result<T, Failure>,
) -> Result<Answer<T>, Failure> {
    match sent {
        Ok(reply) => read(reply).map(Answer::Done),
        Err(failure) if is_absent(&failure) => Ok(Answer::NoClient),
        Err(Failure::Status { code: 404 | 405, .. }) => Ok(Answer::NoOperation),
        Err(failure) => Err(failure),
    }
}
