//! A person's browser: Chromium without a window, driven through ChromeDriver.
//!
//! Of the W3C's WebDriver protocol, it speaks the few commands that a person needs. Both programs are children of this
//! process, so that neither outlives it; a Chromium that ChromeDriver starts would.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{self, Child};
use crate::run_dir::RunDir;
use crate::{http, wait};

/// What a browser needs from the machine, with the Debian package that has it.
const TOOLS: [(&str, &str); 2] = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];
/// Flags of Chromium: no window, no calls to servers of its vendor, and no sandbox, which root cannot have.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];
/// What ChromeDriver writes before the port that it has chosen.
const STARTED: &str = "started successfully on port ";
/// Longest wait for the browser, for a page, and for what a person looks for on it.
const LIMIT: Duration = Duration::from_secs(60);
/// Longest wait for an answer of ChromeDriver, which itself waits for pages.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);
/// Name of an element's reference in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running browser without cookies, with one page. It ends when this value is dropped.
pub struct Browser {
    session: String,
    _driver: Child,
    _chromium: Child,
    _run: RunDir, // last: its users end first
}

impl Browser {
    /// Why this machine has no browser; None if it has one.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        let missing = process::missing(&TOOLS);
        (!missing.is_empty()).then(|| format!("a browser needs packages that are missing here: {}", missing.join(" ")))
    }

    /// Starts a browser with a new profile.
    ///
    /// # Errors
    /// When Chromium or ChromeDriver is missing or not ready in time; the message quotes the end of its log.
    pub async fn start() -> Result<Self> {
        let run = RunDir::new()?;
        let (chromium, debugger) = chromium(&run).await?;
        let (driver, url) = driver(&run).await?;
        let milliseconds = LIMIT.as_millis();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "debuggerAddress": debugger },
            "timeouts": { "implicit": milliseconds, "pageLoad": milliseconds, "script": milliseconds },
        } } });
        let session = call(Method::POST, &format!("{url}/session"), Some(&wanted)).await?;
        let id = session["sessionId"].as_str().context("a session without an id")?;
        Ok(Self {
            session: format!("{url}/session/{id}"),
            _driver: driver,
            _chromium: chromium,
            _run: run,
        })
    }

    /// Opens a URL, follows redirects and waits for the page.
    ///
    /// # Errors
    /// When nothing answers at the URL.
    pub async fn open(&self, url: &str) -> Result<()> {
        let opened = self.post("url", json!({ "url": url })).await;
        opened.map(drop).with_context(|| format!("opening {url}"))
    }

    /// The URL of the page.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn url(&self) -> Result<String> {
        let url = call(Method::GET, &format!("{}/url", self.session), None).await?;
        Ok(url.as_str().unwrap_or_default().to_owned())
    }

    /// The text of the page, as a person sees it.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn text(&self) -> Result<String> {
        let text = self.run("return document.body ? document.body.innerText : ''").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits for a page with `text`, and returns all that it shows.
    ///
    /// # Errors
    /// When there is no such page in time; the message quotes the page that is there.
    pub async fn see(&self, text: &str) -> Result<String> {
        let mut shown = String::new();
        let found = wait::until(&format!("a page with {text:?}"), LIMIT, async || {
            // Between two pages there is no document to look at.
            shown = self.text().await.unwrap_or_else(|error| format!("{error:#}"));
            Ok(shown.contains(text).then(|| shown.clone()))
        })
        .await;
        match found {
            Ok(page) => Ok(page),
            Err(error) => bail!("{error:#}; {} shows:\n{shown}", self.url().await.unwrap_or_default()),
        }
    }

    /// Clicks on the element that a CSS selector finds, and waits for it first.
    ///
    /// # Errors
    /// When there is no such element in time.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector).await?;
        let clicked = self.post(&format!("element/{element}/click"), json!({})).await;
        clicked.map(drop).with_context(|| format!("clicking {selector}"))
    }

    /// Types into the field that a CSS selector finds, and waits for it first.
    ///
    /// # Errors
    /// When there is no such field in time.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector).await?;
        let typed = self
            .post(&format!("element/{element}/value"), json!({ "text": text }))
            .await;
        typed.map(drop).with_context(|| format!("filling in {selector}"))
    }

    /// Deletes a cookie of the page.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn forget(&self, cookie: &str) -> Result<()> {
        let url = format!("{}/cookie/{cookie}", self.session);
        call(Method::DELETE, &url, None).await.map(drop)
    }

    /// Runs a script in the page and returns its result; a promise is awaited.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", json!({ "script": script, "args": [] })).await
    }

    async fn find(&self, selector: &str) -> Result<String> {
        let wanted = json!({ "using": "css selector", "value": selector });
        match self.post("element", wanted).await {
            Ok(found) => found[ELEMENT].as_str().map(str::to_owned).context("no reference"),
            Err(error) => {
                let (url, shown) = (self.url().await?, self.text().await?);
                bail!("{error:#}; {url} shows:\n{shown}")
            }
        }
    }

    async fn post(&self, command: &str, body: Value) -> Result<Value> {
        call(Method::POST, &format!("{}/{command}", self.session), Some(&body)).await
    }
}

