//! Decodes each object of the Kubernetes API separately and within limits: one unreadable object does not block others.
//!
//! A list or a watch that is decoded as a whole fails as a whole, so anyone who may write one object could stop it.
//! Therefore each object is first cut out as text, which works for any JSON, and its parts are decoded one by one.
//! Parts that cannot be decoded are left out and reported by [`flaw`]. Of the metadata, only what the operator reads is
//! kept.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::marker::PhantomData;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::admin::http::reply::depth;
use crate::api::annotation::is_ours;
use crate::api::{FINALIZER, FLUX_REQUEST_ANNOTATION, RESOURCE_ANNOTATION, UID_LABEL, WATCH_LABEL};

mod kinds;

/// Maximum nesting of arrays and objects in a field of a spec. serde_json stops at 128, and a server's listing adds
/// levels.
const DEPTH: usize = 64;
/// Maximum number of finalizers that are kept, and ours in addition if it comes later.
const FINALIZERS: usize = 32;
/// Maximum length of the value of an annotation that is kept, in bytes.
const ANNOTATION: usize = 256;
/// Maximum number of annotations of our group that are kept.
const OURS: usize = 16;
/// Annotation that holds what is wrong with an object. It exists only in memory: no annotation of a user with this name
/// is kept.
const FLAW: &str = "flaw";

/// An object of the Kubernetes API, decoded separately. Decoding an item never fails, whatever its text is.
#[derive(Clone)]
pub struct Item<K>(pub K);

/// A type that an [`Item`] can hold.
pub trait Decode: Resource<DynamicType = ()> + Clone {
    /// Builds the object from its parts.
    fn decode(parts: &Parts<'_>) -> Self;
}

impl<K: Decode> Item<K> {
    /// Decodes an object that was read as plain JSON.
    pub fn of(object: &Value) -> Self {
        Self::of_text(&object.to_string())
    }

    fn of_text(text: &str) -> Self {
        // The items of a list have no apiVersion, and the API lists nothing but objects.
        Item(K::decode(&serde_json::from_str(text).unwrap_or_default()))
    }
}

impl<'de, K: Decode> Deserialize<'de> for Item<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?; // a reader has no text to borrow
        Ok(Item::of_text(text.get()))
    }
}

impl<K: Decode> Resource for Item<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(_: &()) -> std::borrow::Cow<'_, str> {
        K::kind(&())
    }

    fn group(_: &()) -> std::borrow::Cow<'_, str> {
        K::group(&())
    }

    fn version(_: &()) -> std::borrow::Cow<'_, str> {
        K::version(&())
    }

    fn plural(_: &()) -> std::borrow::Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }

    fn metadata_api() -> bool {
        K::metadata_api()
    }
}

impl<K: Decode> Debug for Item<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.name_any())
    }
}

/// The parts of an object, as text.
#[derive(Default, Deserialize)]
pub struct Parts<'a> {
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

impl Parts<'_> {
    /// Metadata, spec and status of one of our resources. `largest`: maximum size of its spec in bytes. Spec and status
    /// have no required members.
    pub fn of_custom<Spec, Status>(&self, largest: usize) -> (ObjectMeta, Spec, Option<Status>)
    where
        Spec: DeserializeOwned + Default,
        Status: DeserializeOwned + Default,
    {
        let is_kept = |name: &str| is_ours(name) || name == FLUX_REQUEST_ANNOTATION;
        let mut metadata = self.metadata(is_kept, Some(&[]));
        metadata.owner_references = None;
        let (spec, flaw) = members(self.spec, largest);
        // Status members that only another version knows are ignored.
        let (status, _) = members(self.status, usize::MAX);
        if let Some(flaw) = flaw {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(FLAW.to_owned(), flaw);
        }
        (metadata, spec, self.status.map(|_| status))
    }

    /// The metadata with only these annotations and labels. A value that is too long is kept as an empty one. `labels`:
    /// None keeps all.
    fn metadata(&self, is_kept: impl Fn(&str) -> bool, labels: Option<&[&str]>) -> ObjectMeta {
        let (found, _): (Metadata, _) = members(self.metadata, usize::MAX);
        let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok()).map(Time);
        let named = |all: BTreeMap<String, String>, names: &[&str]| {
            let kept = all.into_iter().filter(|(name, _)| names.contains(&name.as_str()));
            let kept: BTreeMap<String, String> = kept.filter(|(_, value)| value.len() <= ANNOTATION).collect();
            Some(kept).filter(|kept| !kept.is_empty())
        };
        ObjectMeta {
            annotations: annotated(found.annotations, is_kept),
            labels: match labels {
                None => Some(found.labels).filter(|labels| !labels.is_empty()),
                Some(names) => named(found.labels, names),
            },
            creation_timestamp: time(&found.creation_timestamp),
            // Only its presence counts, not the time.
            deletion_timestamp: found
                .deletion_timestamp
                .as_ref()
                .map(|_| time(&found.deletion_timestamp).unwrap_or(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH))),
            finalizers: kept(found.finalizers),
            owner_references: Some(found.owner_references).filter(|owners| !owners.is_empty()),
            name: found.name,
            namespace: found.namespace,
            uid: found.uid,
            resource_version: found.resource_version,
            generation: found.generation,
            ..ObjectMeta::default()
        }
    }
}

