//! Secrets with the watch label, reduced to what the operator uses. There are two of ours per client, so little is kept
//! of each.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Lookup;
use kube::{Resource, ResourceExt};

use crate::api::UID_LABEL;

/// The metadata of a Secret that the cache keeps.
#[derive(Clone, Debug)]
pub struct WatchedSecret {
    namespace: Box<str>,
    name: Box<str>,
    /// UID of the Secret.
    pub uid: Box<str>,
    /// resourceVersion of the Secret.
    pub version: Box<str>,
    /// UID of our resource that the Secret belongs to, from its label. Empty for a user's own Secret.
    pub label: Box<str>,
    /// Kind and name of the resource with that UID, if the Secret has an owner reference to it.
    pub owner: Option<(Box<str>, Box<str>)>,
}

impl WatchedSecret {
    /// Takes what is kept from a Secret.
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

    /// Name of the Secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace of the Secret.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether the Secret belongs to the resource with this UID, by label and by owner reference.
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

    /// Not returned: the cache uses only namespace and name as its key.
    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// Not returned: the cache uses only namespace and name as its key.
    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}
