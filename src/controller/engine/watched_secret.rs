//! Secrets with the watch label, reduced to what the operator uses. There are two of ours per client, so little is kept
//! of each.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Lookup;
use kube::{Resource, ResourceExt};

use crate::api::{JsonWebKeySet, OAuth2Client, RESOURCE_ANNOTATION, UID_LABEL};
use crate::controller::engine::key::Which;

/// The metadata of a Secret that the cache keeps. Its texts are one allocation, which takes half of the memory that one
/// for each takes.
#[derive(Clone, Debug)]
pub struct WatchedSecret {
    /// Namespace, name, UID, resourceVersion, label and name of the owner, in this order, one per line. Only the last
    /// could contain a line break. Without an owner: the resource that the annotation names.
    texts: Box<str>,
    owner: Option<Which>,
}

/// Number of the texts.
const TEXTS: usize = 6;

impl WatchedSecret {
    /// Takes what is kept from a Secret.
    pub fn of(secret: &PartialObjectMeta<Secret>) -> Self {
        let label = secret.labels().get(UID_LABEL).map(String::as_str).unwrap_or_default();
        let owner = secret.owner_references().iter().find(|owner| owner.uid == label);
        let owner = owner.and_then(|owner| Some((which(&owner.kind)?, owner.name.as_str())));
        let meta = secret.meta();
        let texts: [&str; TEXTS] = [
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
            meta.uid.as_deref().unwrap_or_default(),
            meta.resource_version.as_deref().unwrap_or_default(),
            label,
            owner.map_or_else(|| former(secret), |(_, name)| name),
        ];
        WatchedSecret {
            texts: texts.join("\n").into(),
            owner: owner.map(|(which, _)| which),
        }
    }

    /// Namespace of the Secret.
    pub fn namespace(&self) -> &str {
        self.text(0)
    }

    /// Name of the Secret.
    pub fn name(&self) -> &str {
        self.text(1)
    }

    /// UID of the Secret.
    pub fn uid(&self) -> &str {
        self.text(2)
    }

    /// resourceVersion of the Secret.
    pub fn version(&self) -> &str {
        self.text(3)
    }

    /// UID of our resource that the Secret belongs to, from its label. Empty for a user's own Secret.
    pub fn label(&self) -> &str {
        self.text(4)
    }

    /// Kind and name of the resource with that UID, if the Secret has an owner reference to it.
    pub(crate) fn owner(&self) -> Option<(Which, &str)> {
        self.owner.map(|which| (which, self.text(5)))
    }

    /// Whether the Secret is one of ours that has lost its owner, as a backup leaves it.
    pub(crate) fn is_left(&self) -> bool {
        self.owner.is_none() && !self.label().is_empty()
    }

    /// Whether such a Secret may be of an earlier resource with this name: it has the name of its credentials Secret, or
    /// its annotation names the resource.
    pub(crate) fn is_left_by(&self, namespace: &str, resource: &str, credentials: &str) -> bool {
        self.is_left() && self.namespace() == namespace && (self.name() == credentials || self.text(5) == resource)
    }

    /// Whether the Secret belongs to the resource with this UID, by label and by owner reference.
    pub fn is_of(&self, namespace: &str, uid: &str) -> bool {
        self.label() == uid && self.namespace() == namespace && self.owner.is_some()
    }

    fn text(&self, nth: usize) -> &str {
        self.texts.splitn(TEXTS, '\n').nth(nth).unwrap_or_default()
    }
}

/// The resource that the annotation of a Secret without owner references names.
fn former(secret: &PartialObjectMeta<Secret>) -> &str {
    let annotations = secret.annotations();
    let named = annotations.get(RESOURCE_ANNOTATION).map(String::as_str);
    named
        .filter(|_| secret.owner_references().is_empty())
        .unwrap_or_default()
}

/// The kinds that own Secrets.
fn which(kind: &str) -> Option<Which> {
    let owners = [
        (<OAuth2Client as Resource>::kind(&()), Which::OAuth2Client),
        (<JsonWebKeySet as Resource>::kind(&()), Which::JsonWebKeySet),
    ];
    owners
        .into_iter()
        .find(|(name, _)| name == kind)
        .map(|(_, which)| which)
}

impl Lookup for WatchedSecret {
    type DynamicType = ();

    fn kind(_: &()) -> Cow<'_, str> {
        <Secret as Resource>::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        <Secret as Resource>::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        <Secret as Resource>::version(&())
    }

    fn plural(_: &()) -> Cow<'_, str> {
        <Secret as Resource>::plural(&())
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.name()))
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.namespace()))
    }

    /// Not returned: the cache uses only namespace and name as its key.
    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// Not returned: the cache uses only namespace and name as its key.
    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}
