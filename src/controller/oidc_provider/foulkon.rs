//! A provider on a Foulkon: the trust in an issuer elsewhere, for the tokens of some clients.
//!
//! access → name, path, issuer, clients → server → finalizer → claim → write → status. Issuer and clients may be those of other servers, and are followed.
//! The worker accepts no token before it has loaded the provider, which it does when it starts.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use serde_json::json;

use super::refuse;
use crate::access;
use crate::admin::foulkon::{Fields, is_client_id, is_name, is_path};
use crate::api::authorization_server::FoulkonServer;
use crate::api::condition::{RESTART_REQUIRED, Reason, Wanted};
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::{AuthorizationServer, OAuth2Client, OidcProvider};
use crate::controller::digest::digest;
use crate::controller::failure::{outage, unread};
use crate::controller::object::{Claiming, forget};
use crate::controller::on_server::{OnServer, admitted, is_revoked, server_of};
use crate::controller::referable::{find_anywhere, not_ready};
use crate::controller::verdict::Done;
use crate::controller::{Context, Pass, hold, is_deleting};
use crate::error::{Error, FoulkonFault, Result};
use entry::{Target, check_name};

mod entry;

pub(super) use entry::remove;

/// What the spec asks for.
struct Plan {
    server: Arc<AuthorizationServer>,
    /// As they should be; without clients, there is to be no provider.
    fields: Fields,
    /// A client that is named and cannot be listed.
    missing: Option<Error>,
    /// Whether a client is there that has no id yet.
    is_pending: bool,
}

pub(super) async fn apply(provider: &OidcProvider, ctx: &Context, pass: &mut Pass<OidcProviderStatus>) -> Result<Done> {
    let plan = match plan(provider, ctx) {
        Err(Error::NotAllowed { server, denied }) => {
            let found = server_of(provider, ctx)?;
            if is_revoked(provider, ctx, &found, &denied).await? {
                remove(provider, ctx, pass).await?;
                forget(provider, ctx, pass).await?;
            }
            return Err(Error::NotAllowed { server, denied });
        }
        plan => plan?,
    };
    let Plan {
        server,
        fields,
        missing,
        is_pending,
    } = plan;
    if fields.clients.is_empty() {
        let error = missing.unwrap_or(FoulkonFault::NoClients.into());
        if !is_pending && OidcProvider::claim(&mut pass.status).is_on(&server) {
            remove(provider, ctx, pass).await?;
            pass.status = OidcProviderStatus {
                observed_generation: pass.status.observed_generation,
                conditions: std::mem::take(&mut pass.status.conditions),
                ..OidcProviderStatus::default()
            };
        }
        return Err(error);
    }
    let inputs = digest(&json!([server.uid(), fields]));
    let settled = pass.status.inputs.as_ref() == Some(&inputs);
    let link = ctx.links.usable(&server).map_err(|error| unread(error, settled))?;
    let worker = link.foulkon()?;
    hold(provider, ctx).await?;
    if pass.must_read || !settled {
        let target = Target::new(provider, ctx, &server, &worker.api)?;
        let synced = target.sync(pass, &fields, settled).await;
        let found = synced.map_err(|error| outage(ctx, provider.server_name(), error))?;
        pass.status.id = Some(found.id);
        pass.status.urn = Some(found.urn);
        pass.status.issuer = Some(fields.issuer_url.clone());
        pass.status.client_ids = fields.clients.iter().cloned().collect();
        pass.status.inputs = Some(inputs);
    }
    pass.status.loaded = worker.has_loaded(&fields);
    Ok(Done {
        message: "The provider is on the server, and lists its clients.".to_owned(),
        lacks: missing.or_else(|| shared(provider, ctx, &fields).then_some(FoulkonFault::IssuerShared.into())),
        ..Done::default()
    })
}

/// Whether another provider of ours on the server has the same issuer. The one that was made first is the one to have it.
fn shared(provider: &OidcProvider, ctx: &Context, fields: &Fields) -> bool {
    let age = |provider: &OidcProvider| (provider.creation_timestamp(), provider.uid());
    let others = ctx.providers.on(provider.server_name()).into_iter();
    let mut others = others.map(|other| ctx.providers.newest(other));
    others.any(|other| {
        let theirs = self::fields(&other);
        age(&other) < age(provider) && theirs.is_some_and(|theirs| theirs.issuer_url == fields.issuer_url)
    })
}

