//! A provider as an object of a Vault. This writer alone computes the list of clients that may use the provider, from
//! the whole cluster: the server keeps no version of the list, so two writers would drop each other's clients.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use serde_json::json;

use crate::access::{self, NameRequest};
use crate::admin::discovery::{self, Discovery, Keys};
use crate::admin::vault::object::OPENID;
use crate::admin::vault::{self, Object, Vault};
use crate::api::oidc_provider::OidcProviderStatus;
use crate::api::{AuthorizationServer, OAuth2Client, OidcProvider, Scope};
use crate::controller::common::admission::{Allowing, admitted};
use crate::controller::common::adoption::{Consent, kept_in_words};
use crate::controller::common::claim::{Claim, Claiming};
use crate::controller::common::digest::digest;
use crate::controller::common::drift::{is_drift, note_drift};
use crate::controller::common::judge::{self, Expected};
use crate::controller::common::observe::asked_policy;
use crate::controller::common::provider::{admits, failure, is_named_by, names, publish, waited};
use crate::controller::common::referable::{Referrer, find, is_accepted, not_ready};
use crate::controller::common::refuse::refuse;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::vault::key::{self, is_leaving};
use crate::controller::vault::name::Named;
use crate::controller::vault::object::{Claimed, Synced, Target};
use crate::error::{Error, IssuerFault, Result, VaultFault};

/// How often no issuer is written before the one that is seen counts as the server's own address. The writer of another
/// issuer may be faster than our look.
const ATTEMPTS: usize = 2;

/// Stands for every client.
const ANY: &str = "*";

impl Named for OidcProvider {
    type Object = vault::Provider;
    const NAME_FIELD: &'static str = "vault.name";

    fn asked_name(&self) -> Option<&str> {
        self.spec.vault.as_ref()?.name.as_deref()
    }
}

impl Claiming for OidcProvider {
    fn claim(status: &mut OidcProviderStatus) -> Claim<'_> {
        Claim {
            name: &mut status.name,
            server_uid: &mut status.server_uid,
            cluster_id: &mut status.cluster_id,
            inputs: &mut status.inputs,
            adopted: &mut status.adopted,
            kept: Some(&mut status.kept_client_ids),
            accepted: Some(&mut status.deletion_policy),
        }
    }

    fn consent(&self) -> Consent {
        Consent {
            adoption: self.spec.adoption,
            deletion_policy: asked_policy(self, self.spec.deletion_policy, self.spec.management_policy),
            suspend: self.spec.suspend,
            management: self.spec.management_policy,
        }
    }
}

pub(crate) async fn apply(provider: &OidcProvider, ctx: &Context, pass: &mut Pass<OidcProviderStatus>) -> Result<Done> {
    key::remember(&mut pass.status.kept_client_ids, &kept(provider, ctx));
    let target = Target::of(provider, ctx, pass).await?;
    check_issuer(provider)?;
    check_fields(provider, &target.server)?;
    check_grants(provider, target.allowing())?;
    let was_ready = is_accepted(provider);
    if target.is_suspended() {
        let wanted = wanted(provider, ctx).ok().map(|(wanted, _)| fresh(wanted));
        return Ok(target.suspended(pass, wanted).await);
    }
    let (wanted, missing) = wanted(provider, ctx)?;
    if target.is_observed() {
        return target.observe(pass, wanted).await;
    }
    pass.status.kept_client_ids = wanted.kept();
    let inputs_of = |wanted: &vault::Provider| digest(&json!([target.server.uid(), target.name, wanted]));
    let inputs = inputs_of(&wanted);
    let settled = pass.status.inputs.as_ref() == Some(&inputs);
    let vault = match target.vault(was_ready && settled).await {
        // An outage of the server says nothing new about the issuer.
        Err(Error::Unverified(outage)) => return Err(Error::Unverified(outage)),
        vault => vault?,
    };
    if pass.must_read || !settled {
        let wanted = match settled {
            true => wanted.clone(),
            false => fresh(wanted.clone()),
        };
        let Synced { wanted, .. } = target.sync(pass, &vault, wanted, settled).await?;
        pass.status.inputs = Some(inputs_of(&wanted));
        pass.status.kept_client_ids = wanted.kept();
        pass.status.client_ids = wanted.allowed_client_ids.into_iter().collect();
    }
    if pass.status.client_ids.is_empty() {
        return Err(missing.unwrap_or(VaultFault::NoClients.into()));
    }
    let mut found = look_at(&target, &vault, was_ready).await?;
    for _ in 0..ATTEMPTS {
        if !settled || !is_another_address(&wanted, &found) || !unset_issuer(&target, pass, &vault, &wanted).await? {
            break;
        }
        found = look_at(&target, &vault, was_ready).await?;
        if !is_another_address(&wanted, &found) {
            let note = "The provider was changed on the server (issuer) and has been corrected.";
            note_drift(provider, ctx, pass, note.to_owned());
        }
    }
    let message = publish(provider, ctx, pass, found, was_ready).await?;
    Ok(Done {
        message: message + kept_in_words(&pass.status.kept_client_ids),
        lacks: missing,
        again: Some(target.server.spec.resync_interval()),
        ..Done::default()
    })
}

