//! `kubectl oidc`, started by kubectl, with the rights of a person.

mod check;
mod look;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use oidc_operator::api::{JsonWebKeySet, OAuth2Client};
use oidc_operator::plugin::{FAILED, NAME, NOT_READY};
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::run_dir::RunDir;

use crate::bed::{Bed, Space};
use crate::run::Side;

/// Where the operator is.
pub const HOME: [&str; 2] = ["--operator-namespace", NAMESPACE];
const MACHINE: &str = "{ grantTypes: [client_credentials] }";
const ROTATING: &str = "{ grantTypes: [client_credentials], rotation: { withoutOverlap: Allow } }";
const KEYS: &str = "{ generate: { algorithm: ES256 }, privateKey: {} }";

/// The tests of this module.
pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(status_shows_a_tree_and_what_is_wrong),
        side.shared(rotate_replaces_a_secret_and_a_key),
        side.shared(reconcile_is_answered),
        side.shared(a_suspended_resource_rests_until_it_is_resumed),
        side.shared(mistakes_are_explained),
        side.shared(look::explain_names_what_differs_and_who_wrote_it),
        side.shared(look::import_prints_resources_that_adopt),
        side.shared(look::support_bundle_has_no_secrets),
        side.alone(check::options(), check::check_names_what_is_wrong),
        side.shared(check::uninstall_check_names_what_would_be_left),
        side.shared(check::completion_is_a_script_of_the_shell),
    ]
}

/// The plugin in a folder of its own, where kubectl finds it.
pub struct Plugin {
    folder: RunDir,
}

/// What a verb printed, and its exit code.
pub struct Said {
    /// The exit code.
    pub code: Option<i32>,
    /// What it printed to stdout.
    pub out: String,
    /// What it printed to stderr.
    pub err: String,
}

impl Plugin {
    /// Puts it into the folder.
    pub fn new() -> Result<Self> {
        let folder = RunDir::new()?;
        let program = Path::new(env!("CARGO_BIN_EXE_oidc-operator"));
        std::os::unix::fs::symlink(program, folder.path().join(NAME))?;
        Ok(Self { folder })
    }

    /// Runs a verb.
    pub async fn run(&self, space: &Space<'_>, arguments: &[&str]) -> Result<Said> {
        self.run_with(space, arguments, true).await
    }

    /// Runs a verb, in the namespace of the test or in none.
    async fn run_with(&self, space: &Space<'_>, arguments: &[&str], within: bool) -> Result<Said> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [self.folder.path().to_owned()]
                .into_iter()
                .chain(std::env::split_paths(&path)),
        )?;
        let mut kubectl = space.bed().plane().kubectl();
        kubectl.arg("oidc").args(arguments);
        if within {
            kubectl.args(["--namespace", space.name()]);
        }
        let output = kubectl.env("PATH", path).output().await?;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs a verb that must succeed, and returns what it prints.
    pub async fn succeeds(&self, space: &Space<'_>, arguments: &[&str]) -> Result<String> {
        let said = self.run(space, arguments).await?;
        ensure!(
            said.code == Some(0),
            "{arguments:?}: {:?} {}{}",
            said.code,
            said.out,
            said.err
        );
        Ok(said.out)
    }
}

async fn status_shows_a_tree_and_what_is_wrong(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    space.ready::<JsonWebKeySet>("keys", KEYS).await?;
    space
        .ready_client("web", "{ redirectUris: ['https://web.test/cb'], tokenEndpointAuthMethod: private_key_jwt, keySetRef: { name: keys } }")
        .await?;
    let text = plugin.succeeds(&space, &["status"]).await?;
    for line in [
        "AuthorizationServer default  Ready".to_owned(),
        format!("└─ OAuth2Client {}/web  Ready", space.name()),
        format!("   └─ JsonWebKeySet {}/keys  Ready", space.name()),
        "3 resources, all well.".to_owned(),
    ] {
        ensure!(text.lines().any(|found| found == line), "no line `{line}` in {text}");
    }

    space
        .apply_client(
            "lost",
            "{ serverRef: { name: nowhere }, redirectUris: ['https://lost.test/cb'] }",
        )
        .await?;
    space.wait_condition("lost", "Ready", "False", "").await?;
    let said = plugin.run(&space, &["status", "--not-ready", "-o", "json"]).await?;
    ensure!(said.code == Some(NOT_READY.into()), "{:?} {}", said.code, said.err);
    let report: Value = serde_json::from_str(&said.out)?;
    ensure!(report["notReady"] == 1 && report["total"] == 4, "{report:#}");
    let [server] = report["servers"].as_array().context("no servers")?.as_slice() else {
        anyhow::bail!("{report:#}")
    };
    ensure!(
        server["name"] == "nowhere" && server["state"] == "Unknown",
        "{server:#}"
    );
    let lost = &server["children"][0];
    let told = space.client("lost").await?.status.context("no status")?;
    let told = json!(
        told.conditions
            .iter()
            .find(|found| found.type_ == "Ready")
            .map(|found| &found.message)
    );
    ensure!(lost["name"] == "lost" && lost["message"] == told, "{lost:#}");
    Ok(())
}

