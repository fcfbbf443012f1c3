//! A client as an object of a Vault: refs → access → object → credentials Secret → status.
//!
//! The server makes id and secret and shows both to anyone who may read the client. So there is no ledger: a Secret
//! that is lost or edited is written again from the server, and nothing changes there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use serde_json::json;

use crate::access::{Namespace, may_leave_client};
use crate::admin::bounded::fits;
use crate::admin::vault::object::{ALLOW_ALL, DEFAULT};
use crate::admin::vault::{self, Object};
use crate::api::access::AccessRule;
use crate::api::event::Happening;
use crate::api::oauth2_client::{
    ClientType, Effective, GrantType, OAuth2ClientStatus, ResponseType, SubjectType, TokenEndpointAuthMethod,
};
use crate::api::refs::DeletionPolicy;
use crate::api::{Assignment, JsonWebKeySet, OAuth2Client, OidcProvider};
use crate::controller::common::admission::server_of;
use crate::controller::common::adoption::Consent;
use crate::controller::common::claim::{Claim, Claiming};
use crate::controller::common::cleanup::is_left;
use crate::controller::common::client::free::check_free;
use crate::controller::common::client::inputs::Inputs;
use crate::controller::common::client::layout::{self, Layout};
use crate::controller::common::client::outcome;
use crate::controller::common::client::output::{self, Held};
use crate::controller::common::client::plan::{ClientPlan, check_access, check_size};
use crate::controller::common::note::{note_released, note_secret_adopted};
use crate::controller::common::observe::asked_policy;
use crate::controller::common::provider::admits;
use crate::controller::common::referable::{Referable, Referrer, find, not_ready};
use crate::controller::common::revoke;
use crate::controller::common::schedule::Schedule;
use crate::controller::engine::context::Context;
use crate::controller::engine::managed::{Managed, OnServer, Pass};
use crate::controller::engine::verdict::Done;
use crate::controller::vault::client::fields::{check_combinations, check_fields, chooses_grants};
use crate::controller::vault::client::leaving::check_kept;
use crate::controller::vault::key::overlap;
use crate::controller::vault::name::Named;
use crate::controller::vault::object::{self, Synced, Target};
use crate::error::{Error, Result, VaultFault};

pub(crate) mod fields;
mod leaving;

/// Lifetime of tokens unless the spec says otherwise: the server's default for both.
const DAY: Duration = Duration::from_secs(86_400);

/// Maximum length of a client secret from the server, in bytes.
const SECRET_BYTES: usize = 4096;

impl Named for OAuth2Client {
    type Object = vault::Client;
    const NAME_FIELD: &'static str = "vault.name";

    fn asked_name(&self) -> Option<&str> {
        self.spec.vault.as_ref()?.name.as_deref()
    }
}

