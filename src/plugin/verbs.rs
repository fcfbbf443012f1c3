//! What each verb does.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::CommandFactory as _;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, TypeMeta};
use serde_json::{Value, json};

use crate::admin::bounded::printable;
use crate::plugin::arguments::{Change, Check, Completion, Format, Plugin, Status, Targets, UninstallCheck};
use crate::plugin::ask::{Answer, Ask, Request};
use crate::plugin::finding::Verdict;
use crate::plugin::objects::{answer, put};
use crate::plugin::session::Session;
use crate::plugin::target::Target;
use crate::plugin::{NAME, NOT_READY, census, check, finding, show, tree};
use crate::reach::Reach;

pub(super) async fn status(session: &Session, asked: &Status) -> Result<ExitCode> {
    let namespace = (!asked.all_namespaces).then_some(session.namespace.as_str());
    let mut forest = tree::forest(census::take(&session.client, namespace).await?);
    if namespace.is_some() {
        forest.retain(|server| !server.children.is_empty()); // servers that this namespace does not use
    }
    let counted = show::count(&forest);
    let shown = match asked.not_ready {
        true => tree::unwell(forest),
        false => forest,
    };
    match asked.output {
        Format::Text => put(&show::text(&shown, counted))?,
        Format::Json => put(&(serde_json::to_string_pretty(&show::report(&shown, counted))? + "\n"))?,
        Format::Yaml => put(&serde_saphyr::to_string(&show::report(&shown, counted))?)?,
    }
    Ok(match counted {
        (_, 0) => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_READY),
    })
}

/// Asks the operator for something: of all resources, or of none if one of them is out of the question.
pub(super) async fn ask(session: &Session, ask: Ask, asked: &Change) -> Result<ExitCode> {
    let mut requests = Vec::new();
    for target in targets(&asked.targets)? {
        let found = get(session, &target).await?;
        let request = Request::of(ask, &found, Timestamp::now());
        let request = request.map_err(|why| anyhow!("{}: {why}", called(&target)))?;
        requests.push((target, request));
    }
    for (target, request) in &requests {
        patch(session, target, request.change()).await?;
        if !asked.wait {
            put(&format!("{}: the operator is asked\n", called(target)))?;
        }
    }
    let mut code = ExitCode::SUCCESS;
    for (target, request) in requests.iter().filter(|_| asked.wait) {
        let sentence = match answer(&api(session, target), &target.name, asked.timeout, |found| {
            request.answer(found)
        })
        .await?
        {
            Answer::Done(how) => how,
            Answer::Refused(why) | Answer::Open(why) => {
                code = ExitCode::from(NOT_READY);
                format!("not done. {why}")
            }
        };
        put(&format!("{}: {}\n", called(target), printable(&sentence)))?;
    }
    Ok(code)
}

pub(super) async fn suspend(session: &Session, asked: &Targets, suspended: bool) -> Result<ExitCode> {
    let targets = targets(asked)?;
    if let Some(server) = targets.iter().find(|target| !target.is_namespaced) {
        bail!("{}: only its resources can be suspended. Name them.", called(server));
    }
    for target in targets {
        let value = if suspended { json!(true) } else { Value::Null };
        patch(session, &target, json!({ "spec": { "suspend": value } })).await?;
        let done = if suspended { "suspended" } else { "resumed" };
        put(&format!("{}: {done}\n", called(&target)))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(session: &Session, asked: &Check) -> Result<ExitCode> {
    let servers = census::servers(&session.client).await?;
    let findings = check::look(session, &servers).await?;
    match asked.output {
        Format::Text => put(&finding::text(&findings))?,
        Format::Json => put(&(serde_json::to_string_pretty(&findings)? + "\n"))?,
        Format::Yaml => put(&serde_saphyr::to_string(&findings)?)?,
    }
    let is_bad = findings.iter().any(|found| found.verdict == Verdict::Bad);
    Ok(if is_bad {
        ExitCode::from(NOT_READY)
    } else {
        ExitCode::SUCCESS
    })
}

pub(super) async fn uninstall_check(session: &Session, asked: UninstallCheck) -> Result<ExitCode> {
    let reach = Reach {
        class: asked.server_class,
        ..Reach::default()
    };
    let held = crate::check::held(&session.client, &reach).await?;
    put(&crate::check::stranded(&held))?;
    Ok(if held.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_READY)
    })
}

pub(super) fn complete(asked: &Completion) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(asked.shell, &mut Plugin::command(), NAME, &mut script);
    put(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn get(session: &Session, target: &Target) -> Result<DynamicObject> {
    let mut found = api(session, target)
        .get(&target.name)
        .await
        .with_context(|| format!("cannot read {}", called(target)))?;
    found.types = Some(TypeMeta {
        api_version: target.resource.api_version.clone(),
        kind: target.resource.kind.clone(),
    });
    Ok(found)
}

fn targets(asked: &Targets) -> Result<Vec<Target>> {
    let parsed = asked
        .resources
        .iter()
        .map(|text| Target::parse(text).map_err(anyhow::Error::msg));
    parsed.collect()
}

fn api(session: &Session, target: &Target) -> Api<DynamicObject> {
    match target.is_namespaced {
        true => Api::namespaced_with(session.client.clone(), &session.namespace, &target.resource),
        false => Api::all_with(session.client.clone(), &target.resource),
    }
}

async fn patch(session: &Session, target: &Target, change: Value) -> Result<()> {
    let parameters = PatchParams {
        field_manager: Some(NAME.to_owned()),
        ..PatchParams::default()
    };
    let patched = api(session, target)
        .patch(&target.name, &parameters, &Patch::Merge(change))
        .await;
    patched
        .map(drop)
        .with_context(|| format!("cannot change {}", called(target)))
}

/// As kubectl calls it.
fn called(target: &Target) -> String {
    format!(
        "{}.{}/{}",
        target.resource.kind.to_lowercase(),
        target.resource.group,
        target.name
    )
}