async fn rotate_replaces_a_secret_and_a_key(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    space.ready_client("app", ROTATING).await?;
    space.ready_client("refused", MACHINE).await?;
    space.ready::<JsonWebKeySet>("keys", KEYS).await?;
    let (before, kept) = (space.secret_data("app").await?, space.secret_data("refused").await?);
    // If one is out of the question, none is rotated.
    let said = plugin.run(&space, &["rotate", "app", "refused"]).await?;
    ensure!(
        said.code == Some(FAILED.into()) && said.err.contains("withoutOverlap: Allow"),
        "{}",
        said.err
    );
    ensure!(
        space.client("app").await?.metadata.annotations.is_none(),
        "app was asked"
    );

    let said = plugin
        .succeeds(&space, &["rotate", "app", "jwks/keys", "--wait"])
        .await?;
    let [app, keys] = said.lines().collect::<Vec<_>>()[..] else {
        anyhow::bail!("{said}")
    };
    ensure!(app.ends_with("/app: done"), "{app}");
    ensure!(keys.contains("the next key is published"), "{keys}");
    let after = space.secret_data("app").await?;
    ensure!(before["CLIENT_ID"] == after["CLIENT_ID"], "another client id");
    ensure!(before["CLIENT_SECRET"] != after["CLIENT_SECRET"], "the same secret");
    ensure!(
        space.secret_data("refused").await? == kept,
        "the refused client has changed"
    );
    space.until_ready::<OAuth2Client>("refused").await.map(drop)
}

async fn reconcile_is_answered(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    space.ready_client("app", MACHINE).await?;
    let said = plugin.succeeds(&space, &["reconcile", "app", "--wait"]).await?;
    ensure!(said == "oauth2client.oidc-operator.dev/app: done\n", "{said}");
    Ok(())
}

async fn a_suspended_resource_rests_until_it_is_resumed(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    space.ready_client("app", MACHINE).await?;
    plugin.succeeds(&space, &["suspend", "app"]).await?;
    space.wait_condition("app", "Suspended", "True", "").await?;
    let said = plugin.run(&space, &["reconcile", "app", "--wait"]).await?;
    ensure!(
        said.code == Some(FAILED.into()) && said.err.contains("Resume it first"),
        "{}",
        said.err
    );
    let text = plugin.succeeds(&space, &["status"]).await?;
    ensure!(text.contains("/app  Suspended"), "{text}");
    plugin.succeeds(&space, &["resume", "app"]).await?;
    space.until_ready::<OAuth2Client>("app").await?;
    ensure!(
        space.client("app").await?.spec.suspend.is_none(),
        "the field is still there"
    );
    Ok(())
}

async fn mistakes_are_explained(bed: &Bed) -> Result<()> {
    let (plugin, space) = (Plugin::new()?, bed.space().await?);
    for (arguments, sentence) in [
        (
            ["rotate", "absent"],
            "cannot read oauth2client.oidc-operator.dev/absent",
        ),
        (["suspend", "authserver/default"], "only its resources can be suspended"),
        (["rotate", "pod/app"], "`pod` is not a kind of the operator"),
        (["status", "--context=absent"], "absent"),
    ] {
        let said = plugin.run(&space, &arguments).await?;
        ensure!(said.code == Some(FAILED.into()), "{arguments:?}: {:?}", said.code);
        ensure!(said.err.contains(sentence), "{arguments:?}: {}", said.err);
        ensure!(said.out.is_empty(), "{arguments:?}: {}", said.out);
    }
    Ok(())
}
