//! Logs.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;

/// Starts logging to standard output.
///
/// # Errors
/// If the filter cannot be read.
pub fn init(format: LogFormat, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    // Below `error`, kube logs a reply that it cannot parse in full, and the reply may be a Secret.
    let filter = EnvFilter::try_new(filter)?.add_directive("kube_client::client=error".parse()?);
    match format {
        LogFormat::Json => {
            let lines = json_subscriber::layer()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .flatten_span_list_on_top_level(true);
            tracing_subscriber::registry().with(filter).with(lines).init();
        }
        LogFormat::Text => tracing_subscriber::fmt().with_env_filter(filter).init(),
    }
    Ok(())
}
