//! Explains a resource: it reads the resource, and its object on the server through the operator's own code.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::NamespaceResourceScope;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Resource, ResourceExt};

use super::arguments::{Explain, Format};
use super::census::{Key, State, judge};
use super::explanation::{self, Explanation, Outcome, differences, last_write, writers};
use super::objects::put;
use super::observer::{Observer, Seen, typed};
use super::session::Session;
use super::target::Target;
use super::{FAILED, NOT_READY};
use crate::admin::hydra::sync::same_instant;
use crate::api::{Assignment, AuthorizationServer, JsonWebKeySet, OAuth2Client, OidcProvider, Scope};
use crate::controller::engine::links::Link;
use crate::controller::engine::managed::{Managed, OnServer};
use crate::controller::hydra::client::adoption::differences as names_of;
use crate::controller::hydra::client::plan::wanted;
use crate::decode::Item;

pub(super) async fn run(session: &Session, asked: &Explain) -> Result<ExitCode> {
    let target = Target::parse(&asked.resource).map_err(anyhow::Error::msg)?;
    let told = match target.resource.kind.as_str() {
        OAuth2Client::KIND => client(session, asked, &target.name).await?,
        JsonWebKeySet::KIND => other::<JsonWebKeySet>(session, asked, &target.name).await?,
        OidcProvider::KIND => other::<OidcProvider>(session, asked, &target.name).await?,
        Scope::KIND => other::<Scope>(session, asked, &target.name).await?,
        Assignment::KIND => other::<Assignment>(session, asked, &target.name).await?,
        _ => {
            bail!("an AuthorizationServer has no object on a server; `kubectl oidc check` says whether it can be used")
        }
    };
    match asked.output {
        Format::Text => put(&explanation::text(&told))?,
        Format::Json => put(&(serde_json::to_string_pretty(&told)? + "\n"))?,
        Format::Yaml => put(&serde_saphyr::to_string(&told)?)?,
    }
    Ok(match told.outcome {
        Outcome::NotCompared => ExitCode::from(FAILED),
        Outcome::Same if told.state.is_well() => ExitCode::SUCCESS,
        Outcome::Same | Outcome::Different => ExitCode::from(NOT_READY),
    })
}

/// A resource, what the operator would see, and the connection to its server or why there is none.
struct Looked<K> {
    resource: K,
    whole: DynamicObject,
    observer: Observer,
    link: Result<Link>,
}

async fn look<K>(session: &Session, asked: &Explain, name: &str) -> Result<Looked<K>>
where
    K: OnServer + Resource<Scope = NamespaceResourceScope>,
{
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(session.client.clone(), &session.namespace, &kind);
    let whole = api.get(name).await;
    let whole = whole.with_context(|| format!("cannot read {} {}/{name}", K::KIND, session.namespace))?;
    let resource: K = typed(&whole);
    let server: Api<Item<AuthorizationServer>> = Api::all(session.client.clone());
    let server = server.get(resource.server_name()).await;
    let server = server
        .with_context(|| format!("cannot read AuthorizationServer {}", resource.server_name()))?
        .0;
    let observer = Observer::new(session, &asked.reaching, &server, Some(&session.namespace)).await?;
    let link = observer.reach(resource.server_name()).await;
    Ok(Looked {
        resource,
        whole,
        observer,
        link,
    })
}

async fn other<K>(session: &Session, asked: &Explain, name: &str) -> Result<Explanation>
where
    K: OnServer + Resource<Scope = NamespaceResourceScope>,
{
    let looked = look::<K>(session, asked, name).await?;
    Ok(explained(&looked).await)
}

async fn client(session: &Session, asked: &Explain, name: &str) -> Result<Explanation> {
    let looked = look::<OAuth2Client>(session, asked, name).await?;
    let mut told = explained(&looked).await;
    let status = looked.resource.status.clone().unwrap_or_default();
    let Some((hydra, id)) = looked
        .link
        .as_ref()
        .ok()
        .and_then(|link| link.hydra().ok())
        .zip(status.client_id)
    else {
        return Ok(told);
    };
    let found = hydra.get_client(&id).await.ok().flatten();
    if let Some((wanted, found)) = wanted(&looked.resource, &looked.observer.ctx).zip(found) {
        let names = names_of(&wanted, &found);
        told.differences = differences(&wanted.normalized(), &found.normalized(), &names);
        let (ours, theirs) = (status.updated_at.as_deref(), found.updated_at.clone().map(String::from));
        let is_same = ours
            .zip(theirs.as_deref())
            .is_some_and(|(ours, theirs)| same_instant(ours, theirs));
        told.last_write = last_write(ours, theirs.as_deref(), is_same);
    }
    Ok(told)
}

async fn explained<K: OnServer>(looked: &Looked<K>) -> Explanation {
    let Looked {
        resource,
        whole,
        observer,
        link,
    } = looked;
    let seen = match link {
        Err(why) => Seen::Unknown(why.to_string()),
        Ok(_) => observer.compare::<K>(whole).await,
    };
    let (outcome, comparison) = match seen {
        Seen::Same(sentence) => (Outcome::Same, sentence),
        Seen::Different(sentence) => (Outcome::Different, sentence),
        Seen::Unknown(why) => (Outcome::NotCompared, format!("Its object was not compared. {why}")),
    };
    let (state, _, message) = judge(resource);
    Explanation {
        key: Key {
            kind: K::KIND,
            namespace: resource.namespace(),
            name: resource.name_any(),
        },
        server: resource.server_name().to_owned(),
        message: match state {
            State::Ready => String::new(),
            _ => message,
        },
        state,
        comparison,
        outcome,
        differences: Vec::new(),
        writers: writers(whole),
        last_write: String::new(),
    }
}
