//! The AuthorizationServer of a Vault or an OpenBao: connection, login, health.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::discovery;
use crate::admin::http::{Failure, Http};
use crate::admin::vault::health::{Health, health};
use crate::admin::vault::object::DEFAULT;
use crate::admin::vault::{Jwt, Limit, Login, Release, Session, Vault};
use crate::api::authorization_server::{AuthorizationServerStatus, ServiceAccountToken, VaultServer};
use crate::api::condition::Wanted;
use crate::controller::common::provider::{failure as unpublished, undiscovered};
use crate::controller::common::references::References;
use crate::controller::engine::links::{Admin, Checked, Connection};
use crate::controller::engine::managed::Pass;
use crate::controller::vault::failure::failure;
use crate::error::{Error, Outage, Result, VaultFault};

/// Minimum wait before the login is checked again.
const SOON: Duration = Duration::from_secs(1);

/// The login that the spec asks for.
///
/// # Errors
/// What is wrong with a referenced object.
pub(crate) async fn login(spec: &VaultServer, references: &mut References<'_>) -> Result<Login> {
    let auth = &spec.auth;
    let path = |path: &Option<String>, default: &str| path.clone().unwrap_or_else(|| default.to_owned());
    if let Some(kubernetes) = &auth.kubernetes {
        let jwt = issued(&kubernetes.service_account, references).await?;
        return Ok(Login::Kubernetes(
            path(&kubernetes.path, "kubernetes"),
            kubernetes.role.clone(),
            jwt,
        ));
    }
    if let Some(jwt) = &auth.jwt {
        let source = match (&jwt.service_account, &jwt.secret_ref) {
            (Some(account), _) => Some(issued(account, references).await?),
            (None, Some(held)) => Some(Jwt::Held(references.value(held).await?)),
            (None, None) => None,
        };
        if let Some(source) = source {
            return Ok(Login::Jwt(path(&jwt.path, "jwt"), jwt.role.clone(), source));
        }
    }
    if let Some(role) = &auth.app_role {
        let secret_id = references.value(&role.secret_ref).await?;
        return Ok(Login::AppRole(
            path(&role.path, "approle"),
            role.role_id.clone(),
            secret_id,
        ));
    }
    if let Some(token) = &auth.token {
        return Ok(Login::Token(references.value(&token.secret_ref).await?));
    }
    if let Some(certificate) = &auth.certificate {
        return Ok(Login::Certificate(
            path(&certificate.path, "cert"),
            certificate.name.clone(),
        ));
    }
    Err(Error::InvalidField {
        field: "vault.auth",
        problem: "it names no login method that this operator supports; set a supported one".to_owned(),
    })
}

/// Checks that a token of the ServiceAccount is safe before any is sent to the server.
async fn issued(account: &ServiceAccountToken, references: &References<'_>) -> Result<Jwt> {
    let (cluster, namespace) = (&references.ctx.cluster, &references.ctx.settings.namespace);
    cluster
        .check_account(namespace, &account.name, &account.audiences)
        .await?;
    Ok(Jwt::Issued {
        cluster: cluster.clone(),
        namespace: namespace.clone(),
        name: account.name.clone(),
        audiences: account.audiences.clone(),
    })
}

/// The server at an endpoint, with a separate login.
pub(crate) fn connection(spec: &VaultServer, http: Arc<Http>, login: Login) -> Vault {
    let namespace = spec.namespace.clone().unwrap_or_default();
    let of_login = spec.auth.namespace.as_ref().unwrap_or(&namespace);
    let session = Session::new(http, login, of_login);
    Vault::new(Arc::new(session), &namespace)
}

