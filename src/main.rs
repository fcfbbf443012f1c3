//! The `oidc-operator` program.

use anyhow::{Context as _, Result};
use clap::Parser;
use oidc_operator::cli::{Cli, Command};
use oidc_operator::{api, app, telemetry};

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Crds => {
            for crd in api::crds() {
                let text = api::to_yaml(&crd).context("a CRD cannot be written as YAML")?;
                print!("---\n{text}");
            }
            Ok(())
        }
        Command::Run(settings) => {
            telemetry::init(settings.log_format, &settings.log).context("--log cannot be parsed")?;
            // reqwest and kube share this provider. One that is already installed works as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
            runtime.block_on(app::run(*settings))
        }
    }
}