impl Claiming for OAuth2Client {
    fn claim(status: &mut OAuth2ClientStatus) -> Claim<'_> {
        Claim {
            name: &mut status.name,
            server_uid: &mut status.server_uid,
            cluster_id: &mut status.cluster_id,
            inputs: &mut status.inputs,
            adopted: &mut status.adopted,
            kept: None,
            accepted: None,
        }
    }

    fn accepted(status: &mut OAuth2ClientStatus) -> Option<DeletionPolicy> {
        status.effective.as_ref().map(|effective| effective.deletion_policy)
    }

    /// As a pass would judge the whole client, with the values that were last in force.
    fn may_stay(&self, rules: &[AccessRule], namespace: Namespace<'_>) -> bool {
        let effective = self.status.as_ref().and_then(|status| status.effective.clone());
        let effective = effective.unwrap_or_else(|| Effective::of(&self.spec, &[], &[]));
        may_leave_client(rules, namespace, &self.spec, &effective)
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

pub(crate) async fn apply(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<Done> {
    let mut plan = plan(client, ctx)?;
    if let Err(denied) = check_access(client, ctx, &plan) {
        return revoke::deny(client, ctx, pass, denied, async |pass| remove(client, ctx, pass).await).await;
    }
    if client.spec.suspend == Some(true) {
        let target = Target::of(client, ctx, pass).await?;
        let wanted = plan.missing.is_none().then(|| desired(client, ctx, &plan));
        return Ok(target.suspended(pass, wanted).await);
    }
    check_fields(client, &plan)?;
    check_combinations(client, &plan)?;
    if let Some(missing) = plan.missing.take() {
        return Err(missing);
    }
    let target = Target::of(client, ctx, pass).await?;
    let wanted = desired(client, ctx, &plan);
    check_size(json!(wanted).to_string().as_bytes())?;
    if target.is_observed() {
        return target.observe(pass, wanted).await;
    }
    let last = pass.status.inputs.as_deref().and_then(Inputs::parse);
    let remote = json!([target.name, wanted]);
    let observe = |plan: &ClientPlan, layout: &Layout| Inputs::observe(ctx, plan, remote.clone(), layout, &[]);
    let layout = layout::layout(client, ctx, &plan);
    let is_as_left = |layout: &Layout| last.is_some() && last == Some(observe(&plan, layout));
    if pass.must_read || !layout.as_ref().is_ok_and(is_as_left) {
        let settled = last.as_ref().is_some_and(|last| last.same_remote(&plan, &remote));
        let vault = target.vault(settled).await?;
        if last.is_none() {
            // Nothing is registered that cannot be published.
            check_free(client, ctx, &plan, layout.as_ref().ok(), &BTreeSet::new()).await?;
        }
        let Synced { found, .. } = target.sync(pass, &vault, wanted, settled).await?;
        let secret = take_over(&mut plan, pass, found)?;
        let layout = layout::layout(client, ctx, &plan).map_err(|error| pending(client, ctx, &plan, error))?;
        let mut inputs = observe(&plan, &layout);
        let strict = last.as_ref().is_some_and(|last| !inputs.same_layout(last));
        let held = secret.as_ref().map(Held::shown);
        let written = output::write(client, ctx, &plan, &layout, held, false, strict).await?;
        if settled && !strict && last.is_some() {
            output::note_restored(pass, &layout, written.wrote);
        }
        note_secret_adopted(pass, &layout.name, written.wrote);
        inputs.wrote_secret(written.version);
        output::drop_others(ctx, &plan, pass, &layout.name, false).await?;
        pass.status.secret_name = Some(layout.name);
        pass.status.key_set_name = plan.key_set.as_ref().map(|set| set.name_any());
        pass.status.inputs = Some(inputs.to_string());
    }
    pass.status.endpoints = plan.endpoints.clone().map(Box::new);
    pass.status.effective = Some(plan.effective.clone());
    pass.status.binding = layout::binding(client, pass.status.secret_name.as_ref());
    let secret = pass.status.secret_name.clone().unwrap_or_default();
    Ok(Done {
        message: format!("The client is registered and its credentials are in Secret `{secret}`."),
        lacks: unlisted(client, ctx, &plan).err(),
        ..Done::default()
    })
}

pub(crate) async fn cleanup(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    match outcome::fate(client, ctx).await? {
        outcome::Fate::Orphan => {
            check_kept(client, ctx)?;
            note_released(pass, vault::Client::TYPE);
            outcome::leave_secret(client, ctx).await
        }
        outcome::Fate::Delete => remove(client, ctx, pass).await,
        outcome::Fate::Abandon => {
            note_released(pass, vault::Client::TYPE);
            outcome::drop_secrets(client, ctx).await
        }
    }
}

/// Deletes client and Secret, unless both stay.
async fn remove(client: &OAuth2Client, ctx: &Context, pass: &mut Pass<OAuth2ClientStatus>) -> Result<()> {
    if is_left(client, ctx, &mut pass.status).await? {
        check_kept(client, ctx)?;
        note_released(pass, vault::Client::TYPE);
        return outcome::leave_secret(client, ctx).await;
    }
    object::remove(client, ctx, pass).await?;
    outcome::drop_secrets(client, ctx).await
}

/// The client that a server should have for this resource. None while a reference is missing.
pub(crate) fn wanted(client: &OAuth2Client, ctx: &Context) -> Option<vault::Client> {
    let plan = plan(client, ctx).ok()?;
    plan.missing.is_none().then(|| desired(client, ctx, &plan))
}

fn plan(client: &OAuth2Client, ctx: &Context) -> Result<ClientPlan> {
    let server = server_of(client, ctx)?;
    let namespace = client.namespace().unwrap_or_default();
    let mut missing = None;
    let key_set = client.spec.key_set_ref.as_ref().and_then(|named| {
        let found = referred::<JsonWebKeySet>(client, ctx, &namespace, &named.name);
        found.map_err(|error| missing = Some(error)).ok()
    });
    for named in &client.spec.assignment_refs {
        if let Err(error) = referred::<Assignment>(client, ctx, &namespace, &named.name) {
            missing = missing.or(Some(error));
        }
    }
    let endpoints = match client.spec.provider_refs.is_empty() {
        true => server.status.as_ref().and_then(|status| status.endpoints.clone()),
        false => first_provider(client, ctx).and_then(|provider| provider.ok()?.status.clone()?.endpoints),
    };
    Ok(ClientPlan {
        effective: effective(client),
        key_set,
        schedule: Schedule::default(),
        way: None,
        missing,
        endpoints,
        client_id: client
            .status
            .as_ref()
            .and_then(|status| status.client_id.clone())
            .unwrap_or_default(),
        uid: client.uid().unwrap_or_default(),
        server,
        namespace,
    })
}

/// A referenced resource that must be on the server before the client.
fn referred<K: Named + Referable>(client: &OAuth2Client, ctx: &Context, namespace: &str, name: &str) -> Result<Arc<K>> {
    let referrer = Referrer {
        namespace,
        server: client.server_name(),
        field: K::FIELD,
    };
    let found = find::<K>(ctx, referrer, name)?;
    // A name that was changed after the claim is not that of the object.
    let server = ctx.server(client.server_name());
    match found.is_settled() && server.is_some_and(|server| found.has_claim(&server, ctx)) {
        true => Ok(found),
        false => Err(not_ready(&*found)),
    }
}

/// The values in force. The server has no refresh tokens, and its providers decide on scopes.
fn effective(client: &OAuth2Client) -> Effective {
    let spec = &client.spec;
    let client_type = spec.client_type.unwrap_or_default();
    let grant_types = spec
        .grant_types
        .clone()
        .unwrap_or_else(|| vec![GrantType::AuthorizationCode]);
    let with_code = grant_types.contains(&GrantType::AuthorizationCode);
    let default_method = match client_type {
        ClientType::Confidential => TokenEndpointAuthMethod::ClientSecretBasic,
        ClientType::Public => TokenEndpointAuthMethod::None,
    };
    Effective {
        client_type,
        grant_types,
        response_types: with_code.then_some(ResponseType::Code).into_iter().collect(),
        scopes: Vec::new(),
        token_endpoint_auth_method: spec.token_endpoint_auth_method.unwrap_or(default_method),
        subject_type: SubjectType::Public,
        deletion_policy: outcome::deletion_policy(client, &client.status.clone().unwrap_or_default()),
    }
}

fn desired(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> vault::Client {
    let spec = &client.spec;
    let seconds = |ttl: &Option<String>| ttl.as_deref().and_then(crate::duration::parse).map(|ttl| ttl.as_secs());
    let longest = plan.key_set.as_ref().map_or(DAY, |set| DAY.min(overlap(set)));
    let namespace = &plan.namespace;
    let assignments = spec.assignment_refs.iter();
    let assignments = assignments.filter_map(|named| referred::<Assignment>(client, ctx, namespace, &named.name).ok());
    let chooses_grants = chooses_grants(plan);
    let may_use = |grant: GrantType| chooses_grants.then(|| plan.effective.grant_types.contains(&grant));
    vault::Client {
        key: plan
            .key_set
            .as_ref()
            .map_or(DEFAULT.to_owned(), |set| set.object_name()),
        client_type: match plan.effective.client_type {
            ClientType::Confidential => "confidential".to_owned(),
            ClientType::Public => "public".to_owned(),
        },
        redirect_uris: spec.redirect_uris.iter().cloned().collect(),
        assignments: match spec.assignment_refs.is_empty() {
            true => [ALLOW_ALL.to_owned()].into(),
            false => assignments.map(|assignment| assignment.object_name()).collect(),
        },
        id_token_ttl: seconds(&spec.id_token_ttl).unwrap_or(longest.as_secs()),
        access_token_ttl: seconds(&spec.access_token_ttl).unwrap_or(DAY.as_secs()),
        authorization_code: may_use(GrantType::AuthorizationCode),
        client_credentials: may_use(GrantType::ClientCredentials),
        client_id: None,
        client_secret: None,
    }
}

/// Takes id and secret from the server's reply.
fn take_over(
    plan: &mut ClientPlan,
    pass: &mut Pass<OAuth2ClientStatus>,
    found: vault::Client,
) -> Result<Option<crate::secret::Secret>> {
    let lacks = |problem| Error::Reply {
        operation: "read_client",
        problem,
    };
    let id = found.client_id.map(String::from).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| lacks("has no client id"))?;
    if pass.status.client_id.as_ref().is_some_and(|known| *known != id) {
        let note = "The client was deleted on the server and has been created again, with another id and secret.";
        pass.note(Happening::ClientReplaced, note);
    }
    let secret = match plan.effective.has_secret() {
        true => {
            let secret = found.client_secret.filter(|secret| fits(secret.expose(), SECRET_BYTES));
            Some(secret.ok_or_else(|| lacks("holds no usable client secret"))?)
        }
        false => None,
    };
    pass.status.client_id = Some(id.clone());
    plan.client_id = id;
    Ok(secret)
}

/// A value that a provider does not have yet is waited for. A value that the server never has is an error in the spec.
fn pending(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan, error: Error) -> Error {
    let Error::VariablePending { variable, .. } = error else {
        return error;
    };
    if plan.endpoints.is_some() {
        return Error::InvalidField {
            field: "credentials.data",
            problem: format!("$({variable}) has no value, because the server has no such endpoint; remove it"),
        };
    }
    match first_provider(client, ctx) {
        Some(Ok(provider)) => not_ready(&*provider),
        Some(Err(missing)) => missing,
        None => error,
    }
}

/// The first provider that the spec names.
fn first_provider(client: &OAuth2Client, ctx: &Context) -> Option<Result<Arc<OidcProvider>>> {
    let named = client.spec.provider_refs.first()?;
    let own = client.namespace().unwrap_or_default();
    let namespace = named.namespace.as_deref().unwrap_or(&own);
    Some(provider(client, ctx, namespace, &named.name))
}

/// A provider that the spec names.
fn provider(client: &OAuth2Client, ctx: &Context, namespace: &str, name: &str) -> Result<Arc<OidcProvider>> {
    let referrer = Referrer {
        namespace,
        server: client.server_name(),
        field: "providerRefs",
    };
    let own = client.namespace().unwrap_or_default();
    let cached = ctx.stores.namespaces.get(&ObjectRef::new(&own));
    let labels = cached.as_ref().map(|namespace| namespace.labels());
    match find::<OidcProvider>(ctx, referrer, name) {
        Ok(found) if admits(&found, &own, labels) => Ok(found),
        Err(error) if namespace == own => Err(error),
        // A client that may not use a provider does not learn whether it exists.
        _ => Err(VaultFault::NotAdmitted(namespace.to_owned(), name.to_owned()).into()),
    }
}

/// A client can be used once its signing key and the providers that it names list it. Only their own passes write these
/// lists.
fn unlisted(client: &OAuth2Client, ctx: &Context, plan: &ClientPlan) -> Result<()> {
    let waits = |kind, name: String, namespace: &str| {
        Error::Vault(VaultFault::NotListed {
            kind,
            name,
            namespace: namespace.to_owned(),
        })
    };
    if let Some(set) = &plan.key_set {
        let listed = set.status.as_ref().map(|status| status.client_ids.as_slice());
        if !listed.unwrap_or_default().contains(&plan.client_id) {
            return Err(waits(JsonWebKeySet::KIND, set.name_any(), &plan.namespace));
        }
    }
    for named in &client.spec.provider_refs {
        let namespace = named.namespace.as_deref().unwrap_or(&plan.namespace);
        let provider = provider(client, ctx, namespace, &named.name)?;
        let listed = provider.status.as_ref().map(|status| status.client_ids.as_slice());
        if !listed.unwrap_or_default().contains(&plan.client_id) {
            return Err(waits(OidcProvider::KIND, named.name.clone(), namespace));
        }
    }
    Ok(())
}