/// What the provider's discovery document says.
async fn look_at(target: &Target<'_, OidcProvider>, vault: &Vault, was_ready: bool) -> Result<(Discovery, Keys)> {
    let server = target.server.name_any();
    let found = look(target.resource, &server, vault, &target.name).await;
    match waited(was_ready, &found).await {
        true => look(target.resource, &server, vault, &target.name).await,
        false => found,
    }
}

/// Writes a provider without an issuer of its own. Somebody set one, or the server has another address: only this shows
/// which. False if there is no provider.
///
/// # Errors
/// [`Error::Contested`], and what a failed request means.
async fn unset_issuer(
    target: &Target<'_, OidcProvider>,
    pass: &mut Pass<OidcProviderStatus>,
    vault: &Vault,
    wanted: &vault::Provider,
) -> Result<bool> {
    let Some(found) = target.read(vault, true).await? else {
        return Ok(false);
    };
    is_drift(target.resource, target.ctx, true, "issuer")?;
    let mut wanted = fresh(wanted.clone());
    wanted.follow(&found);
    target.write(pass, vault, &wanted, Claimed::Used).await?;
    target.confirmed(vault, &wanted).await.map(|_| true)
}

/// Whether an issuer is not the address of the server that was seen last, although the provider sets none.
fn is_another_address(wanted: &vault::Provider, (found, _): &(Discovery, Keys)) -> bool {
    let known = wanted.of_own_address.as_deref();
    wanted.issuer.as_deref() == Some("") && known.is_some_and(|known| known != found.endpoints.issuer)
}

/// The server does not show whether an issuer is its own address or an earlier issuer of the spec, so it is written.
fn fresh(wanted: vault::Provider) -> vault::Provider {
    vault::Provider {
        of_own_address: Some(String::new()),
        ..wanted
    }
}

/// The provider that the server should have, and a reference that is missing. Scopes must be on the server first; of
/// the clients, only those with an id are listed.
///
/// # Errors
/// As [`find`]; [`Error::ReferenceNotReady`].
pub(crate) fn wanted(provider: &OidcProvider, ctx: &Context) -> Result<(vault::Provider, Option<Error>)> {
    let namespace = provider.namespace().unwrap_or_default();
    let mut scopes: BTreeSet<String> = provider.spec.scopes.iter().cloned().collect();
    for named in &provider.spec.scope_refs {
        let scope = find::<Scope>(ctx, referrer(provider, &namespace, "scopeRefs"), &named.name)?;
        let server = ctx.server(provider.server_name());
        if !scope.is_settled() || !server.is_some_and(|server| scope.has_claim(&server, ctx)) {
            return Err(not_ready(&*scope));
        }
        scopes.insert(scope.object_name());
    }
    scopes.remove(OPENID); // every provider has it, and none may list it
    let (added, missing) = clients(provider, ctx, &namespace);
    let status = provider.status.clone().unwrap_or_default();
    let kept = &kept(provider, ctx) - &added;
    // An adopted provider keeps its issuer, which applications know, unless the spec sets another one.
    let is_silent = provider.consent().adopts() || status.adopted == Some(true);
    let default = (!is_silent).then(String::new);
    let wanted = vault::Provider {
        issuer: provider.spec.issuer.clone().or(default),
        allowed_client_ids: &added | &kept,
        kept_client_ids: kept,
        scopes_supported: scopes,
        of_own_address: status.issuer,
    };
    Ok((wanted, missing))
}

/// Ids that the list keeps, some of which resources may add by now.
fn kept(provider: &OidcProvider, ctx: &Context) -> BTreeSet<String> {
    let leaves =
        |client: &OAuth2Client| is_leaving(client, ctx) && keeps(provider, client) && is_listed(provider, client, ctx);
    let listed = ctx.kinds.clients.store.state_filter(leaves);
    let status = provider.status.clone().unwrap_or_default();
    key::listed(ctx, listed, &status.client_ids, &status.kept_client_ids).1
}

fn referrer<'a>(provider: &'a OidcProvider, namespace: &'a str, field: &'static str) -> Referrer<'a> {
    Referrer {
        namespace,
        server: provider.server_name(),
        field,
    }
}

/// Ids of the clients that the provider names or that name the provider.
fn clients(provider: &OidcProvider, ctx: &Context, namespace: &str) -> (BTreeSet<String>, Option<Error>) {
    let mut ids = BTreeSet::new();
    let mut missing = None;
    let id = |client: &OAuth2Client| client.status.as_ref().and_then(|status| status.client_id.clone());
    for allowed in &provider.spec.allowed_clients {
        ids.extend(allowed.client_id.clone());
        let Some(name) = &allowed.name else { continue };
        match find::<OAuth2Client>(ctx, referrer(provider, namespace, "allowedClients"), name) {
            Ok(client) if is_leaving(&client, ctx) => {}
            Ok(client) => match id(&client) {
                Some(id) => drop(ids.insert(id)),
                None => missing = missing.or(Some(not_ready(&*client))),
            },
            Err(error) => missing = missing.or(Some(error)),
        }
    }
    let listed = provider
        .status
        .as_ref()
        .map(|status| status.client_ids.as_slice())
        .unwrap_or_default();
    // A client that may no longer use the server stays on the list, but cannot be added to it.
    let may_have =
        |client: &OAuth2Client| admitted(client, ctx).is_ok() || id(client).is_some_and(|id| listed.contains(&id));
    let attached =
        |client: &OAuth2Client| is_attached(provider, client, ctx) && !is_leaving(client, ctx) && may_have(client);
    for client in ctx.kinds.clients.store.state_filter(attached) {
        ids.extend(id(&ctx.kinds.clients.newest(client)));
    }
    (ids, missing)
}

