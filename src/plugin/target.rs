//! Names of resources on the command line. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{ApiResource, GroupVersionKind};

use crate::api;

/// A resource that was named.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its kind.
    pub resource: ApiResource,
    /// Whether the kind has namespaces.
    pub is_namespaced: bool,
    /// Its name.
    pub name: String,
}

impl Target {
    /// Reads `KIND/NAME`, in which the kind is one of the names that kubectl takes, or `NAME` of an OAuth2Client.
    ///
    /// # Errors
    /// A sentence that says which kinds there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("oauth2client", text));
        let crds = api::crds();
        let Some(crd) = crds.iter().find(|crd| has_name(crd, kind)) else {
            let kinds: Vec<_> = crds.iter().map(|crd| crd.spec.names.kind.as_str()).collect();
            return Err(format!(
                "`{kind}` is not a kind of the operator; use one of {}.",
                kinds.join(", ")
            ));
        };
        if name.is_empty() {
            return Err(format!("`{text}` has no name; use {kind}/NAME."));
        }
        let (names, version) = (&crd.spec.names, crd.spec.versions.first());
        let version = version.map_or_else(String::new, |version| version.name.clone());
        let kind = GroupVersionKind::gvk(&crd.spec.group, &version, &names.kind);
        Ok(Self {
            resource: ApiResource::from_gvk_with_plural(&kind, &names.plural),
            is_namespaced: crd.spec.scope == "Namespaced",
            name: name.to_owned(),
        })
    }
}

/// Whether kubectl takes this word for the kind.
fn has_name(crd: &CustomResourceDefinition, word: &str) -> bool {
    let names = &crd.spec.names;
    let short = names.short_names.iter().flatten();
    let mut all = short.chain(names.singular.as_ref()).chain([&names.plural, &names.kind]);
    let (word, _) = word.split_once('.').unwrap_or((word, ""));
    all.any(|name| name.eq_ignore_ascii_case(word))
}
