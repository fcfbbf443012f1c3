//! The admin API of a Foulkon worker: the OpenID Connect providers whose tokens it accepts (`/api/v1/admin/auth/oidc/providers`), and what it says of itself
//! (`/about`).
//!
//! The worker looks names up with SQL's `LIKE`, so that `_` in a name stands for any character: who writes has to have read, and to have compared name and
//! id. It reads its providers once, when it starts.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::bounded::{Bounded, ID, WORD};
use super::http::{Body, Expects, Failure, Http, Request};

mod provider;
pub mod worker;

pub use provider::{Fields, Provider, is_client_id, is_name, is_path};

/// The path of providers.
const PROVIDERS: [&str; 6] = ["api", "v1", "admin", "auth", "oidc", "providers"];
/// Most names on a page of a listing; the worker refuses more.
pub const PAGE: u32 = 1000;
/// Most names of one listing: a server that never ends is not believed.
const MAX_NAMES: u32 = 100_000;
/// The error's code where there is no provider of a name.
const NOT_FOUND: &str = "AuthOidcProviderWithNameNotFound";
/// The error's code where there is a provider of that name.
const EXISTS: &str = "AuthOidcProviderAlreadyExist";

/// One Foulkon, through one of its workers.
#[derive(Clone)]
pub struct Foulkon {
    http: Arc<Http>,
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its version, for example `v0.5.0`.
    pub version: Bounded<WORD>,
    /// The providers whose tokens it accepts: those that there were when it started. None where it accepts no tokens, or says it in a way that is not
    /// understood.
    pub loaded: Option<Vec<Provider>>,
}

/// Which providers a listing shows, and in which order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing<'a> {
    /// `PathPrefix`: only those whose path begins so. Has to be a path itself; `_` in it stands for any character.
    pub path_prefix: Option<&'a str>,
    /// `Offset`: how many to pass over.
    pub offset: u32,
    /// `Limit`: how many to show at most, up to [`PAGE`]. None, or 0: 20.
    pub limit: Option<u32>,
    /// `OrderBy`: the column, and whether the greatest comes first. There is no order without it.
    pub order_by: Option<(Column, Order)>,
}

/// What a listing can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `name`
    Name,
    /// `path`
    Path,
    /// `create_at`
    CreateAt,
    /// `update_at`
    UpdateAt,
    /// `urn`
    Urn,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The least comes first.
    Ascending,
    /// The greatest comes first.
    Descending,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Page {
    /// Names.
    #[serde(default)]
    pub providers: Vec<Bounded<ID>>,
    /// How many there are on all pages.
    pub total: u32,
}

impl Foulkon {
    /// Speaks to a worker.
    pub fn new(http: Arc<Http>) -> Self {
        Foulkon { http }
    }

    /// Asks the worker about itself, which it tells only its admin. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn about(&self) -> Result<About, Failure> {
        let request = Request {
            expects: Expects::Many,
            probe: true,
            ..Request::new("about", Method::GET, &["about"])
        };
        match self.http.send(request).await {
            // Whoever may make providers can make it so.
            Err(Failure::TooLarge(_)) => Ok(About::default()),
            reply => about(&reply?.body),
        }
    }

    /// Lists names of providers. Passes an open circuit breaker.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn list(&self, listing: Listing<'_>) -> Result<Page, Failure> {
        let query = listing.query();
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = Request {
            query: &query,
            probe: true,
            ..Request::new("list_oidc_providers", Method::GET, &PROVIDERS)
        };
        let page: Page = parsed(self.http.send(request).await?.body)?;
        match page.providers.len() <= PAGE as usize {
            true => Ok(page),
            false => Err(Failure::Reply("has more entries than were asked for")),
        }
    }

    /// Names of all providers whose path begins so. Pages may shift while others write: what is missed so is found the next time.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn names(&self, path_prefix: &str) -> Result<BTreeSet<String>, Failure> {
        let mut names = BTreeSet::new();
        let mut offset = 0;
        loop {
            let listing = Listing {
                path_prefix: Some(path_prefix),
                offset,
                limit: Some(PAGE),
                order_by: Some((Column::Name, Order::Ascending)),
            };
            let page = self.list(listing).await?;
            let (before, is_empty) = (names.len(), page.providers.is_empty());
            names.extend(page.providers.into_iter().map(String::from));
            offset += PAGE;
            if is_empty || offset >= page.total {
                return Ok(names);
            }
            if names.len() == before || offset >= MAX_NAMES {
                return Err(Failure::Reply("does not come to an end"));
            }
        }
    }

    /// Reads a provider. None if there is none. The name of the one that is found may be another one, since `_` stands for any character.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(&self, name: &str) -> Result<Option<Provider>, Failure> {
        let path = path_of(name);
        let request = Request::new("get_oidc_provider", Method::GET, &path);
        match self.http.send(request).await {
            Err(failure) if is_absent(&failure) => Ok(None),
            reply => parsed(reply?.body).map(Some),
        }
    }

    /// Creates a provider.
    ///
    /// # Errors
    /// [`Failure`]; [`is_conflict`] if there is one of that name.
    pub async fn create(&self, fields: &Fields) -> Result<Provider, Failure> {
        let request = Request {
            body: Some(body(fields)?),
            ..Request::new("create_oidc_provider", Method::POST, &PROVIDERS)
        };
        parsed(self.http.send(request).await?.body)
    }

    /// Gives a provider these fields, name and path among them. It keeps its id.
    ///
    /// # Errors
    /// [`Failure`]; [`is_conflict`] if there is another one of the new name, [`is_absent`] if there is none of the old one.
    pub async fn update(&self, name: &str, fields: &Fields) -> Result<Provider, Failure> {
        let path = path_of(name);
        let request = Request {
            body: Some(body(fields)?),
            ..Request::new("update_oidc_provider", Method::PUT, &path)
        };
        parsed(self.http.send(request).await?.body)
    }

    /// Deletes a provider. Returns whether there was one.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete(&self, name: &str) -> Result<bool, Failure> {
        let path = path_of(name);
        match self
            .http
            .send(Request::new("delete_oidc_provider", Method::DELETE, &path))
            .await
        {
            Err(failure) if is_absent(&failure) => Ok(false),
            reply => reply.map(|_| true),
        }
    }
}