/// Whether a client names the provider, or the provider names it.
pub(crate) fn is_listed(provider: &OidcProvider, client: &OAuth2Client, ctx: &Context) -> bool {
    is_attached(provider, client, ctx) || names(provider, client) && client.server_name() == provider.server_name()
}

/// Whether the provider keeps the client in its list when the client's resource goes. Clients of other namespaces are
/// listed only while they have a resource: otherwise their owners could fill the list, and nobody could take them off
/// again by narrowing `allowedNamespaces`.
pub(crate) fn keeps(provider: &OidcProvider, client: &OAuth2Client) -> bool {
    provider.metadata.namespace == client.metadata.namespace
}

/// Whether a client names the provider, and the provider admits it.
fn is_attached(provider: &OidcProvider, client: &OAuth2Client, ctx: &Context) -> bool {
    let own = client.metadata.namespace.as_deref().unwrap_or_default();
    is_named_by(provider, client) && client.server_name() == provider.server_name() && {
        let cached = ctx.stores.namespaces.get(&ObjectRef::new(own));
        let labels = cached.as_ref().map(|namespace| namespace.labels());
        admits(provider, own, labels)
    }
}

/// Clients and scopes of other owners can be named only with a grant, because their owners are not asked.
fn check_grants(provider: &OidcProvider, mut allowing: Allowing<'_>) -> Result<()> {
    let clients = provider
        .spec
        .allowed_clients
        .iter()
        .filter_map(|allowed| allowed.client_id.as_ref());
    let namespace = provider.namespace().unwrap_or_default();
    let is_own = |name: &str| access::is_prefixed(&namespace, name);
    for id in clients {
        allowing.name(NameRequest {
            field: "allowedClients",
            name: id,
            is_own: is_own(id),
            adopts: false,
        })?;
    }
    for scope in provider.spec.scopes.iter().filter(|scope| *scope != OPENID) {
        allowing.scope(scope, is_own(scope))?;
    }
    Ok(())
}

/// Refuses fields of other servers, and client ids that this server never makes.
fn check_fields(provider: &OidcProvider, server: &AuthorizationServer) -> Result<()> {
    let spec = &provider.spec;
    refuse(
        server,
        [
            ("issuerRef", spec.issuer_ref.is_some()),
            ("foulkon", spec.foulkon.is_some()),
        ],
    )?;
    let mut ids = spec
        .allowed_clients
        .iter()
        .filter_map(|allowed| allowed.client_id.as_ref());
    match ids.find(|id| *id != ANY && !id.chars().all(|c| c.is_ascii_alphanumeric())) {
        None => Ok(()),
        Some(id) => Err(Error::InvalidField {
            field: "allowedClients",
            problem: format!(
                "this server has no client with the clientId `{id}`; use letters and digits only, or `*` for every client"
            ),
        }),
    }
}

/// The server accepts only scheme, host and port.
fn check_issuer(provider: &OidcProvider) -> Result<()> {
    let Some(issuer) = &provider.spec.issuer else {
        return Ok(());
    };
    match issuer.matches('/').count() {
        2 => Ok(()),
        _ => Err(Error::InvalidField {
            field: "issuer",
            problem: "on this server it must be only scheme, host and port, such as https://vault.example.com:8200; the server adds the provider's path"
                .to_owned(),
        }),
    }
}

/// Reads and checks the discovery document and the keys of the provider.
async fn look(provider: &OidcProvider, server: &str, vault: &Vault, name: &str) -> Result<(Discovery, Keys)> {
    let path = vault.provider_path(name);
    let below = format!("/{}", path.join("/"));
    let exactly = provider.spec.issuer.as_ref().map(|issuer| format!("{issuer}{below}"));
    let expected = match &exactly {
        Some(issuer) => Expected::Exactly(issuer),
        None => Expected::Below(&below),
    };
    let found = discovery::fetch_below(vault.http(), &path).await;
    let found =
        found.map_err(|failed| failure("The discovery document", "vault.address", Error::Unavailable, failed))?;
    judge::document(server, "vault.address", expected, &found)?;
    let keys = discovery::fetch_keys_below(vault.http(), &path).await;
    let keys = keys.map_err(|failed| failure("The JSON Web Key Set", "vault.address", Error::Unavailable, failed))?;
    judge::keys(server, &keys).map_err(|fault| match fault {
        IssuerFault::NoSigningKey(_) => VaultFault::NoKeys.into(),
        other => Error::Issuer(other),
    })?;
    Ok((found, keys))
}