/// What a settled provider was left as. None of one that is not on a Foulkon.
pub(in crate::controller) fn fields(provider: &OidcProvider) -> Option<Fields> {
    let status = provider.status.as_ref()?;
    status.inputs.as_ref().and(status.id.as_ref())?;
    Some(Fields {
        name: status.name.clone()?,
        path: status.path.clone()?,
        issuer_url: status.issuer.clone()?,
        clients: status.client_ids.iter().cloned().collect(),
    })
}

/// What is so as long as the worker goes on with what it read at its start.
pub(super) fn outdated(status: &OidcProviderStatus) -> Option<Wanted> {
    (status.loaded == Some(false)).then(|| Wanted {
        type_: RESTART_REQUIRED,
        status: "True",
        reason: Reason::RestartRequired,
        message: "The worker has not loaded the provider as it is now; it does so when it is restarted.".to_owned(),
    })
}

fn plan(provider: &OidcProvider, ctx: &Context) -> Result<Plan> {
    let server = admitted(provider, ctx)?;
    let spec = &provider.spec;
    refuse(
        &server,
        [
            ("allowedNamespaces", spec.allowed_namespaces.is_some()),
            ("scopeRefs", !spec.scope_refs.is_empty()),
            ("scopes", !spec.scopes.is_empty()),
            ("vault", spec.vault.is_some()),
            ("publish", spec.publish.is_some()),
        ],
    )?;
    let Some(foulkon) = &server.spec.foulkon else {
        return Err(Error::ServerPending(server.name_any()));
    };
    if spec.allowed_clients.is_empty() {
        return Err(Error::InvalidField {
            field: "allowedClients",
            problem: "on this server at least one client has to be named, since a provider without clients breaks every login with a token".to_owned(),
        });
    }
    let (name, path) = place(provider, ctx, &server, foulkon)?;
    check_name(provider, ctx, &server, &name)?;
    let issuer_url = issuer(provider, ctx, &server)?;
    let (clients, missing, is_pending) = clients(provider, ctx, &server)?;
    Ok(Plan {
        fields: Fields {
            name,
            path,
            issuer_url,
            clients,
        },
        server,
        missing,
        is_pending,
    })
}

/// Name and path.
fn place(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    foulkon: &FoulkonServer,
) -> Result<(String, String)> {
    let namespace = provider.namespace().unwrap_or_default();
    let asked = provider.spec.foulkon.clone().unwrap_or_default();
    let own_path = format!("{}{namespace}/", foulkon.prefix());
    if let Some(name) = &asked.name {
        may(
            provider,
            ctx,
            server,
            ("foulkon.name", name, is_own_name(&namespace, name)),
        )?;
    }
    if let Some(path) = &asked.path {
        may(
            provider,
            ctx,
            server,
            ("foulkon.path", path, path.starts_with(&own_path)),
        )?;
        if !path.starts_with(foulkon.prefix()) || !is_path(path) {
            return Err(Error::InvalidField {
                field: "foulkon.path",
                problem: format!(
                    "it has to begin with `{}`, as its AuthorizationServer says",
                    foulkon.prefix()
                ),
            });
        }
    }
    let name = asked
        .name
        .unwrap_or_else(|| default_name(&namespace, &provider.name_any()));
    match is_name(&name) {
        true => Ok((name, asked.path.unwrap_or(own_path))),
        false => Err(Error::InvalidField {
            field: "foulkon.name",
            problem:
                "namespace and name are longer than the 127 characters that this server takes; ask for a shorter one"
                    .to_owned(),
        }),
    }
}

/// Namespace, two dashes, name; the server has no dots. What follows the last two dashes is never a part of the namespace, so that two namespaces never
/// come to one name.
fn default_name(namespace: &str, name: &str) -> String {
    let words = name.split(['.', '-']).filter(|word| !word.is_empty());
    format!("{namespace}--{}", words.collect::<Vec<_>>().join("-"))
}