fn annotated(all: BTreeMap<String, String>, is_kept: impl Fn(&str) -> bool) -> Option<BTreeMap<String, String>> {
    let kept = all.into_iter().filter(|(name, _)| is_kept(name)).take(OURS);
    let short = kept.map(|(name, value)| match value.len() <= ANNOTATION {
        true => (name, value),
        false => (name, String::new()),
    });
    Some(short.collect::<BTreeMap<_, _>>()).filter(|kept| !kept.is_empty())
}

/// Keeps the first finalizers and ours. No caller needs the others.
fn kept(mut finalizers: Vec<String>) -> Option<Vec<String>> {
    if finalizers.len() > FINALIZERS {
        let ours = finalizers[FINALIZERS..].iter().any(|finalizer| finalizer == FINALIZER);
        finalizers.truncate(FINALIZERS);
        finalizers.extend(ours.then(|| FINALIZER.to_owned()));
        finalizers.shrink_to_fit();
    }
    Some(finalizers).filter(|finalizers| !finalizers.is_empty())
}

/// The metadata that the operator reads. The rest, above all `managedFields`, is skipped.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    finalizers: Vec<String>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    owner_references: Vec<OwnerReference>,
}

impl Decode for PartialObjectMeta<Namespace> {
    fn decode(parts: &Parts<'_>) -> Self {
        let metadata = parts.metadata(|_| false, None);
        head(metadata)
    }
}

impl Decode for PartialObjectMeta<Secret> {
    fn decode(parts: &Parts<'_>) -> Self {
        let metadata = parts.metadata(|name| name == RESOURCE_ANNOTATION, Some(&[UID_LABEL, WATCH_LABEL]));
        head(metadata)
    }
}

fn head<K>(metadata: ObjectMeta) -> PartialObjectMeta<K> {
    PartialObjectMeta {
        types: None,
        metadata,
        _phantom: PhantomData,
    }
}

/// Whether the decoded object still has all its finalizers.
pub fn has_all_finalizers(object: &impl ResourceExt) -> bool {
    object.finalizers().len() <= FINALIZERS
}

/// Why an object could not be decoded completely: a full sentence for its owner. None if it was.
pub fn flaw(object: &impl ResourceExt) -> Option<&str> {
    object.annotations().get(FLAW).map(String::as_str)
}

/// What is wrong with a member.
#[derive(Clone, Copy)]
enum Problem {
    TooLarge(usize),
    TooDeep,
    Unreadable,
}

impl Problem {
    fn of(self, member: &str) -> String {
        match self {
            Problem::TooLarge(largest) => {
                format!("{member}: the spec is larger than {} KiB; shorten it.", largest >> 10)
            }
            Problem::TooDeep => format!("{member}: it is nested deeper than {DEPTH} levels; make it flatter."),
            Problem::Unreadable => format!(
                "{member}: this version of the operator cannot read it; correct it, or upgrade the operator if it needs a later version."
            ),
        }
    }
}

/// Decodes a part of an object without the members that cannot be decoded. Also returns what was wrong with the first
/// one that was left out.
fn members<T: DeserializeOwned + Default>(part: Option<&RawValue>, largest: usize) -> (T, Option<String>) {
    let Some(text) = part.map(RawValue::get) else {
        return (T::default(), None);
    };
    // Nearly all parts are in order as a whole, which is one level above its members.
    if text.starts_with('{')
        && text.len() <= largest
        && depth(text.as_bytes()) <= DEPTH + 1
        && let Ok(whole) = serde_json::from_str(text)
    {
        return (whole, None);
    }
    let mut all: Members<'_> = serde_json::from_str(text).unwrap_or_default();
    let mut flaw = None;
    let mut leave_out = |all: &mut Members<'_>, name: &str, problem: Problem| {
        all.remove(name);
        flaw.get_or_insert_with(|| problem.of(name));
    };
    for name in names(&all, |_, value| depth(value.as_bytes()) > DEPTH) {
        leave_out(&mut all, &name, Problem::TooDeep);
    }
    while all.values().map(|value| value.get().len()).sum::<usize>() > largest
        && let Some(name) = all
            .iter()
            .max_by_key(|(_, value)| value.get().len())
            .map(|(name, _)| name.clone())
    {
        leave_out(&mut all, &name, Problem::TooLarge(largest));
    }
    if let Some(whole) = whole(&all) {
        return (whole, flaw);
    }
    for name in names(&all, |name, value| alone::<T>(name, value).is_none()) {
        leave_out(&mut all, &name, Problem::Unreadable);
    }
    // Members that decode alone also decode together: the form of a member never depends on another member.
    (whole(&all).unwrap_or_default(), flaw)
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn names(all: &Members<'_>, is_meant: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let meant = all.iter().filter(|(name, value)| is_meant(name, value.get()));
    meant.map(|(name, _)| name.clone()).collect()
}

fn whole<T: DeserializeOwned>(members: &Members<'_>) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(members).ok()?).ok()
}

fn alone<T: DeserializeOwned>(name: &str, value: &str) -> Option<T> {
    let name = serde_json::to_string(name).ok()?;
    serde_json::from_str(&format!("{{{name}:{value}}}")).ok()
}

#[cfg(test)]
mod tests {
    use crate::admin::http::reply::depth;

    #[test]
    fn depth_counts_what_is_within_each_other() {
        for (json, expected) in [
            ("7", 0),
            ("\"[[[\"", 0),
            ("[]", 1),
            ("[[], [], {\"a\": []}]", 3),
            (r#"{"a\"[[": "\\", "b": ["]"]}"#, 2),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
        assert_eq!(depth("[".repeat(100_000).as_bytes()), 100_000);
    }
}
