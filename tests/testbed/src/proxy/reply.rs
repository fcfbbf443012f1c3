//! Bodies of replies, passed on as they arrive.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use tokio_util::sync::CancellationToken;

use super::journal::Recorder;
use super::upstream::Connection;

/// How many pieces per second a trickled body is cut into.
const TRICKLE_STEPS: usize = 20;

/// The body of a reply to the client.
pub(super) type ReplyBody = UnsyncBoxBody<Bytes, anyhow::Error>;

/// What is done to a body on its way.
pub(super) enum Shape {
    Whole,
    /// Cut after this many more bytes.
    Truncated(usize),
    /// Slowed down until released.
    Trickled {
        bytes_per_second: usize,
        release: CancellationToken,
    },
}

/// A body of the server on its way to the client.
///
/// It owns the exchange's record and the connection to the server: both end when the client
/// has the body or has left.
pub(super) struct Flow {
    pub(super) source: Incoming,
    pub(super) _connection: Connection,
    pub(super) recorder: Recorder,
    pub(super) shape: Shape,
}

impl Flow {
    pub(super) fn into_body(self) -> ReplyBody {
        if self.source.is_end_stream() {
            self.recorder.complete();
            return Empty::new().map_err(|never| match never {}).boxed_unsync();
        }
        let pump = Pump {
            flow: self,
            held: Bytes::new(),
        };
        StreamBody::new(stream::try_unfold(pump, Pump::next)).boxed_unsync()
    }
}

struct Pump {
    flow: Flow,
    /// Received, but not yet passed on.
    held: Bytes,
}

impl Pump {
    async fn next(mut self) -> Result<Option<(Frame<Bytes>, Self)>> {
        if matches!(self.flow.shape, Shape::Truncated(0)) {
            // One pause lets hyper flush what it has; then the error makes it close the
            // connection.
            tokio::task::yield_now().await;
            bail!("reply truncated");
        }
        let Some(data) = self.take().await? else {
            self.flow.recorder.complete();
            return Ok(None);
        };
        let data = self.shape(data).await;
        // Recorded with the last piece, because hyper does not ask for more once it has as much
        // as the head announced.
        if self.held.is_empty() && self.flow.source.is_end_stream() {
            self.flow.recorder.complete();
        }
        Ok(Some((Frame::data(data), self)))
    }

    /// The next piece of data; trailers are left out.
    async fn take(&mut self) -> Result<Option<Bytes>> {
        if !self.held.is_empty() {
            return Ok(Some(std::mem::take(&mut self.held)));
        }
        while let Some(frame) = self.flow.source.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    async fn shape(&mut self, mut data: Bytes) -> Bytes {
        match &mut self.flow.shape {
            Shape::Whole => {}
            Shape::Truncated(left) => {
                // What is cut off counts as held back: the reply is not complete.
                self.held = data.split_off(data.len().min(*left));
                *left -= data.len();
            }
            Shape::Trickled {
                bytes_per_second,
                release,
            } if !release.is_cancelled() => {
                let pace = (*bytes_per_second).max(1);
                let piece = (pace / TRICKLE_STEPS).clamp(1, data.len().max(1));
                self.held = data.split_off(piece.min(data.len()));
                let pause = Duration::from_secs_f64(data.len() as f64 / pace as f64);
                let _ = tokio::time::timeout(pause, release.cancelled()).await;
            }
            Shape::Trickled { .. } => {}
        }
        data
    }
}
