//! Replies that no Hydra sends. The operator reports what is wrong, needs little memory, and recovers afterwards.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use libtest_mimic::Trial;
use serde_json::json;
use testbed::proxy::{Action, Answer, Fault, RequestHead};

use super::machine_on;
use crate::bed::{Bed, LIMIT, Options, Server, ServerOptions, Space, is_list, uid_of};
use crate::conditions::{Tone, client_ready, client_says, server_says};
use crate::run::Side;

pub fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(malformed_replies_to_a_write_are_reported),
        side.shared(a_failed_write_is_reported_as_an_outage_or_a_timeout),
        side.shared(malformed_versions_and_lists_are_reported_on_the_server),
        side.alone(Options::default(), huge_replies_need_little_memory),
    ]
}

/// Name of the case, the fault, the reason and the message.
type Case = (&'static str, Action, &'static str, String);

fn text(status: u16, body: impl Into<String>) -> Action {
    Action::Answer(Answer::status(status).body(body.into()))
}

fn reply(operation: &str, problem: &str) -> String {
    format!(
        "The server's reply to {operation} {problem}. This is a fault of the server, of a proxy in front of it, or of the operator."
    )
}

fn unavailable(why: &str) -> String {
    format!("The server cannot be used now: {why}. The operator keeps trying.")
}

