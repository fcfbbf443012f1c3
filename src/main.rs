//! The `oidc-operator` program.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use oidc_operator::cli::{Cli, Command, LogFormat};
use oidc_operator::{api, app, check, telemetry};
use tokio::runtime::Runtime;

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Command::Crds => {
            for crd in api::crds() {
                let text = api::to_yaml(&crd).context("a CRD cannot be written as YAML")?;
                print!("---\n{text}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(settings) => {
            let runtime = start(settings.log_format, &settings.log)?;
            runtime.block_on(app::run(*settings))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(settings) => start(LogFormat::Text, "warn")?.block_on(check::installation(&settings)),
        Command::UninstallCheck(settings) => start(LogFormat::Text, "warn")?.block_on(check::uninstallation(&settings)),
    }
}

fn start(format: LogFormat, log: &str) -> Result<Runtime> {
    telemetry::init(format, log).context("--log cannot be parsed")?;
    // reqwest and kube share this provider. One that is already installed works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Runtime::new().context("cannot start the async runtime")
}
