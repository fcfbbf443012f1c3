//! The sweep: which writes it detects, what it counts, and what it never does.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use testbed::proxy::{Action, Answer, Fault, RequestHead};
use testbed::wait;

use super::{brisk, machine_on, quiet, until_swept};
use crate::bed::{Bed, LIMIT, Lab, is_list, uid_of};
use crate::run::Side;

pub(super) fn trials(side: &Side) -> Vec<Trial> {
    vec![
        side.shared(a_timestamp_in_whole_seconds_matches_within_a_second),
        side.shared(the_reply_to_a_write_provides_its_timestamp),
        side.shared(after_three_corrections_the_operator_stops_until_the_spec_changes),
        side.shared(a_failed_read_of_a_synced_client_does_not_change_its_status),
        side.shared(an_orphan_is_counted_and_left_alone),
        side.shared(a_listing_with_a_failed_page_is_ignored),
    ]
}

async fn a_timestamp_in_whole_seconds_matches_within_a_second(bed: &Bed) -> Result<()> {
    let lab = bed.lab(&[], brisk()).await?;
    let (server, space) = (&lab.server, bed.space().await?);
    let client = space.ready_client("app", &machine_on(server)).await?;
    let id = uid_of(&client);
    let listed = lab.registered(&id).await?;
    let time = listed["updated_at"].as_str().unwrap_or_default().to_owned();
    // MySQL rounds the fraction that the reply to a write still had.
    let exact: jiff::Timestamp = time.parse()?;
    for (shift, same) in [(0, true), (1, true), (5, false)] {
        let whole = jiff::Timestamp::from_second(exact.as_second() + shift)?;
        let mut listed = listed.clone();
        listed["updated_at"] = json!(whole.to_string());
        let mark = server.admin.journal().mark();
        let page = server
            .admin
            .inject(Fault::new(is_list, Action::Answer(Answer::json(200, &json!([listed])))));
        until_swept(server, mark, 3).await?;
        drop(page);
        let asked = server.about_clients(mark);
        ensure!(asked.is_empty() == same, "{whole} for {time}: {asked:#?}");
        let writes = asked.iter().filter(|exchange| exchange.head.method != "GET");
        ensure!(
            writes.count() == 0,
            "it wrote although the live client is unchanged: {asked:#?}"
        );
    }
    Ok(())
}

async fn the_reply_to_a_write_provides_its_timestamp(bed: &Bed) -> Result<()> {
    let server = bed.own_server(quiet()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let path = bed.client_path(&uid_of(&client));
    let mut reply = bed.registered(&uid_of(&client)).await?;
    let told = "2031-02-03T04:05:06.789Z";
    reply["updated_at"] = json!(told);
    let faked = server.admin.inject(Fault::new(
        move |head| head.is("PUT", &path),
        Action::AnswerAfter(Answer::json(200, &reply)),
    ));
    let mark = server.admin.journal().mark();
    space.change("app", json!({ "spec": { "clientName": "a" } })).await?;
    let now = space.wait_ready("app").await?;
    ensure!(faked.struck() == 1, "{faked:?}");
    let known = now.status.and_then(|status| status.updated_at);
    ensure!(known.as_deref() == Some(told), "{known:?}");
    let asked = server.about_clients(mark);
    ensure!(
        asked.last().is_some_and(|last| last.head.method == "PUT"),
        "the client was read afterwards: {asked:#?}"
    );
    Ok(())
}

async fn after_three_corrections_the_operator_stops_until_the_spec_changes(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&server)).await?);
    for number in 1..=3 {
        bed.tamper(&id, |found| found["scope"] = json!(format!("read {number}")))
            .await?;
        bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
            .await?;
        // A correction counts only when its pass has ended.
        space.wait_ready("app").await?;
        let updated = bed.registered(&id).await?["updated_at"].clone();
        space
            .wait_client("a status that names the correction", "app", |client| {
                let known = client.status.as_ref().and_then(|status| status.updated_at.clone());
                same_time(&json!(known), &updated)
            })
            .await?;
    }
    bed.tamper(&id, |found| found["scope"] = json!("read 4")).await?;
    space.wait_condition("app", "Stalled", "True", "Conflict").await?;
    let mark = server.admin.journal().mark();
    until_swept(&server, mark, 3).await?;
    let writes: Vec<_> = server
        .about_clients(mark)
        .into_iter()
        .filter(|exchange| exchange.head.method != "GET")
        .collect();
    ensure!(writes.is_empty(), "{writes:#?}");
    ensure!(bed.registered(&id).await?["scope"] == "read 4", "it was corrected");
    space.wait_event("app", "Conflict", |_| true).await?;

    // As the message suggests, a change of the resource resumes the corrections.
    space.change("app", json!({ "spec": { "clientName": "ours" } })).await?;
    bed.until_registered("its scope back", &id, |found| found["scope"] == "read")
        .await?;
    space.wait_ready("app").await?;
    Ok(())
}

fn same_time(one: &Value, other: &Value) -> bool {
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    instant(one).is_some() && instant(one) == instant(other)
}