impl Listing<'_> {
    fn query(&self) -> Vec<(&'static str, String)> {
        let prefix = self.path_prefix.map(|prefix| ("PathPrefix", prefix.to_owned()));
        let offset = (self.offset > 0).then(|| ("Offset", self.offset.to_string()));
        let limit = self.limit.map(|limit| ("Limit", limit.to_string()));
        let order = self.order_by.map(|(column, order)| {
            let column = match column {
                Column::Name => "name",
                Column::Path => "path",
                Column::CreateAt => "create_at",
                Column::UpdateAt => "update_at",
                Column::Urn => "urn",
            };
            let order = match order {
                Order::Ascending => "asc",
                Order::Descending => "desc",
            };
            ("OrderBy", format!("{column}-{order}"))
        });
        [prefix, offset, limit, order].into_iter().flatten().collect()
    }
}

/// Whether the worker itself says that there is no provider of a name.
pub fn is_absent(failure: &Failure) -> bool {
    is(failure, 404, NOT_FOUND)
}

/// Whether the worker itself says that there is a provider of a name.
pub fn is_conflict(failure: &Failure) -> bool {
    is(failure, 409, EXISTS)
}

fn is(failure: &Failure, status: u16, wanted: &str) -> bool {
    matches!(failure, Failure::Status { code, error: Some(error), .. } if *code == status && error == wanted)
}

fn path_of(name: &str) -> Vec<&str> {
    PROVIDERS.into_iter().chain([name]).collect()
}

fn body(fields: &Fields) -> Result<Body, Failure> {
    let body = serde_json::to_vec(fields).map_err(|_| Failure::Reply("cannot be asked for: a field cannot be sent"))?;
    Ok(Body::Json(body))
}

fn parsed<T: DeserializeOwned>(body: Value) -> Result<T, Failure> {
    serde_json::from_value(body).map_err(|_| Failure::Reply("lacks a field or has one of another form"))
}

/// Reads what a worker says of itself. One with the authenticator `oidc` lists its providers, if it has any.
fn about(body: &Value) -> Result<About, Failure> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let (Some(version), Some(authenticator)) = (text("/version"), text("/authenticator/type")) else {
        return Err(Failure::Reply("is not what a Foulkon worker says of itself"));
    };
    let loaded = match (authenticator, body.pointer("/authenticator/oidcProviders")) {
        ("oidc", None | Some(Value::Null)) => Some(Vec::new()),
        ("oidc", Some(listed)) => parsed(listed.clone()).ok(),
        _ => None,
    };
    let version = version.parse().map_err(|_| Failure::Reply("holds no version"))?;
    Ok(About { version, loaded })
}

/// Whether a worker has loaded a provider that is as these fields say.
pub fn is_loaded(loaded: &[Provider], fields: &Fields) -> bool {
    loaded.iter().any(|provider| fields.differences(provider).is_empty())
}
