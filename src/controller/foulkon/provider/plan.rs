//! What a provider on a Foulkon asks for (name, path, issuer and clients), and whether it may have it. The server is
//! not asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;

use crate::access::{self, NameRequest};
use crate::admin::foulkon::{Fields, is_client_id, is_name, is_path};
use crate::api::authorization_server::FoulkonServer;
use crate::api::{AuthorizationServer, OAuth2Client, OidcProvider};
use crate::controller::common::admission::{Allowing, admitted};
use crate::controller::common::claim::Claiming;
use crate::controller::common::referable::{find_anywhere, is_accepted, not_ready};
use crate::controller::common::refuse::refuse;
use crate::controller::engine::context::Context;
use crate::controller::engine::lifecycle::is_deleting;
use crate::controller::engine::managed::OnServer;
use crate::controller::foulkon::provider::fields::fields;
use crate::controller::foulkon::provider::names::{check_name, marked_path};
use crate::error::{Error, FoulkonFault, Result};

/// What the spec asks for.
pub(crate) struct ProviderPlan {
    pub(crate) server: Arc<AuthorizationServer>,
    /// The wanted fields. Without clients, there must be no provider.
    pub(crate) fields: Fields,
    /// Clients that the entries of other providers keep, and that the list needs as well.
    pub(crate) kept_by_others: BTreeSet<String>,
    /// A reference that is missing or cannot be used.
    pub(crate) missing: Option<Error>,
}

/// Derives what a provider asks for.
///
/// # Errors
/// What is wrong with the spec, or missing.
pub(crate) fn plan(provider: &OidcProvider, ctx: &Context) -> Result<ProviderPlan> {
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
    let mut allowing = Allowing::of(provider, ctx, &server)?;
    allowing.policy(provider.consent())?;
    let Some(foulkon) = &server.spec.foulkon else {
        return Err(Error::ServerPending(server.name_any()));
    };
    if spec.allowed_clients.is_empty() {
        return Err(Error::InvalidField {
            field: "allowedClients",
            problem: "on this server it must name at least one client, because a provider without clients breaks every login with a token".to_owned(),
        });
    }
    let (name, path) = place(provider, &mut allowing, foulkon)?;
    check_name(provider, ctx, &server, &name)?;
    let (issuer_url, lost) = issuer_or_last(provider, ctx, &mut allowing)?;
    let (mut clients, missing) = clients(provider, ctx, &mut allowing)?;
    let (clients_of_others, kept_by_others) = listed_by_others(provider, ctx, &server, &issuer_url);
    if !clients.is_empty() {
        clients.extend(clients_of_others);
    }
    Ok(ProviderPlan {
        kept_by_others,
        fields: Fields {
            name,
            path,
            issuer_url,
            clients,
        },
        server,
        missing: lost.or(missing),
    })
}

/// If several providers have the same issuer, the worker looks at the clients of only one of them, the first that it
/// finds. So each provider lists the clients of all: those that the specs of others name, and those that their entries
/// keep.
fn listed_by_others(
    provider: &OidcProvider,
    ctx: &Context,
    server: &AuthorizationServer,
    issuer_url: &str,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut all, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for other in ctx.kinds.providers.on(&server.name_any()) {
        let other = ctx.kinds.providers.newest(other);
        if other.uid() == provider.uid() || is_deleting(&*other) || admitted(&*other, ctx).is_err() {
            continue;
        }
        let Ok((issuer, clients)) = trusted(&other, ctx, server) else {
            continue;
        };
        if issuer == issuer_url {
            all.extend(clients);
            kept.extend(
                other
                    .status
                    .iter()
                    .flat_map(|status| status.kept_client_ids.iter().cloned()),
            );
        }
    }
    (all, kept)
}

/// Issuer and clients of a provider, if one access rule allows all that it asks for.
fn trusted(provider: &OidcProvider, ctx: &Context, server: &AuthorizationServer) -> Result<(String, BTreeSet<String>)> {
    let mut allowing = Allowing::of(provider, ctx, server)?;
    allowing.policy(provider.consent())?;
    if let Some(foulkon) = &server.spec.foulkon {
        place(provider, &mut allowing, foulkon)?;
    }
    let issuer = issuer(provider, ctx, &mut allowing)?;
    let (clients, _) = clients(provider, ctx, &mut allowing)?;
    Ok((issuer, clients))
}

