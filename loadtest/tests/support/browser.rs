//! A real browser: headless, with an empty profile, and restricted to loopback.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Tests that may have a browser at the same time. More of them on two processors keep the shops and their servers from answering in
/// time.
static TESTS: Semaphore = Semaphore::const_new(4);

/// A browser and its driver.
pub struct Browser {
    pub page: Client,
    pub profile: tempfile::TempDir,
    driver: Child,
    port: u16,
    session: String,
    _permit: Option<SemaphorePermit<'static>>,
}

/// A command of Chromium's driver that is not in the WebDriver standard.
#[derive(Debug)]
struct Chromium(&'static str, Value);

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.1.to_string()))
    }
}

/// Starts the browser's driver and returns its port. The driver takes a port that is free in IPv6, and ends if a connection of IPv4
/// has the same one: after a load test, thousands of ports have.
fn driver() -> (Child, u16) {
    (0..50).find_map(|_| driver_once()).expect("chromedriver says its port")
}

fn driver_once() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is not installed: make test installs it");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        line.strip_prefix("ChromeDriver was started successfully on port ")?.strip_suffix('.')?.parse().ok()
    });
    if port.is_none() {
        let _ = driver.kill();
        driver.wait().unwrap();
    }
    Some((driver, port?))
}

impl Browser {
    /// Starts the browser of a test, when few other tests have one.
    pub async fn start() -> Browser {
        let permit = TESTS.acquire().await.unwrap();
        let mut browser = Browser::launch().await;
        browser._permit = Some(permit);
        browser
    }

    /// Starts a second browser in a test that has one: waiting for a permit could go on for ever.
    pub async fn another(&self) -> Browser {
        Browser::launch().await
    }

    async fn launch() -> Browser {
        let (driver, port) = driver();
        let profile = tempfile::tempdir().unwrap();
        let mut args: Vec<String> = [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(String::from)
        .into();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        // Chromium's sandbox does not work for root and in most containers. It only opens our own pages here.
        args.push("--no-sandbox".into());
        let capabilities = json!({
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser session");
        let session = page.session_id().await.unwrap().unwrap();
        Browser { page, profile, driver, port, session, _permit: None }
    }

    /// A command of Chromium's debugging protocol.
    pub async fn devtools(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.page.issue_cmd(Chromium("goog/cdp/execute", body)).await.unwrap();
    }

    /// Sets the screen size of a small phone.
    pub async fn as_telephone(&self) {
        let screen = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    }

    pub async fn script(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.unwrap()
    }

    pub async fn text(&self, css: &str) -> String {
        self.page.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    /// Polls until the element's text contains `part`; returns the whole text.
    pub async fn wait_for_text(&self, css: &str, part: &str) -> String {
        super::eventually(part, async || self.text(css).await.contains(part)).await;
        self.text(css).await
    }

    pub async fn click(&self, css: &str) {
        self.page.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// Console messages of level "SEVERE", without refusals: Chromium logs them as failures, but they are answers.
    pub async fn console_errors(&self) -> Vec<String> {
        let log = self.page.issue_cmd(Chromium("se/log", json!({ "type": "browser" }))).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE").map(message);
        severe.filter(|text| !text.contains("the server responded with a status of 4")).collect()
    }

    /// Whether the page is wider than the screen.
    pub async fn scrolls_sideways(&self) -> bool {
        let widths = self.script("return [document.documentElement.scrollWidth, window.innerWidth]").await;
        widths[0].as_f64() > widths[1].as_f64()
    }

    pub async fn screenshot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            let png = self.page.screenshot().await.unwrap();
            std::fs::write(std::path::Path::new(&folder).join(name), png).unwrap();
        }
    }
}

impl Drop for Browser {
    /// Ends the browser's session, because the browser outlives its driver. The request is written by hand: a test that panics
    /// can no longer run futures.
    fn drop(&mut self) {
        if let Ok(mut driver) = TcpStream::connect(("127.0.0.1", self.port)) {
            let (session, port) = (&self.session, self.port);
            let _ = write!(
                driver,
                "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n"
            );
            let _ = driver.read(&mut [0; 1024]); // the answer comes when the browser has ended
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
