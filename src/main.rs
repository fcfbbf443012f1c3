//! The `oidc-operator` program.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use oidc_operator::cli::{Cli, Command, LogFormat};
use oidc_operator::plugin::arguments::Plugin;
use oidc_operator::telemetry::{self, Traces, Tracing};
use oidc_operator::{api, app, check, plugin};
use tokio::runtime::{Builder, Runtime};

fn main() -> Result<ExitCode> {
    if is_plugin() {
        return Ok(plugin_verb());
    }
    match Cli::parse().command {
        Command::Crds => {
            for crd in api::crds() {
                let text = api::to_yaml(&crd).context("a CRD cannot be written as YAML")?;
                print!("---\n{text}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(settings) => {
            let endpoint = std::env::var("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").ok();
            let tracing = Tracing::of(&settings, endpoint.as_deref())?;
            let (runtime, traces) = start(settings.log_format, &settings.log, tracing.as_ref())?;
            let result = app::run(&runtime, *settings);
            traces.end();
            result?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(settings) => {
            let (runtime, _) = start(LogFormat::Text, "warn", None)?;
            check::installation(&runtime, &settings)
        }
        Command::UninstallCheck(settings) => {
            let (runtime, _) = start(LogFormat::Text, "warn", None)?;
            check::uninstallation(&runtime, &settings)
        }
    }
}

/// Whether the program was started under the name by which kubectl finds its plugin.
fn is_plugin() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name).file_stem().is_some_and(|name| name == plugin::NAME)
}

/// Runs a verb of `kubectl oidc`, and prints why if it fails.
fn plugin_verb() -> ExitCode {
    let arguments = Plugin::parse();
    // Threads that wake each other for every part of an answer take longer than one does alone.
    let result = runtime(&mut Builder::new_current_thread()).and_then(|runtime| plugin::run(&runtime, arguments));
    result.unwrap_or_else(|error| {
        eprintln!("Error: {error:#}");
        ExitCode::from(plugin::FAILED)
    })
}

fn start(format: LogFormat, log: &str, tracing: Option<&Tracing>) -> Result<(Runtime, Traces)> {
    let runtime = runtime(&mut Builder::new_multi_thread())?;
    let traces = telemetry::init(format, log, tracing, runtime.handle())?;
    Ok((runtime, traces))
}

fn runtime(kind: &mut Builder) -> Result<Runtime> {
    // reqwest and kube share this provider. One that is already installed works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    kind.enable_all().build().context("cannot start the async runtime")
}
