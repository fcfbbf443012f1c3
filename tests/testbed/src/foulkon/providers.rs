//! The calls on providers. Each reads the database and changes it in separate steps, as the worker does, so concurrent
//! calls can interleave.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::yield_now;

use super::auth::Caller;
use super::body::Wanted;
use super::reply::{self, Failure};
use super::request_uri;
use super::table::{Database, OidcClient, Provider, uuid};
use super::validate::{self, Filter};

/// A page of the list.
#[derive(Serialize)]
struct Page {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    providers: Vec<String>,
    limit: usize,
    offset: usize,
    total: usize,
}

/// POST to the list.
pub(super) async fn create(database: &Database, caller: &Caller, wanted: Wanted) -> Result<Response, Failure> {
    check(&wanted, "name", "path")?;
    let urn = urn(&wanted);
    caller.authorize(database, &urn)?;
    if database.table().find(&wanted.name).is_some() {
        return Err(Failure::already_exists(format!(
            "Unable to create OIDC provider, OIDC provider with name {} already exist",
            wanted.name
        )));
    }
    yield_now().await;
    let provider = Provider {
        id: uuid(),
        name: wanted.name,
        path: wanted.path,
        urn,
        create_at: Timestamp::now(),
        update_at: Timestamp::now(),
        issuer_url: wanted.issuer_url,
        clients: clients(wanted.clients),
    };
    database.table().insert(provider.clone()).map_err(Failure::database)?;
    Ok(reply::json(StatusCode::CREATED, &provider))
}

/// GET of a provider.
pub(super) fn get(database: &Database, caller: &Caller, name: &str) -> Result<Response, Failure> {
    Ok(reply::json(StatusCode::OK, &find(database, caller, name)?))
}

/// PUT to a provider.
pub(super) async fn update(
    database: &Database,
    caller: &Caller,
    name: &str,
    wanted: Wanted,
) -> Result<Response, Failure> {
    check(&wanted, "new name", "new path")?;
    let old = find(database, caller, name)?;
    if database
        .table()
        .find(&wanted.name)
        .is_some_and(|found| found.id != old.id)
    {
        let message = format!("OIDC Provider name: {} already exists", wanted.name);
        return Err(Failure::already_exists(message));
    }
    let urn = urn(&wanted);
    caller.authorize(database, &urn)?;
    yield_now().await;
    let provider = Provider {
        name: wanted.name,
        path: wanted.path,
        urn,
        update_at: Timestamp::now(),
        issuer_url: wanted.issuer_url,
        clients: clients(wanted.clients),
        ..old
    };
    database.table().update(provider.clone()).map_err(Failure::database)?;
    Ok(reply::json(StatusCode::OK, &provider))
}

/// DELETE of a provider.
pub(super) async fn delete(database: &Database, caller: &Caller, name: &str) -> Result<Response, Failure> {
    let provider = find(database, caller, name)?;
    yield_now().await;
    database.table().remove(&provider.id);
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// GET of the list.
pub(super) fn list(database: &Database, caller: &Caller, filter: Filter) -> Result<Response, Failure> {
    let selection = filter.selection()?;
    let (providers, total) = database.table().select(&selection);
    caller.authorize(database, "*")?;
    let page = Page {
        providers: providers.into_iter().map(|provider| provider.name).collect(),
        limit: selection.limit,
        offset: selection.offset,
        total,
    };
    Ok(reply::json(StatusCode::OK, &page))
}

fn find(database: &Database, caller: &Caller, name: &str) -> Result<Provider, Failure> {
    if !validate::is_name(name) {
        return Err(Failure::invalid(format!("Invalid parameter: name {name}")));
    }
    let found = database.table().find(name).cloned();
    let found = found.ok_or_else(|| Failure::not_found(name))?;
    caller.authorize(database, &found.urn)?;
    Ok(found)
}

/// Checks the wanted fields. `name` and `path` are the words for these fields in error messages.
fn check(wanted: &Wanted, name: &str, path: &str) -> Result<(), Failure> {
    let invalid = |what: &str, value: &str| Err(Failure::invalid(format!("Invalid parameter: {what} {value}")));
    if !validate::is_name(&wanted.name) {
        return invalid(name, &wanted.name);
    }
    if !validate::is_path(&wanted.path) {
        return invalid(path, &wanted.path);
    }
    if !request_uri::is_valid(&wanted.issuer_url) {
        return invalid("issuerUrl", &wanted.issuer_url);
    }
    let mut clients = wanted.clients.iter();
    match clients.find(|client| !validate::is_client(client)) {
        Some(client) => invalid("client name", client),
        None => Ok(()),
    }
}

fn urn(wanted: &Wanted) -> String {
    format!("urn:iws:auth::oidc{}{}", wanted.path, wanted.name)
}

fn clients(names: Vec<String>) -> Vec<OidcClient> {
    names.into_iter().map(|name| OidcClient { name }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(path: &str) -> Wanted {
        Wanted {
            name: "a".to_owned(),
            path: path.to_owned(),
            issuer_url: "/".to_owned(),
            clients: Vec::new(),
        }
    }

    #[tokio::test]
    async fn two_concurrent_creations_can_share_a_name_but_not_a_urn() {
        let database = Database::default();
        let create = |path: &'static str| create(&database, &Caller::Admin, wanted(path));
        let (one, other) = tokio::join!(create("/ab/"), create("/cd/"));
        let statuses = [one, other].map(|done| done.expect("each looked before the other wrote").status());
        assert_eq!(statuses, [StatusCode::CREATED; 2]);
        assert_eq!(database.table().all().len(), 2);

        let database = Database::default();
        let create = || super::create(&database, &Caller::Admin, wanted("/ab/"));
        let (one, other) = tokio::join!(create(), create());
        let failures: Vec<Failure> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(failures.len(), 1); // the database refuses the later one
        let failure = format!("{failures:?}");
        assert!(
            failure.contains("UnknownApiError") && failure.contains("oidc_providers_urn_key"),
            "{failure}"
        );
        assert_eq!(database.table().all().len(), 1);
    }

    #[tokio::test]
    async fn an_update_of_a_concurrently_deleted_provider_is_lost() {
        let database = Database::default();
        let made = create(&database, &Caller::Admin, wanted("/ab/")).await;
        assert!(made.is_ok());
        let (deleted, updated) = tokio::join!(
            delete(&database, &Caller::Admin, "a"),
            update(&database, &Caller::Admin, "a", wanted("/cd/"))
        );
        assert_eq!(deleted.expect("it existed").status(), StatusCode::NO_CONTENT);
        assert_eq!(updated.expect("it existed").status(), StatusCode::OK);
        assert_eq!(database.table().all().len(), 0);
    }
}
