//! What verbs do with objects: print, and wait for a state.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt};

use super::ask::Answer;

/// Prints, with colours only on a terminal. A reader who has seen enough is no error.
pub(super) fn put(text: &str) -> Result<()> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot print"),
    }
}

/// Waits until an object answers with something other than a wait, or the time is over: then the last answer counts.
pub(super) async fn answer(
    api: &Api<DynamicObject>,
    name: &str,
    limit: Duration,
    judge: impl Fn(&DynamicObject) -> Answer,
) -> Result<Answer> {
    // A watch that breaks begins again.
    let seen = watch_object(api.clone(), name).default_backoff();
    let answers = seen.filter_map(|found| {
        let answer = found.ok().map(|found| match found {
            Some(found) => judge(&found),
            None => Answer::Refused("It was deleted.".to_owned()),
        });
        async move { answer.filter(|answer| !matches!(answer, Answer::Open(_))) }
    });
    match tokio::time::timeout(limit, std::pin::pin!(answers).next()).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) | Err(_) => Ok(judge(
            &api.get(name).await.with_context(|| format!("cannot read {name}"))?,
        )),
    }
}

/// Waits like [`answer`], and fails with the sentence if it is not done.
pub(super) async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    limit: Duration,
    judge: impl Fn(&DynamicObject) -> Answer,
) -> Result<()> {
    match answer(api, name, limit, judge).await? {
        Answer::Done(_) => Ok(()),
        Answer::Refused(why) | Answer::Open(why) => bail!("{why}"),
    }
}

/// Waits until an object with this UID is gone.
pub(super) async fn until_gone(api: &Api<DynamicObject>, found: &DynamicObject, limit: Duration) -> Result<()> {
    let seen = watch_object(api.clone(), &found.name_any()).default_backoff();
    let is_gone = |seen: Option<DynamicObject>| seen.is_none_or(|seen| seen.uid() != found.uid());
    let gone = seen.filter_map(|seen| {
        let is_gone = seen.ok().is_some_and(is_gone);
        async move { is_gone.then_some(()) }
    });
    match tokio::time::timeout(limit, std::pin::pin!(gone).next()).await {
        Ok(Some(())) => Ok(()),
        Ok(None) | Err(_) => bail!("it is still being deleted; `kubectl oidc status` says what it waits for"),
    }
}
