//! Spans of traces: a pass, and each request that it makes. Their attributes are names and codes, never a URL, a body or
//! a header. Without a collector they cost nothing.

use opentelemetry::trace::{Status, TraceContextExt as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Target of spans that traces have and log lines have not.
pub const TARGET: &str = "oidc_operator::trace";

/// A request to an authorization server.
pub fn request(server: &str, operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "request",
        otel.kind = "client",
        server,
        operation
    )
}

/// A request to the Kubernetes API.
pub fn kubernetes(operation: &'static str, kind: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "kubernetes",
        otel.kind = "client",
        operation,
        object = kind
    )
}

/// Records the status code of a reply; 0: no reply.
pub fn answered(span: &Span, code: u16) {
    span.set_attribute("code", i64::from(code));
    if code == 0 || code >= 400 {
        span.set_status(Status::error(""));
    }
}

/// Records the result of the pass that is running.
pub fn ended(result: &'static str, is_failure: bool) {
    let span = Span::current();
    span.set_attribute("result", result);
    if is_failure {
        span.set_status(Status::error(result));
    }
}

/// The id of the trace of a span, if it is recorded.
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_sampled().then(|| context.trace_id().to_string())
}