fn cases() -> Vec<Case> {
    let update = |problem: &str| reply("update_o_auth2_client", problem);
    let busy = json!({ "error": "Unable to serialize access due to a concurrent update in another session", "error_description": "" });
    vec![
        (
            "html",
            text(200, "<html>hello</html>"),
            "InternalError",
            update("is not JSON"),
        ),
        ("empty", text(200, ""), "InternalError", update("is not a client")),
        ("list", text(200, "[]"), "InternalError", update("is not a client")),
        (
            "types",
            text(200, r#"{"client_id":7,"scope":[]}"#),
            "InternalError",
            update("is not a client"),
        ),
        (
            "other",
            text(200, r#"{"client_id":"somebody-else"}"#),
            "InternalError",
            update("describes another client"),
        ),
        (
            "a time of a megabyte",
            text(
                200,
                format!(r#"{{"client_id":"a","updated_at":"{}"}}"#, "2".repeat(900_000)),
            ),
            "InternalError",
            update("is not a client"),
        ),
        (
            "a time of two lines",
            text(200, r#"{"client_id":"a","updated_at":"2026-01-01T00:00:00Z\nReady"}"#),
            "InternalError",
            update("is not a client"),
        ),
        (
            "an id of half a megabyte",
            text(200, format!(r#"{{"client_id":"{}"}}"#, "x".repeat(500_000))),
            "InternalError",
            update("is not a client"),
        ),
        (
            "huge",
            text(200, format!("\"{}\"", "x".repeat(2 << 20))),
            "InternalError",
            update("is too large"),
        ),
        (
            "deep",
            text(200, "[".repeat(500_000)),
            "InternalError",
            update("is not JSON"),
        ),
        (
            "teapot",
            text(418, "short and stout"),
            "InternalError",
            update("has an unexpected status"),
        ),
        (
            "error",
            text(500, r#"{"error":"it is the database: password=hunter2-hunter2"}"#),
            "ServerUnavailable",
            unavailable("it answered 500"),
        ),
        (
            "busy",
            text(400, busy.to_string()),
            "ServerUnavailable",
            unavailable("it is busy with a concurrent change"),
        ),
    ]
}

async fn on_own_server(bed: &Bed) -> Result<(Arc<Server>, Space<'_>, String)> {
    let server = bed.own_server(ServerOptions::default()).await?;
    let space = bed.space().await?;
    space.apply_client("app", &machine_on(&server.name)).await?;
    client_ready(&space, "app").await?;
    let id = uid_of(&space.wait_confirmed("app").await?);
    Ok((server, space, id))
}

fn is_put(head: &RequestHead) -> bool {
    head.method == "PUT"
}

async fn malformed_replies_to_a_write_are_reported(bed: &Bed) -> Result<()> {
    bed.canary("hunter2-hunter2");
    let results = futures::stream::iter(cases().into_iter().map(|case| async move {
        let name = case.0;
        one_strange_reply(bed, case).await.context(name)
    }));
    let results: Vec<Result<()>> = results.buffer_unordered(4).collect().await;
    results.into_iter().collect()
}

async fn one_strange_reply(bed: &Bed, (_, action, reason, message): Case) -> Result<()> {
    let (server, space, id) = on_own_server(bed).await?;
    let fault = server.admin.inject(Fault::new(is_put, action));
    space
        .change("app", json!({ "spec": { "clientName": "changed" } }))
        .await?;
    client_says(&space, "app", Tone::Reconciling, reason, &message).await?;
    ensure!(fault.struck() >= 1, "the fault did not strike");
    drop(fault);
    client_ready(&space, "app").await?;
    let row = bed.registered(&id).await?;
    ensure!(row["client_name"] == "changed", "{row}");
    Ok(())
}

async fn a_failed_write_is_reported_as_an_outage_or_a_timeout(bed: &Bed) -> Result<()> {
    let known = unavailable("it has just failed; see the AuthorizationServer");
    let own =
        "The server did not finish the request in time. The operator tries again at increasing intervals.".to_owned();
    let outage = ("ServerUnavailable", &known);
    let timeout = ("Timeout", &own);
    let actions = [
        ("hang", Action::Hang, timeout),
        ("reply that never comes", Action::HangReply, timeout),
        ("trickle", Action::Trickle { bytes_per_second: 20 }, timeout),
        ("bad gateway", Action::Answer(Answer::status(502)), timeout),
        ("truncated", Action::Truncate { bytes: 20 }, outage),
        ("refused", Action::Refuse, outage),
    ];
    let results = futures::stream::iter(actions.into_iter().map(|(name, action, (reason, message))| async move {
        let result = async {
            let (server, space, id) = on_own_server(bed).await?;
            let fault = server.admin.inject(Fault::new(is_put, action));
            space
                .change("app", json!({ "spec": { "clientName": "changed" } }))
                .await?;
            client_says(&space, "app", Tone::Reconciling, reason, message).await?;
            drop(fault);
            bed.server_ready(&server.name).await?;
            client_ready(&space, "app").await?;
            let row = bed.registered(&id).await?;
            ensure!(row["client_name"] == "changed", "{row}");
            Ok(())
        };
        result.await.context(name)
    }));
    let results: Vec<Result<()>> = results.buffer_unordered(4).collect().await;
    results.into_iter().collect()
}

async fn malformed_versions_and_lists_are_reported_on_the_server(bed: &Bed) -> Result<()> {
    let version = |head: &RequestHead| head.is("GET", "/version");
    let list = |head: &RequestHead| is_list(head);
    let of_version = |problem: &str| reply("get_version", problem);
    let of_list = |problem: &str| reply("list_o_auth2_clients", problem);
    type Matching = fn(&RequestHead) -> bool;
    let cases: Vec<(Matching, Action, &str, String)> = vec![
        (
            version,
            text(200, "<html>log in</html>"),
            "InternalError",
            of_version("is not JSON"),
        ),
        (
            version,
            text(200, r#"{"version":2}"#),
            "InternalError",
            of_version("holds no version"),
        ),
        (
            version,
            text(200, format!(r#"{{"version":"{}"}}"#, "9".repeat(9_000))),
            "InternalError",
            of_version("holds no version"),
        ),
        (
            version,
            text(503, ""),
            "ServerUnavailable",
            unavailable("it answered 503"),
        ),
        (
            version,
            Action::Hang,
            "ServerUnavailable",
            unavailable("no reply within the deadline"),
        ),
        (list, text(200, "{}"), "InternalError", of_list("is not a list")),
        (
            list,
            text(200, r#"[{"client_id":"a"},7]"#),
            "InternalError",
            of_list("is not a list of clients"),
        ),
        (list, text(200, "not json"), "InternalError", of_list("is not JSON")),
        (list, text(500, ""), "ServerUnavailable", unavailable("it answered 500")),
        (
            list,
            Action::Truncate { bytes: 1 },
            "ServerUnavailable",
            unavailable("the connection broke during a reply"),
        ),
    ];
    let results = futures::stream::iter(cases.into_iter().enumerate().map(
        |(number, (matching, action, reason, message))| async move {
            let result = async {
                let (server, space, id) = on_own_server(bed).await?;
                let before = space.client("app").await?;
                let fault = server.admin.inject(Fault::new(matching, action));
                server_says(bed, &server.name, Tone::Reconciling, reason, &message).await?;
                // Settled clients do not change, and no client counts as missing.
                let now = space.client("app").await?;
                ensure!(
                    now.metadata.resource_version == before.metadata.resource_version,
                    "its status is {:?}, and was {:?}",
                    now.status,
                    before.status
                );
                drop(fault);
                bed.server_ready(&server.name).await?;
                ensure!(bed.hydra_client(&id).await?.is_some(), "the client is gone");
                Ok(())
            };
            result.await.with_context(|| format!("case {number}: {message}"))
        },
    ));
    let results: Vec<Result<()>> = results.buffer_unordered(4).collect().await;
    results.into_iter().collect()
}

/// Highest memory use in MiB; the chart gives the operator 256 MiB.
const MOST: u64 = 200;

async fn huge_replies_need_little_memory(bed: &Bed) -> Result<()> {
    let (server, space, _) = on_own_server(bed).await?;
    let before = bed.operator().peak_mib()?;
    let whole = |body: Vec<u8>| Action::Answer(Answer::status(200).body(body));
    let list = |head: &RequestHead| is_list(head);
    let version = |head: &RequestHead| head.is("GET", "/version");
    let many = |item: &str, bytes: usize| [b"[", item.repeat(bytes / item.len()).as_bytes(), b"0]"].concat();
    type Matching = fn(&RequestHead) -> bool;
    let cases: Vec<(&str, Matching, Action)> = vec![
        ("a version without end", version, whole(vec![b'x'; 256 << 20])),
        ("a list without end", list, whole(vec![b' '; 256 << 20])),
        ("many small items", list, whole(many("{},", 31 << 20))),
        ("many numbers", list, whole(many("0,", 31 << 20))),
    ];
    for (name, matching, action) in cases {
        let fault = server.admin.inject(Fault::new(matching, action));
        let what = format!("{name} to be refused");
        bed.wait_server(&what, &server.name, |server| {
            let conditions = crate::conditions::server_conditions(server);
            let ready = oidc_operator::api::condition::find(conditions, "Ready");
            ready.is_some_and(|ready| ready.reason == "InternalError")
        })
        .await?;
        let now = bed.operator().peak_mib()?;
        ensure!(now < MOST, "{name}: {now} MiB after {before} MiB");
        drop(fault);
        bed.server_ready(&server.name).await?;
    }
    // The operator sends at most sixteen requests at a time to one server.
    let fault = server.admin.inject(Fault::new(is_put, whole(vec![b'x'; 64 << 20])));
    for number in 0..20 {
        space
            .apply_client(&format!("many-{number}"), &machine_on(&server.name))
            .await?;
    }
    for number in 0..20 {
        client_ready(&space, &format!("many-{number}")).await?;
        space
            .change(
                &format!("many-{number}"),
                json!({ "spec": { "clientName": "changed" } }),
            )
            .await?;
    }
    testbed::wait::until("twenty huge replies", LIMIT, async || {
        Ok((fault.struck() >= 20).then_some(()))
    })
    .await?;
    drop(fault);
    for number in 0..20 {
        client_ready(&space, &format!("many-{number}")).await?;
    }
    let now = bed.operator().peak_mib()?;
    ensure!(now < MOST, "{now} MiB after {before} MiB");
    Ok(())
}