/// Starts Chromium and returns it with the address of its debugger.
async fn chromium(run: &RunDir) -> Result<(Child, String)> {
    let profile = run.path().join("profile");
    fs::create_dir(&profile)?;
    let mut command = process::command("chromium");
    command.args(FLAGS);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg("about:blank");
    let mut child = Child::spawn("chromium", command, &run.path().join("chromium.log"))?;
    let mut port = None;
    child
        .wait_ready(LIMIT, async || {
            // The second line is written last.
            let active = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            port = active.split_once('\n').and_then(|(port, _)| port.parse::<u16>().ok());
            port.is_some()
        })
        .await?;
    let port = port.context("Chromium has no debugger")?;
    Ok((child, format!("127.0.0.1:{port}")))
}

/// Starts ChromeDriver and returns it with its URL.
async fn driver(run: &RunDir) -> Result<(Child, String)> {
    let mut command = process::command("chromedriver");
    command.arg("--port=0");
    let log: PathBuf = run.path().join("chromedriver.log");
    let mut child = Child::spawn("chromedriver", command, &log)?;
    let mut port = None;
    child
        .wait_ready(LIMIT, async || {
            port = port_of(&fs::read_to_string(&log).unwrap_or_default());
            port.is_some()
        })
        .await?;
    let port = port.context("ChromeDriver has no port")?;
    Ok((child, format!("http://127.0.0.1:{port}")))
}

/// The port in ChromeDriver's log, once it listens there.
fn port_of(log: &str) -> Option<u16> {
    let (port, _) = log.split_once(STARTED)?.1.split_once('.')?;
    port.parse().ok()
}

/// Sends one command and returns the value of the answer.
async fn call(method: Method, url: &str, body: Option<&Value>) -> Result<Value> {
    let mut request = http::client().request(method, url).timeout(ANSWER_LIMIT);
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    let answer = request.send().await.context("ChromeDriver does not answer")?;
    let is_success = answer.status().is_success();
    let mut body = http::parse(&answer.text().await?);
    if !is_success {
        let member = |name: &str| body["value"][name].as_str().unwrap_or_default().to_owned();
        let message = member("message");
        let message = message.lines().next().unwrap_or_default();
        return Err(anyhow!("{}: {message}", member("error")));
    }
    Ok(body["value"].take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_known_when_the_line_is_complete() {
        let before = "Starting ChromeDriver 156 on port 0\nOnly local connections are allowed.\n";
        let line = "ChromeDriver was started successfully on port 41751.\n";
        assert_eq!(port_of(before), None);
        assert_eq!(port_of(&format!("{before}{}", &line[..48])), None);
        assert_eq!(port_of(&format!("{before}{line}")), Some(41_751));
    }
}
