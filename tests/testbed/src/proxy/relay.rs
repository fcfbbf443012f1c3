//! The way of one request through a proxy.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri};

use super::fault::{Action, Answer, Hook, Strike, When};
use super::journal::{Recorder, RequestHead};
use super::reply::{Flow, ReplyBody, Shape};
use super::upstream::Connection;
use super::{Core, lock};

/// The largest request that is forwarded.
const MAX_REQUEST_BODY: usize = 8 * 1024 * 1024;

/// Headers that concern one connection only, and `expect`, which is settled by the time the
/// body has been read.
const PER_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Serves a request. An error closes the connection to the client without a reply.
pub(super) async fn handle(core: Arc<Core>, request: Request<Incoming>) -> Result<Response<ReplyBody>> {
    let (parts, body) = request.into_parts();
    let (recorder, strike) = core.gate.admit(RequestHead::of(&parts), &core.journal);
    let body = Limited::new(body, MAX_REQUEST_BODY)
        .collect()
        .await
        .map_err(|error| anyhow!(error).context("request body not read"))?
        .to_bytes();
    recorder.body(&body);
    let relay = Relay {
        request: outgoing(parts, body)?,
        core,
        recorder,
    };
    match strike {
        Some(strike) => relay.struck(strike).await,
        None => relay.pass(Shape::Whole).await,
    }
}

/// A request that has arrived in full.
struct Relay {
    core: Arc<Core>,
    request: Request<Full<Bytes>>,
    recorder: Recorder,
}

impl Relay {
    async fn struck(self, strike: Strike) -> Result<Response<ReplyBody>> {
        let Strike { action, release } = strike;
        let name = action.name();
        match action {
            Action::Refuse => {}
            Action::LoseReply => {
                self.act().await?;
            }
            Action::Answer(answer) => return reply(&self.recorder, answer),
            Action::AnswerAfter(answer) => return reply(&self.act().await?, answer),
            Action::Delay(delay) => {
                wait(delay, release.cancelled()).await;
                return self.pass(Shape::Whole).await;
            }
            Action::Hang => release.cancelled().await,
            Action::HangReply => {
                let _recorder = self.act().await?;
                release.cancelled().await;
            }
            Action::Truncate { bytes } => return self.pass(Shape::Truncated(bytes)).await,
            Action::Trickle { bytes_per_second } => {
                let shape = Shape::Trickled {
                    bytes_per_second,
                    release,
                };
                return self.pass(shape).await;
            }
            Action::Call { when, hook } => {
                let _recorder = match when {
                    When::Before => self.recorder,
                    When::After => self.act().await?,
                };
                call(hook).await?;
            }
        }
        Err(anyhow!("fault {name}"))
    }

    /// Forwards the request and streams the reply to the client.
    async fn pass(self, shape: Shape) -> Result<Response<ReplyBody>> {
        let (response, connection, recorder) = self.forward().await?;
        let (mut parts, source) = response.into_parts();
        strip(&mut parts.headers);
        recorder.status(parts.status.as_u16());
        let flow = Flow {
            source,
            _connection: connection,
            recorder,
            shape,
        };
        let mut reply = Response::new(flow.into_body());
        *reply.status_mut() = parts.status;
        *reply.headers_mut() = parts.headers;
        Ok(reply)
    }

    /// Forwards the request, waits for the whole reply and discards it.
    async fn act(self) -> Result<Recorder> {
        let (response, _connection, recorder) = self.forward().await?;
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.context("the upstream broke off its reply")?;
        }
        Ok(recorder)
    }

    async fn forward(self) -> Result<(Response<Incoming>, Connection, Recorder)> {
        let target = Arc::clone(&lock(&self.core.target));
        let (response, connection) = target.send(self.request).await?;
        self.recorder.upstream_status(response.status().as_u16());
        Ok((response, connection, self.recorder))
    }
}

fn outgoing(parts: Parts, body: Bytes) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = parts.method;
    // Only the target: a client may have written the whole URL, which servers need not accept.
    *request.uri_mut() = match parts.uri.path_and_query() {
        Some(target) => Uri::from(target.clone()),
        None => Uri::from_static("/"),
    };
    *request.headers_mut() = parts.headers;
    strip(request.headers_mut());
    Ok(request)
}

fn strip(headers: &mut HeaderMap) {
    for name in &PER_CONNECTION {
        headers.remove(name);
    }
}

fn reply(recorder: &Recorder, answer: Answer) -> Result<Response<ReplyBody>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let body = Full::new(answer.body).map_err(|never| match never {});
    let response = response
        .body(body.boxed_unsync())
        .context("the answer of a fault is no HTTP reply")?;
    recorder.status(answer.status);
    recorder.complete();
    Ok(response)
}

/// Runs a hook where it may block, and to its end even if it kills the client and thereby the
/// request that it is called for.
async fn call(hook: Hook) -> Result<()> {
    tokio::task::spawn_blocking(move || hook())
        .await
        .context("the hook of a fault failed")
}

/// Waits for a time, or less if released.
async fn wait(time: Duration, released: impl Future<Output = ()>) {
    // Running out of time is the regular end.
    let _ = tokio::time::timeout(time, released).await;
}