async fn an_orphan_is_counted_and_left_alone(bed: &Bed) -> Result<()> {
    let lab = bed.lab(&[], brisk()).await?;
    let space = bed.space().await?;
    let id = uid_of(&space.ready_client("app", &machine_on(&lab.server)).await?);
    let marked = lab.registered(&id).await?;
    until_counted(bed, &lab, 1, 0).await?;

    let stranger = orphan_like(&marked, "0f0e0d0c-0b0a-4908-8706-050403020100");
    lab.register(stranger.clone()).await?;
    until_counted(bed, &lab, 1, 1).await?;
    let labels = format!("server=\"{}\"", lab.server.name);
    let gauge = bed.operator().metric("oidc_operator_orphaned_objects", &labels).await?;
    ensure!(gauge == 1.0, "{gauge}");
    let mark = lab.server.admin.journal().mark();
    until_swept(&lab.server, mark, 3).await?;
    ensure!(
        lab.server.about_clients(mark).is_empty(),
        "{:#?}",
        lab.server.about_clients(mark)
    );
    lab.registered(stranger["client_id"].as_str().unwrap_or_default())
        .await
        .context("a sweep never deletes")?;
    Ok(())
}

/// A client with the operator's marker and a UID that no resource has.
fn orphan_like(marked: &Value, uid: &str) -> Value {
    let mut orphan = json!({ "client_id": uid, "metadata": marked["metadata"] });
    orphan["metadata"]["oidc-operator.dev"]["uid"] = json!(uid);
    orphan
}

async fn until_counted(bed: &Bed, lab: &Lab, resources: i64, orphans: i64) -> Result<()> {
    let what = format!(
        "AuthorizationServer {} to count {resources} resources and {orphans} orphans",
        lab.server.name
    );
    bed.wait_server(&what, &lab.server.name, |server| {
        let status = server.status.as_ref();
        status.is_some_and(|status| status.resources == Some(resources) && status.orphans == Some(orphans))
    })
    .await?;
    Ok(())
}

/// Whether the request is for the second page, in either version.
fn is_second(head: &RequestHead) -> bool {
    head.query().contains("page_token") || head.query().contains("offset=500")
}

async fn a_failed_read_of_a_synced_client_does_not_change_its_status(bed: &Bed) -> Result<()> {
    let server = bed.own_server(brisk()).await?;
    let space = bed.space().await?;
    let client = space.ready_client("app", &machine_on(&server)).await?;
    let before = space.wait_confirmed("app").await?;
    let path = bed.client_path(&uid_of(&client));
    for status in [500, 503] {
        let path = path.clone();
        let fault = server.admin.inject(Fault::new(
            move |head| head.is("GET", &path),
            Action::Answer(Answer::status(status)),
        ));
        let change = |row: &mut Value| row["client_name"] = json!(format!("changed {status}"));
        bed.tamper(&uid_of(&client), change).await?;
        wait::until("reads that fail", LIMIT, async || {
            Ok((fault.struck() >= 2).then_some(()))
        })
        .await?;
        let now = space.client("app").await?;
        ensure!(
            now.status.as_ref().map(|s| &s.conditions) == before.status.as_ref().map(|s| &s.conditions),
            "{status}: {:#?}",
            now.status
        );
        drop(fault);
        bed.until_registered("its own name again", &uid_of(&client), |row| {
            row["client_name"] != format!("changed {status}")
        })
        .await?;
    }
    Ok(())
}

async fn a_listing_with_a_failed_page_is_ignored(bed: &Bed) -> Result<()> {
    let lab = bed.lab(&[], brisk()).await?;
    let (server, space) = (&lab.server, bed.space().await?);
    let id = uid_of(&space.ready_client("app", &machine_on(server)).await?);
    let marked = lab.registered(&id).await?;
    until_counted(bed, &lab, 1, 0).await?;

    // A full page of unknown clients, without the test's own, and a second page that fails.
    let strangers: Vec<Value> = (0..500)
        .map(|number| orphan_like(&marked, &format!("00000000-0000-4000-8000-{number:012}")))
        .collect();
    let first = Answer::json(200, &json!(strangers))
        .header("link", "</admin/clients?page_token=more&page_size=500>; rel=\"next\"");
    let mark = server.admin.journal().mark();
    let second = server.admin.inject(Fault::new(
        |head| is_list(head) && is_second(head),
        Action::Answer(Answer::status(500)),
    ));
    let first = server.admin.inject(Fault::new(
        |head| is_list(head) && !is_second(head),
        Action::Answer(first),
    ));
    wait::until("pages that fail", LIMIT, async || {
        Ok((first.struck() >= 3 && second.struck() >= 3).then_some(()))
    })
    .await?;
    let status = bed.servers_api().get(&server.name).await?.status.context("no status")?;
    ensure!(
        status.orphans == Some(0) && status.resources == Some(1),
        "{:?} {:?}",
        status.orphans,
        status.resources
    );
    ensure!(
        server.about_clients(mark).is_empty(),
        "woken as missing: {:#?}",
        server.about_clients(mark)
    );
    drop((first, second));
    // The same page counts when the listing is complete, so the test can fail.
    let rest = server.admin.inject(Fault::new(
        |head| is_list(head) && is_second(head),
        Action::Answer(Answer::json(200, &json!([]))),
    ));
    let whole = server.admin.inject(Fault::new(
        |head| is_list(head) && !is_second(head),
        Action::Answer(Answer::json(200, &json!(strangers))),
    ));
    until_counted(bed, &lab, 1, 500).await?;
    let looked = |exchange: &testbed::proxy::Exchange| exchange.head.is("GET", &bed.client_path(&id));
    server.admin.journal().wait_for(looked, LIMIT).await?;
    drop((whole, rest));
    Ok(())
}
