//! A user's browser, which follows redirects, keeps cookies and fills in forms.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, Response, StatusCode};
use testbed::http;
use url::Url;
use url::form_urlencoded::Serializer;

/// Highest number of redirects in a row.
const FARTHEST: usize = 20;

/// A browser with its cookies.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

/// Where a browser ends up.
pub enum Arrived {
    /// A page that the browser shows.
    Page(Page),
    /// A URL of the application; nothing listens there.
    Back(Url),
}

/// A page.
pub struct Page {
    /// HTTP status of the page.
    pub status: StatusCode,
    /// URL of the page.
    url: Url,
    /// HTML of the page.
    pub text: String,
}

impl Arrived {
    /// The page that the browser shows.
    pub fn page(self) -> Result<Page> {
        match self {
            Arrived::Page(page) => Ok(page),
            Arrived::Back(url) => bail!("back at {url} instead of a page"),
        }
    }

    /// The URL of the application that the browser is sent back to.
    pub fn back(self) -> Result<Url> {
        match self {
            Arrived::Back(url) => Ok(url),
            Arrived::Page(page) => bail!("{} {} instead of the application: {}", page.status, page.url, page.text),
        }
    }
}

impl Browser {
    /// Requests a URL and follows redirects until there is a page, or until the URL starts with `application`.
    pub async fn go(&mut self, url: &str, application: &str) -> Result<Arrived> {
        self.follow(http::client().get(url), Url::parse(url)?, application)
            .await
    }

    /// Fills in the form of a page and submits it.
    pub async fn submit(&mut self, page: &Page, filled: &[(&str, &str)], application: &str) -> Result<Arrived> {
        let action = attribute(&page.text, "<form", "action").context("no form")?;
        let url = page.url.join(&action)?;
        let mut fields = Serializer::new(String::new());
        for input in page
            .text
            .split("<input")
            .skip(1)
            .filter(|input| input.contains("type=\"hidden\""))
        {
            let named = attribute(input, "", "name").context("a field without a name")?;
            fields.append_pair(&named, &attribute(input, "", "value").unwrap_or_default());
        }
        fields.extend_pairs(filled);
        let request = http::client()
            .post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(fields.finish());
        self.follow(request, url, application).await
    }

    async fn follow(&mut self, request: RequestBuilder, mut url: Url, application: &str) -> Result<Arrived> {
        let mut answer = self.send(request).await?;
        for _ in 0..FARTHEST {
            let Some(location) = answer.headers().get(LOCATION) else {
                let status = answer.status();
                let text = answer.text().await?;
                return Ok(Arrived::Page(Page { status, url, text }));
            };
            url = url.join(location.to_str()?)?;
            if url.as_str().starts_with(application) {
                return Ok(Arrived::Back(url));
            }
            answer = self.send(http::client().get(url.as_str())).await?;
        }
        bail!("too many redirects, the last one to {url}")
    }

    async fn send(&mut self, request: RequestBuilder) -> Result<Response> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await?;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie without a value")?;
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Ok(answer)
    }
}

/// An attribute of the first element that starts with `element`.
fn attribute(text: &str, element: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(element)?;
    let (_, value) = rest.split_once(&format!("{name}=\""))?;
    let value = value.split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    )
}