/// Name and path.
fn place(provider: &OidcProvider, allowing: &mut Allowing<'_>, foulkon: &FoulkonServer) -> Result<(String, String)> {
    let namespace = provider.namespace().unwrap_or_default();
    let asked = provider.spec.foulkon.clone().unwrap_or_default();
    let own_path = format!("{}{namespace}/", foulkon.prefix());
    let default_path = marked_path(provider, foulkon);
    if let Some(name) = &asked.name {
        // A grant to adopt the provider of a name includes the name.
        if !provider.consent().adopts() {
            may_have(allowing, "foulkon.name", name, is_own_name(&namespace, name))?;
        }
    }
    if let Some(path) = &asked.path {
        may_have(allowing, "foulkon.path", path, path.starts_with(&own_path))?;
        if !path.starts_with(foulkon.prefix()) || !is_path(path) {
            return Err(Error::InvalidField {
                field: "foulkon.path",
                problem: format!(
                    "it must begin with `{}`, the foulkon.pathPrefix of the AuthorizationServer",
                    foulkon.prefix()
                ),
            });
        }
    }
    let name = asked
        .name
        .unwrap_or_else(|| default_name(&namespace, &provider.name_any()));
    if provider.consent().adopts() {
        allowing.name(NameRequest {
            field: "foulkon.name",
            name: &name,
            is_own: true,
            adopts: true,
        })?;
    }
    match is_name(&name) {
        true => Ok((name, asked.path.unwrap_or(default_path))),
        false => Err(Error::InvalidField {
            field: "foulkon.name",
            problem:
                "namespace and name are longer than the 127 characters that this server accepts; set a shorter one"
                    .to_owned(),
        }),
    }
}

/// Whether the provider may have a value that others may have made. `is_own`: as in [`NameRequest`].
fn may_have(allowing: &mut Allowing<'_>, field: &'static str, name: &str, is_own: bool) -> Result<()> {
    allowing.name(NameRequest {
        field,
        name,
        is_own,
        adopts: false,
    })
}

/// Namespace, two dashes, name; the server allows no dots. The part after the last two dashes never belongs to the
/// namespace, so two namespaces never get the same name.
fn default_name(namespace: &str, name: &str) -> String {
    let words = name.split(['.', '-']).filter(|word| !word.is_empty());
    format!("{namespace}--{}", words.collect::<Vec<_>>().join("-"))
}