fn is_own_name(namespace: &str, name: &str) -> bool {
    let rest = name.strip_prefix(namespace).and_then(|rest| rest.strip_prefix("--"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('-') && !rest.contains("--"))
}

/// Whom the server believes is for its admin to say: an issuer is one of a provider of ours, or granted.
fn issuer(provider: &OidcProvider, ctx: &Context, server: &AuthorizationServer) -> Result<String> {
    if let Some(issuer) = &provider.spec.issuer {
        may(provider, ctx, server, ("issuer", issuer, false))?;
        return Ok(issuer.clone());
    }
    let Some(named) = &provider.spec.issuer_ref else {
        return Err(Error::InvalidField {
            field: "issuer",
            problem: "on this server it says whose tokens are accepted; set it, or issuerRef".to_owned(),
        });
    };
    let namespace = provider.namespace().unwrap_or_default();
    let found = find_anywhere::<OidcProvider>(ctx, &namespace, &named.name)?;
    let endpoints = found.status.as_ref().and_then(|status| status.endpoints.as_ref());
    endpoints
        .map(|endpoints| endpoints.issuer.clone())
        .ok_or_else(|| not_ready(&*found))
}

/// Ids of the clients, of whatever server they are; what is named and not there; and whether one of those is on its way.
fn clients(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
) -> Result<(BTreeSet<String>, Option<Error>, bool)> {
    let namespace = provider.namespace().unwrap_or_default();
    let (mut ids, mut missing, mut is_pending) = (BTreeSet::new(), None, false);
    for allowed in &provider.spec.allowed_clients {
        if let Some(id) = &allowed.client_id {
            may(
                provider,
                ctx,
                server,
                ("allowedClients", id, access::is_prefixed(&namespace, id)),
            )?;
            if !is_client_id(id) {
                return Err(Error::InvalidField {
                    field: "allowedClients",
                    problem: format!("this server takes no clientId `{id}`; name one client with 1 to 127 characters"),
                });
            }
            ids.insert(id.clone());
        }
        let Some(name) = &allowed.name else { continue };
        match find_anywhere::<OAuth2Client>(ctx, &namespace, name) {
            Ok(client) if is_deleting(&*client) => {}
            Ok(client) => match client.status.as_ref().and_then(|status| status.client_id.clone()) {
                Some(id) if is_client_id(&id) => drop(ids.insert(id)),
                Some(_) => return Err(FoulkonFault::UnfitClientId(name.clone()).into()),
                None => {
                    is_pending = true;
                    missing = missing.or(Some(not_ready(&*client)));
                }
            },
            Err(error) => missing = missing.or(Some(error)),
        }
    }
    Ok((ids, missing, is_pending))
}

/// Asks the access rules for what a field asks for: its name, its value, and whether the value is the namespace's own.
fn may(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    (field, value, is_own): (&'static str, &str, bool),
) -> Result<()> {
    let may = ctx.with_namespace(&provider.namespace().unwrap_or_default(), |namespace| {
        access::may_name(
            &server.spec.access,
            namespace,
            OidcProvider::ACCESS,
            field,
            value,
            is_own,
        )
    });
    may.map_err(|denied| Error::NotAllowed {
        server: server.name_any(),
        denied,
    })
}

#[cfg(test)]
mod tests {
    use super::{default_name, is_own_name};

    #[test]
    fn no_two_namespaces_come_to_one_name() {
        let cases = [
            ("team-a", "main", "team-a--main"),
            ("team", "a-main", "team--a-main"),
            ("team", "a--main", "team--a-main"),
            ("team--a", "main", "team--a--main"),
            ("team", "a.main", "team--a-main"),
            ("a", "b.-.c", "a--b-c"),
        ];
        for (namespace, name, expected) in cases {
            let found = default_name(namespace, name);
            assert_eq!(found, expected);
            assert!(is_own_name(namespace, &found), "{found}");
            for (other, ..) in cases.iter().filter(|(other, ..)| *other != namespace) {
                assert!(!is_own_name(other, &found), "{found} is {other}'s too");
            }
        }
    }

    #[test]
    fn a_name_of_ones_own_begins_with_the_namespace_and_two_dashes() {
        let cases = [
            ("team-a--x", true),
            ("team-a--x-y", true),
            ("team-a--", false),
            ("team-a---x", false),
            ("team-a--x--y", false),
            ("team-a-x", false),
            ("team-ab--x", false),
            ("x", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_own_name("team-a", name), expected, "{name}");
        }
    }
}
