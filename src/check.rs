//! The verbs that check an installation. They print what they find, and only read.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::runtime::Runtime;

use crate::api::{Assignment, AuthorizationServer, FINALIZER, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::cli::Run;
use crate::controller::engine::lifecycle::is_held;
use crate::controller::engine::managed::{Managed, OnServer};
use crate::decode::Item;
use crate::health::Prerequisites;
use crate::kubernetes;
use crate::prerequisites;
use crate::proxies::Proxies;
use crate::reach::Reach;

/// Maximum number of resources that are named.
const NAMED: usize = 20;
/// Objects per page of a list.
const PAGE: u32 = 50; // an object may have a megabyte

/// Checks CRDs and permissions. The exit code is 1 if something is missing.
///
/// # Errors
/// If the Kubernetes API cannot be asked.
pub fn installation(runtime: &Runtime, settings: &Run) -> Result<ExitCode> {
    runtime.block_on(check(settings))
}

async fn check(settings: &Run) -> Result<ExitCode> {
    let client = client().await?;
    let version = client
        .apiserver_version()
        .await
        .context("cannot read the version of the Kubernetes API")?;
    println!("The Kubernetes API answers (version {}).", version.git_version);
    let found = prerequisites::look(&client, settings).await;
    match found.context("cannot ask the Kubernetes API which CRDs and permissions are missing")? {
        Prerequisites::Met | Prerequisites::Unknown => {
            println!("All CRDs are served, and no permission is missing that every installation needs.");
            Ok(ExitCode::SUCCESS)
        }
        Prerequisites::Unmet(what) => {
            println!("Something is missing: {what}.");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Lists the resources of this operator's class that have the finalizer. The exit code is 1 if there are any.
///
/// # Errors
/// If the Kubernetes API cannot be asked.
pub fn uninstallation(runtime: &Runtime, settings: &Run) -> Result<ExitCode> {
    let held = runtime.block_on(async { held(&client().await?, &settings.reach()).await })?;
    print!("{}", stranded(&held));
    Ok(match held.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The resources that have the finalizer of an operator with this reach.
///
/// # Errors
/// If a kind cannot be listed.
pub async fn held(client: &Client, reach: &Reach) -> Result<Vec<String>> {
    let servers = all::<AuthorizationServer>(client).await?;
    let on = |name: &str| servers.iter().find(|server| server.name_any() == name);
    let mut held = Vec::new();
    held.extend(held_of(&all::<OAuth2Client>(client).await?, reach, on));
    held.extend(held_of(&all::<JsonWebKeySet>(client).await?, reach, on));
    held.extend(held_of(&all::<OidcProvider>(client).await?, reach, on));
    held.extend(held_of(&all::<Scope>(client).await?, reach, on));
    held.extend(held_of(&all::<Assignment>(client).await?, reach, on));
    let own = |server: &&AuthorizationServer| is_held(*server) && reach.has_server(server);
    held.extend(servers.iter().filter(own).map(described));
    Ok(held)
}

/// What an uninstallation would strand, in sentences. `held`: the resources that have the operator's finalizer.
pub fn stranded(held: &[String]) -> String {
    if held.is_empty() {
        return "No resource has the finalizer of the operator: you can uninstall it.\n".to_owned();
    }
    let mut text = format!("These resources have the finalizer {FINALIZER} ({}):\n", held.len());
    for one in held.iter().take(NAMED) {
        let _ = writeln!(text, "  {one}");
    }
    if let Some(more) = held.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
    text += "Without the operator, Kubernetes cannot delete them, and nobody deletes their clients and other objects on the servers. Delete them first, or keep them for the next installation.\n";
    text
}

/// The resources with the finalizer that an operator works on.
fn held_of<'a, K: OnServer>(
    resources: &[K],
    reach: &Reach,
    on: impl Fn(&str) -> Option<&'a AuthorizationServer>,
) -> Vec<String> {
    let held = resources.iter().filter(|resource| is_held(*resource));
    let own = held.filter(|resource| reach.has_resource_on(on(resource.server_name()), false));
    own.map(described).collect()
}

fn described<K: Managed>(resource: &K) -> String {
    let namespace = resource.namespace().map(|namespace| format!("{namespace}/"));
    format!("{} {}{}", K::KIND, namespace.unwrap_or_default(), resource.name_any())
}

/// All resources of a kind; none if the kind is not served.
async fn all<K: Managed>(client: &Client) -> Result<Vec<K>> {
    let api: Api<Item<K>> = Api::all(client.clone());
    match kubernetes::all(api, ListParams::default().limit(PAGE)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        found => found.with_context(|| format!("cannot list {}s", K::KIND)),
    }
}

async fn client() -> Result<Client> {
    Ok(kubernetes::client(&Proxies::of_process()).await?.build())
}