fn is_own_name(namespace: &str, name: &str) -> bool {
    let rest = name.strip_prefix(namespace).and_then(|rest| rest.strip_prefix("--"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('-') && !rest.contains("--"))
}

/// The issuer. While the provider that it comes from is missing or not ready, this is the issuer of the last success,
/// so that changes of clients are still followed.
fn issuer_or_last(
    provider: &OidcProvider,
    ctx: &Context,
    allowing: &mut Allowing<'_>,
) -> Result<(String, Option<Error>)> {
    let last = fields(provider).map(|fields| fields.issuer_url);
    match (issuer(provider, ctx, allowing), last) {
        (Err(error @ (Error::ReferenceNotFound { .. } | Error::ReferenceNotReady { .. })), Some(last)) => {
            Ok((last, Some(error)))
        }
        (issuer, _) => Ok((issuer?, None)),
    }
}

/// Admins decide whom the server trusts. An issuer needs a grant, or must come from a provider whose server's admin has
/// set it.
fn issuer(provider: &OidcProvider, ctx: &Context, allowing: &mut Allowing<'_>) -> Result<String> {
    if let Some(issuer) = &provider.spec.issuer {
        may_have(allowing, "issuer", issuer, false)?;
        return Ok(issuer.clone());
    }
    let Some(named) = &provider.spec.issuer_ref else {
        return Err(Error::InvalidField {
            field: "issuer",
            problem: "on this server it names whose tokens are accepted; set it, or issuerRef".to_owned(),
        });
    };
    let namespace = provider.namespace().unwrap_or_default();
    let found = find_anywhere::<OidcProvider>(ctx, &namespace, &named.name)?;
    let home = ctx.server(found.server_name());
    if home.as_ref().is_some_and(|home| home.spec.foulkon.is_some()) {
        return Err(Error::InvalidField {
            field: "issuerRef",
            problem: "it names a provider on a Foulkon, which issues no tokens; name a provider on another server"
                .to_owned(),
        });
    }
    let endpoints = found.status.as_ref().and_then(|status| status.endpoints.as_ref());
    let issuer = endpoints.map(|endpoints| endpoints.issuer.clone());
    // A provider that already trusts this issuer keeps it while the referenced provider is not ready.
    let last = fields(provider).map(|fields| fields.issuer_url);
    let issuer = issuer.filter(|issuer| is_accepted(&*found) || last.as_ref() == Some(issuer));
    let issuer = issuer.ok_or_else(|| not_ready(&*found))?;
    // On a Vault, users choose the part of the issuer before the provider's path.
    let is_chosen = found.spec.issuer.is_some() && home.is_none_or(|home| home.spec.hydra.is_none());
    if is_chosen {
        may_have(allowing, "issuerRef", &issuer, false)?;
    }
    Ok(issuer)
}

/// Ids of the clients, on any server, and a reference that is missing or cannot be used.
fn clients(
    provider: &OidcProvider,
    ctx: &Context,
    allowing: &mut Allowing<'_>,
) -> Result<(BTreeSet<String>, Option<Error>)> {
    let namespace = provider.namespace().unwrap_or_default();
    let (mut ids, mut missing) = (BTreeSet::new(), None);
    for allowed in &provider.spec.allowed_clients {
        if let Some(id) = &allowed.client_id {
            may_have(allowing, "allowedClients", id, access::is_prefixed(&namespace, id))?;
            if !is_client_id(id) {
                return Err(Error::InvalidField {
                    field: "allowedClients",
                    problem: format!(
                        "this server does not accept the clientId `{id}`; name one client, with 1 to 127 characters"
                    ),
                });
            }
            ids.insert(id.clone());
        }
        let Some(name) = &allowed.name else { continue };
        match find_anywhere::<OAuth2Client>(ctx, &namespace, name) {
            Ok(client) if is_deleting(&*client) => {}
            Ok(client) => match id_of(provider, ctx, allowing, &client)? {
                Some(id) if is_client_id(&id) => drop(ids.insert(id)),
                Some(_) => missing = missing.or(Some(FoulkonFault::UnfitClientId(name.clone()).into())),
                None => missing = missing.or(Some(not_ready(&*client))),
            },
            Err(error) => missing = missing.or(Some(error)),
        }
    }
    Ok((ids, missing))
}

/// The id of a client. An id that a user chose may be another client's at the issuer, unless the client is on the
/// issuer's server.
fn id_of(
    provider: &OidcProvider,
    ctx: &Context,
    allowing: &mut Allowing<'_>,
    client: &OAuth2Client,
) -> Result<Option<String>> {
    let Some(id) = client.status.as_ref().and_then(|status| status.client_id.clone()) else {
        return Ok(None);
    };
    let namespace = provider.namespace().unwrap_or_default();
    let named = provider.spec.issuer_ref.as_ref();
    let issuer = named.and_then(|named| find_anywhere::<OidcProvider>(ctx, &namespace, &named.name).ok());
    let is_of_issuer = issuer.is_some_and(|issuer| issuer.server_name() == client.server_name());
    let is_chosen = client.spec.client_id.is_some() || client.spec.client_id_from.is_some();
    if is_chosen && !is_of_issuer {
        may_have(allowing, "allowedClients", &id, access::is_prefixed(&namespace, &id))?;
    }
    Ok(Some(id))
}

#[cfg(test)]
mod tests {
    use super::{default_name, is_own_name};

    #[test]
    fn no_two_namespaces_get_the_same_name() {
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
    fn an_own_name_begins_with_the_namespace_and_two_dashes() {
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