/// Checks the server's health and logs in. A server that answers well closes the circuit breaker.
///
/// # Errors
/// Why the server cannot be used.
pub(crate) async fn check(
    spec: &VaultServer,
    connection: &Connection,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Checked> {
    let Some(vault) = connection.vault.clone() else {
        return Err(Error::Internal("find the login of this connection"));
    };
    let breaker = connection.admin.breaker();
    pass.status.login = Some(vault.session().describe());
    let health = health(&connection.admin).await.map_err(|failed| match failed {
        Failure::Status { .. } | Failure::Refused(_) => Error::NotRecognized {
            what: "A Vault",
            problem: "does not answer at this address",
            field: "vault.address",
        },
        other => failure("health", "server", other),
    })?;
    let release = Release::of(&health);
    pass.status.version = release.version().map(str::to_owned);
    check_state(&health)?;
    check_release(&release)?;
    if vault.uses_namespaces() && !has_namespaces(&vault, &release).await? {
        return Err(VaultFault::NoNamespaces.into());
    }
    check_cluster(spec, &health, &vault, pass)?;
    let kept = vault.session().keep().await;
    kept.map_err(|failed| failure("login", "server", failed))?;
    let release = match release.version() {
        Some(_) => release,
        None => learn(spec, release, &vault, pass).await?,
    };
    pass.status.version = release.version().map(str::to_owned);
    pass.status.capabilities = release.capabilities();
    check_release(&release)?;
    let was_open = breaker.is_open();
    let mut missing = None;
    // The default provider serves clients without a provider of their own. It may have been closed.
    match discovery::fetch_below(vault.http(), &vault.provider_path(DEFAULT)).await {
        Ok(found) => pass.status.endpoints = Some(found.endpoints),
        Err(Failure::Status { code: 404, .. }) => pass.status.endpoints = None,
        // The next check finds out what has just opened the breaker.
        Err(Failure::Outage(outage)) if matches!(outage, Outage::Limited(_)) || !was_open && breaker.is_open() => {
            return Err(Error::Unavailable(outage));
        }
        Err(failed) => missing = Some(unread(failed)),
    }
    if was_open {
        breaker.close();
    }
    Ok(Checked {
        remarks: remarks(&release, vault.is_in_namespace()),
        admin: Admin::Vault(vault),
        closed: was_open,
        undiscovered: missing,
    })
}

/// What does not work in the namespace of the objects, and what to do.
fn remarks(release: &Release, is_in_namespace: bool) -> Vec<String> {
    let limits = if is_in_namespace {
        release.limits_in_namespaces()
    } else {
        Vec::new()
    };
    let words = limits.into_iter().map(|limit| match limit {
        Limit::Rotation => {
            "In a Vault namespace, this version of OpenBao does not rotate keys; upgrade it to 2.5.2 or later."
        }
        Limit::DefaultKey => {
            "In a Vault namespace, this version of OpenBao has no key `default`; set keySetRef in every OAuth2Client, or upgrade it to 2.6.2 or later."
        }
    });
    words.map(str::to_owned).collect()
}

/// Why the discovery document of the default provider cannot be read. This blocks only what needs its endpoints.
fn unread(failed: Failure) -> Wanted {
    let what = "The discovery document of the provider `default`";
    undiscovered(&unpublished(what, "vault.address", Error::Unavailable, failed))
}

fn check_state(health: &Health) -> Result<()> {
    if !health.initialized {
        return Err(VaultFault::Uninitialized.into());
    }
    if health.sealed {
        return Err(VaultFault::Sealed.into());
    }
    if health.replication_dr_mode == "secondary" {
        return Err(VaultFault::Secondary.into());
    }
    Ok(())
}

fn check_release(release: &Release) -> Result<()> {
    match release.is_provider() {
        true => Ok(()),
        false => Err(VaultFault::TooOld(release.version().unwrap_or_default().to_owned()).into()),
    }
}

async fn has_namespaces(vault: &Vault, release: &Release) -> Result<bool> {
    if let Some(has) = release.has_namespaces() {
        return Ok(has);
    }
    let found = vault.has_namespaces().await;
    found.map_err(|failed| failure("discovery", "server", failed))
}

/// Learns after the login what a server hides before it. Nothing of it is necessary, so a refusal stops nothing.
async fn learn(
    spec: &VaultServer,
    release: Release,
    vault: &Vault,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<Release> {
    let health = if_shown("health", vault.session().health().await)?;
    if let Some(health) = &health {
        check_cluster(spec, health, vault, pass)?;
    }
    let release = release.after_login(health.as_ref(), None);
    // The help of a Vault shows nothing else.
    if release.version().is_some() || release.is_vault() == Some(true) {
        return Ok(release);
    }
    let help = if_shown("help", vault.help().await)?;
    Ok(release.after_login(None, help.as_ref()))
}

/// None if the server answers, but does not show it.
fn if_shown<T>(operation: &'static str, shown: Result<T, Failure>) -> Result<Option<T>> {
    match shown {
        Ok(shown) => Ok(Some(shown)),
        Err(
            Failure::Status { .. } | Failure::Refused(_) | Failure::Denied | Failure::Reply(_) | Failure::TooLarge(_),
        ) => Ok(None),
        Err(failed) => Err(failure(operation, "server", failed)),
    }
}

/// A DNS mistake or a wrong address must not create everything again on another cluster, with other ids and secrets.
fn check_cluster(
    spec: &VaultServer,
    health: &Health,
    vault: &Vault,
    pass: &mut Pass<AuthorizationServerStatus>,
) -> Result<()> {
    if let Some(known) = spec.cluster_id.as_ref().or(pass.status.cluster_id.as_ref())
        && health.is_of_another_cluster(known)
    {
        return Err(VaultFault::ClusterChanged {
            known: known.clone(),
            found: health.cluster_id.to_string(),
        }
        .into());
    }
    if !health.cluster_id.is_empty() {
        vault.session().is_for_cluster(&health.cluster_id);
        pass.status.cluster_id = Some(health.cluster_id.to_string());
    }
    Ok(())
}

/// When the login must be renewed. None: it does not end.
///
/// # Errors
/// Why the operator cannot log in.
pub(crate) async fn login_ends(connection: &Connection) -> Result<Option<Duration>> {
    let Some(vault) = &connection.vault else {
        return Ok(None);
    };
    let kept = vault.session().keep().await;
    let renewal = kept.map_err(|failed| failure("login", "server", failed))?;
    Ok(renewal.map(|renewal| renewal.max(SOON)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::vault::health;
    use crate::error::Outage;

    #[test]
    fn what_an_old_version_lacks_in_namespaces_is_remarked_there_only() {
        let table = [
            ("2.5.1", true, 2),
            ("2.6.1", true, 1),
            ("2.6.2", true, 0),
            ("2.5.1", false, 0),
            ("", true, 0),
        ];
        for (version, is_in_namespace, expected) in table {
            let health = health::parse(json!({ "initialized": true, "sealed": false, "version": version }));
            let found = health.map(|health| remarks(&Release::of(&health), is_in_namespace).len());
            assert_eq!(found, Ok(expected), "{version} {is_in_namespace}");
        }
    }

    #[test]
    fn an_unread_document_of_the_default_provider_is_remarked_with_what_to_do() {
        let table = [
            (
                Failure::Refused(403),
                "The discovery document of the provider `default` is not open to everybody. Check vault.address of the AuthorizationServer.",
            ),
            (
                Failure::Outage(Outage::Status(500, None)),
                "The server cannot be used now: it answered 500. The operator keeps trying.",
            ),
        ];
        for (failed, expected) in table {
            assert_eq!(unread(failed).message, expected);
        }
    }
}
