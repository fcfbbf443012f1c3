//! The verbs that check an installation. They print what they find, and only read.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::api::{Assignment, AuthorizationServer, FINALIZER, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::cli::Run;
use crate::controller::engine::managed::Managed;
use crate::decode::Item;
use crate::health::Prerequisites;
use crate::prerequisites;

/// Maximum number of resources that are named.
const NAMED: usize = 20;
/// Objects per page of a list.
const PAGE: u32 = 50; // an object may have a megabyte

/// Checks CRDs and permissions. The exit code is 1 if something is missing.
///
/// # Errors
/// If the Kubernetes API cannot be asked.
pub async fn installation(settings: &Run) -> Result<ExitCode> {
    let client = client().await?;
    let version = client
        .apiserver_version()
        .await
        .context("the Kubernetes API does not answer")?;
    println!("The Kubernetes API answers (version {}).", version.git_version);
    let found = prerequisites::look(&client, settings).await;
    match found.context("the Kubernetes API refuses to say what is missing")? {
        Prerequisites::Met | Prerequisites::Unknown => {
            println!("No CRD and no permission is missing.");
            Ok(ExitCode::SUCCESS)
        }
        Prerequisites::Unmet(what) => {
            println!("Something is missing: {what}.");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Lists the resources with the operator's finalizer. The exit code is 1 if there are any.
///
/// # Errors
/// If the Kubernetes API cannot be asked.
pub async fn uninstallation() -> Result<ExitCode> {
    let client = client().await?;
    let mut held = Vec::new();
    held.extend(held_of::<OAuth2Client>(&client).await?);
    held.extend(held_of::<JsonWebKeySet>(&client).await?);
    held.extend(held_of::<OidcProvider>(&client).await?);
    held.extend(held_of::<Scope>(&client).await?);
    held.extend(held_of::<Assignment>(&client).await?);
    held.extend(held_of::<AuthorizationServer>(&client).await?);
    print!("{}", stranded(&held));
    Ok(match held.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
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
    text += "Without the operator, they cannot be deleted, and what they stand for stays on the servers. Delete them first, or keep them for the next installation.\n";
    text
}

async fn held_of<K: Managed>(client: &Client) -> Result<Vec<String>> {
    let api: Api<Item<K>> = Api::all(client.clone());
    let mut parameters = ListParams::default().limit(PAGE);
    let mut held = Vec::new();
    loop {
        let page = match api.list(&parameters).await {
            Ok(page) => page,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(held), // the kind is not served
            Err(error) => return Err(error).with_context(|| format!("cannot list {}s", K::KIND)),
        };
        for Item(found) in page.items {
            if found.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
                let namespace = found
                    .namespace()
                    .map(|namespace| format!("{namespace}/"))
                    .unwrap_or_default();
                held.push(format!("{} {namespace}{}", K::KIND, found.name_any()));
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(held),
        }
    }
}

async fn client() -> Result<Client> {
    let client = Client::try_default().await;
    client.context("no usable configuration of the Kubernetes client was found")
}
