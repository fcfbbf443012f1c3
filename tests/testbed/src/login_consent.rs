//! Ory's own login and consent app for Hydra (`hydra-login-consent-logout`), which people copy to begin theirs. It runs
//! on Node and comes from npm. It knows one person, and its ID tokens have no claims but the standard ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{self, Child};
use crate::run_dir::RunDir;
use crate::{fetched, http, programs};

/// The one person whom the app knows: also the subject of tokens.
pub const PERSON: &str = "foo@bar.com";
/// The person's password.
pub const PASSWORD: &str = "foobar";

/// Start of the cache folder's name.
const NAME: &str = "login-consent-25.4.0";
/// What npm installs, with the digest of every package.
const PACKAGE: &str = include_str!("../login-consent/package.json");
const LOCK: &str = include_str!("../login-consent/package-lock.json");
/// The program within the folder.
const PROGRAM: &str = "node_modules/hydra-login-consent-logout/lib/app.js";
/// What the app needs from the machine, with the Debian package that has it.
const TOOLS: [(&str, &str); 2] = [("node", "nodejs"), ("npm", "npm")];
/// Longest wait for the app to be ready.
const LIMIT: Duration = Duration::from_secs(60);

/// A running app. It ends when this value is dropped.
pub struct LoginConsent {
    _child: Child,
    _run: RunDir,
}

impl LoginConsent {
    /// Why this machine cannot run the app; None if it can.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        let missing = process::missing(&TOOLS);
        (!missing.is_empty()).then(|| {
            format!(
                "the login app needs packages that are missing here: {}",
                missing.join(" ")
            )
        })
    }

    /// Variables that make Hydra send its users to an app on this port.
    #[must_use]
    pub fn hydra_env(port: u16) -> [(&'static str, String); 3] {
        [
            ("URLS_LOGIN", "login"),
            ("URLS_CONSENT", "consent"),
            ("URLS_LOGOUT", "logout"),
        ]
        .map(|(name, page)| (name, format!("http://127.0.0.1:{port}/{page}")))
    }

    /// Starts the app on a port, for the Hydra with this admin API. It is fetched first if it is missing.
    ///
    /// # Errors
    /// When npm cannot install it, or the app is not ready in time; the message quotes the end of its log.
    pub async fn start(port: u16, admin_url: &str) -> Result<Self> {
        let folder = tokio::task::spawn_blocking(install).await??;
        let run = RunDir::new()?;
        let mut command = process::command("node");
        command
            .arg(folder.join(PROGRAM))
            .env("NODE_ENV", "production")
            .env("PORT", port.to_string())
            .env("HYDRA_ADMIN_URL", admin_url)
            .env("BASE_URL", format!("http://127.0.0.1:{port}"));
        for name in [
            "ORY_API_KEY",
            "ORY_PAT",
            "MOCK_TLS_TERMINATION",
            "CONFORMITY_FAKE_CLAIMS",
        ] {
            command.env_remove(name);
        }
        let mut child = Child::spawn(
            "the login and consent app",
            command,
            &run.path().join("login-consent.log"),
        )?;
        let url = format!("http://127.0.0.1:{port}/");
        child.wait_ready(LIMIT, async || http::answers_ok(&url).await).await?;
        Ok(Self {
            _child: child,
            _run: run,
        })
    }
}

fn install() -> Result<PathBuf> {
    let digest = programs::short_digest(&[PACKAGE, LOCK]);
    let name = format!("{NAME}-{digest}");
    fetched::ensure(&programs::cache_folder()?, &name, "160 packages of npm", fetch)
}

fn fetch(scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("app");
    fs::create_dir(&folder)?;
    fs::write(folder.join("package.json"), PACKAGE)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    let mut npm = process::command("npm");
    npm.current_dir(&folder)
        .args(["ci", "--omit=dev", "--ignore-scripts"]) // nothing that comes with a package is run here
        .args(["--no-audit", "--no-fund", "--loglevel=error"]);
    fetched::run("npm ci", npm).context("install Node.js and npm (Debian: nodejs and npm)")?;
    Ok(folder)
}
