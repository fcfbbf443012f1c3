//! Collects what helps to find a fault. Secrets and ConfigMaps are named, never read.

use std::process::ExitCode;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::arguments::SupportBundle;
use super::census::servers;
use super::objects::put;
use super::session::Session;
use super::{check, finding};
use crate::admin::bounded::printable;
use crate::api::{GROUP, crds};
use crate::kubernetes::at_once;

/// Annotation with a copy of what a user applied.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Label of the operator's pods.
const PODS: &str = "app.kubernetes.io/name=oidc-operator";

pub(super) async fn run(session: &Session, asked: &SupportBundle) -> Result<ExitCode> {
    title("versions and rights")?;
    let known = servers(&session.client).await.unwrap_or_default();
    match check::look(session, &known).await {
        Ok(findings) => put(&finding::text(&findings))?,
        Err(error) => put(&format!("not collected: {error:#}\n"))?,
    }
    let namespace = (!asked.all_namespaces).then_some(session.namespace.as_str());
    for crd in crds() {
        let names = &crd.spec.names;
        let kind = GroupVersionKind::gvk(GROUP, "v1alpha1", &names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &names.plural);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) if crd.spec.scope == "Namespaced" => {
                Api::namespaced_with(session.client.clone(), namespace, &resource)
            }
            _ => Api::all_with(session.client.clone(), &resource),
        };
        title(&names.plural)?;
        listed(at_once(api).await, bare)?;
    }
    title("events")?;
    let kind = ApiResource::erase::<Event>(&());
    let events: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(session.client.clone(), namespace, &kind),
        None => Api::all_with(session.client.clone(), &kind),
    };
    let ours = ListParams::default().fields("reportingComponent=oidc-operator");
    listed(events.list(&ours).await.map(|list| list.items), |event| event)?;
    pods(session, asked).await?;
    Ok(ExitCode::SUCCESS)
}

async fn pods(session: &Session, asked: &SupportBundle) -> Result<()> {
    let kind = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> = Api::namespaced_with(session.client.clone(), &asked.operator_namespace, &kind);
    title(&format!(
        "pods of the operator in namespace {}",
        asked.operator_namespace
    ))?;
    let found = match pods.list(&ListParams::default().labels(PODS)).await {
        Ok(found) => found.items,
        Err(error) => return put(&format!("not collected: {error}\n")),
    };
    for pod in &found {
        let status = serde_saphyr::to_string(&pod.data["status"])?;
        put(&format!("{}:\n{}\n", pod.name_any(), shown(&status)))?;
    }
    for pod in &found {
        title(&format!("log of {}", pod.name_any()))?;
        let path = format!(
            "{}/{}/log?tailLines={}",
            pods.resource_url(),
            pod.name_any(),
            asked.lines.max(0)
        );
        let request = hyper::Request::get(path).body(Vec::new())?;
        match session.client.request_text(request).await {
            Ok(log) => put(&(shown(&log) + "\n"))?,
            Err(error) => put(&format!("not collected: {error}\n"))?,
        }
    }
    Ok(())
}

fn title(text: &str) -> Result<()> {
    put(&format!("\n=== {} ===\n", printable(text)))
}

fn listed<T: Serialize>(found: kube::Result<Vec<T>>, shape: impl Fn(T) -> T) -> Result<()> {
    match found {
        Err(error) => put(&format!("not collected: {error}\n")),
        Ok(objects) => {
            for object in objects {
                put(&format!("---\n{}", shown(&serde_saphyr::to_string(&shape(object))?)))?;
            }
            Ok(())
        }
    }
}

/// A resource without the copy of what its user applied, and without who owns which field.
fn bare(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object.annotations_mut().remove(APPLIED);
    object
}

/// Text with its lines, and without anything that controls a terminal.
fn shown(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n") + "\n"
}
