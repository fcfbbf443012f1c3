//! Logs.

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Starts logging to standard output.
///
/// # Errors
/// If the filter cannot be read.
pub fn init(format: LogFormat, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    // Below `error`, kube logs a reply that it cannot parse in full, and the reply may be a Secret.
    let filter = EnvFilter::try_new(filter)?.add_directive("kube_client::client=error".parse()?);
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
    Ok(())
}
