//! Secrets with our watch label, as far as anybody asks about them. There are two of ours for each client, so little is kept of each.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Lookup;
use kube::{Resource, ResourceExt};

use crate::api::UID_LABEL;

/// A Secret by its metadata.
#[derive(Clone, Debug)]
pub struct WatchedSecret {
    namespace: Box<str>,
    name: Box<str>,
    /// UID.
    pub uid: Box<str>,
    /// resourceVersion.
    pub version: Box<str>,
    /// UID of the resource of ours that it belongs to, by its label. Empty of a Secret that a user has watched.
    pub label: Box<str>,
    /// Kind and name of the resource with that UID, if it is an owner of the Secret.
    pub owner: Option<(Box<str>, Box<str>)>,
}

impl WatchedSecret {
    /// What is kept of a Secret.
    pub fn of(secret: &PartialObjectMeta<Secret>) -> Self {
        let label = secret.labels().get(UID_LABEL).map(String::as_str).unwrap_or_default();
        let owner = secret.owner_references().iter().find(|owner| owner.uid == label);
        WatchedSecret {
            namespace: ResourceExt::namespace(secret).unwrap_or_default().into(),
            name: secret.name_any().into(),
            uid: ResourceExt::uid(secret).unwrap_or_default().into(),
            version: ResourceExt::resource_version(secret).unwrap_or_default().into(),
            label: label.into(),
            owner: owner.map(|owner| (owner.kind.as_str().into(), owner.name.as_str().into())),
        }
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether it belongs to the resource of ours with this UID, by label and by owner.
    pub fn is_of(&self, namespace: &str, uid: &str) -> bool {
        *self.namespace == *namespace && *self.label == *uid && self.owner.is_some()
    }
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
        Some(Cow::Borrowed(&self.name))
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.namespace))
    }

    /// Left out: the cache's keys would keep a copy.
    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// Left out: the cache's keys would keep a copy.
    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}
