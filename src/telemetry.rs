//! Logs and traces.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use url::Url;

use crate::admin::http::Collector;
use crate::cli::{LogFormat, Run};
use crate::proxies::Proxies;
use crate::spans;

/// Name of the service in traces, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise.
const SERVICE: &str = "oidc-operator";

/// How long the last spans may take to reach the collector when the process stops.
const FLUSH: Duration = Duration::from_secs(3);

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// The URL that receives spans.
    pub url: Url,
    /// Part of the traces that is recorded.
    pub ratio: f64,
}

/// The recording of traces. It must be ended, or the last spans are lost.
#[must_use]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is recorded and ends the recording.
    pub fn end(self) {
        let Some(provider) = self.0 else { return };
        // The collector's client reports why it failed.
        if provider.shutdown_with_timeout(FLUSH).is_err() {
            tracing::debug!("the last spans were not sent");
        }
    }
}

impl Tracing {
    /// The settings of a run. None: no traces. `traces_endpoint`: the value of OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
    ///
    /// # Errors
    /// If the URL cannot be used.
    pub fn of(run: &Run, traces_endpoint: Option<&str>) -> Result<Option<Self>> {
        let filled = |text: &str| !text.trim().is_empty();
        let whole = traces_endpoint.filter(|text| filled(text)).map(str::to_owned);
        let base = run.otlp_endpoint.as_deref().filter(|text| filled(text));
        let below = base.map(|base| format!("{}/v1/traces", base.trim_end_matches('/')));
        let Some(url) = whole.or(below) else { return Ok(None) };
        let url = Url::parse(url.trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.context("the collector's address is not a URL such as http://collector.monitoring:4318")?;
        Ok(Some(Tracing {
            url,
            ratio: run.trace_sample_ratio,
        }))
    }

    fn provider(&self, runtime: Handle) -> Result<SdkTracerProvider> {
        let client = Collector::new(&self.url, Proxies::of_process(), runtime);
        let client = client.map_err(|bad| anyhow!("the collector cannot be reached as configured: {bad:?}"))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(self.url.as_str())
            .with_protocol(Protocol::HttpBinary)
            .build();
        let exporter = exporter.context("the exporter of traces cannot be made")?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.ratio)));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_sampler(sampler)
            .with_batch_exporter(exporter)
            .build();
        Ok(provider)
    }
}

/// What the process says about itself. A name in the environment counts.
fn resource() -> Resource {
    let name = Key::from_static_str("service.name");
    let of_environment = EnvResourceDetector::new().detect();
    let is_named = of_environment.get(&name).is_some() || std::env::var_os("OTEL_SERVICE_NAME").is_some();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    match is_named {
        true => builder.build(),
        false => builder.with_service_name(SERVICE).build(),
    }
}

/// A filter, as levels and targets.
fn targets(filter: &str) -> Result<Targets> {
    let parts = filter.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.collect();
    if parts.iter().any(|part| part.contains(['[', '{'])) {
        return Err(anyhow!(
            "--log selects no spans and no fields; write levels and targets, such as info,oidc_operator=debug"
        ));
    }
    parts.join(",").parse().context("--log cannot be parsed")
}

/// Starts logging to standard output, and the recording of traces if there is a collector.
///
/// # Errors
/// If the filter or the address of the collector cannot be used.
pub fn init(format: LogFormat, filter: &str, tracing: Option<&Tracing>, runtime: &Handle) -> Result<Traces> {
    let filter = targets(filter)?
        // Below `error`, kube logs a reply that it cannot parse in full, and the reply may be a Secret.
        .with_target("kube_client::client", LevelFilter::ERROR)
        .with_target(spans::TARGET, LevelFilter::OFF);
    let lines = match format {
        LogFormat::Json => json_subscriber::layer()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .flatten_span_list_on_top_level(true)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stdout().is_terminal())
            .boxed(),
    };
    let provider = tracing.map(|tracing| tracing.provider(runtime.clone())).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        let own = |of: &str| of == spans::TARGET || of.starts_with("oidc_operator::controller");
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(move |metadata| metadata.is_span() && own(metadata.target())))
    });
    let lines = lines.with_filter(filter);
    tracing_subscriber::registry().with(lines).with(spans).init();
    Ok(Traces(provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_levels_and_targets() {
        for (filter, debug, warn) in [
            ("info", false, true),
            ("info,oidc_operator=debug", true, true),
            (" info , oidc_operator=debug,,", true, true),
            ("warn,other=debug", false, true),
            ("off", false, false),
        ] {
            let found = targets(filter).expect("a filter");
            let would = |level: &tracing::Level| found.would_enable("oidc_operator::app", level);
            assert_eq!(
                (would(&tracing::Level::DEBUG), would(&tracing::Level::WARN)),
                (debug, warn),
                "{filter}"
            );
        }
        for filter in ["oidc_operator[pass]=debug", "loud?=x", "info,oidc_operator{name}=debug"] {
            assert!(targets(filter).is_err(), "{filter}");
        }
    }
}
