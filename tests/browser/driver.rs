//! Chromium, controlled through WebDriver (W3C): JSON over HTTP to `chromedriver`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Demo;

/// The longest wait for something to appear on a page.
const LIMIT: Duration = Duration::from_secs(60);

const INSTALL: &str = "install Chromium and its driver (Debian: apt-get install -y chromium chromium-driver)";

/// A running chromedriver on its own port. Dropping it ends it and its browsers.
struct Driver {
    child: Child,
    port: u16,
    /// Holds a directory for each browser, removed once they have ended.
    profiles: TempDir,
}

/// One browser with its own profile, on a demo's pages.
pub(crate) struct Browser {
    client: Client,
    /// The URL of its commands.
    session: String,
    /// The demo's URL.
    base: String,
    _driver: Arc<Driver>,
}

impl Driver {
    fn start() -> Self {
        let mut output = String::new();
        // It takes a port that is free over IPv6, and ends if another process has the same one over IPv4.
        for _ in 0..20 {
            match Self::try_start() {
                Ok(driver) => return driver,
                Err(last) => output = last,
            }
        }
        panic!("chromedriver does not start: {output}");
    }

    /// Starts it, or returns what it printed before it ended.
    fn try_start() -> Result<Self, String> {
        let spawned = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("no chromedriver: {error}; {INSTALL}"));
        let mut output = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                let port = rest.trim_end_matches('.').parse().unwrap();
                return Ok(Self { child, port, profiles: tempfile::tempdir().unwrap() });
            }
            output += &line;
            output.push('\n');
        }
        let _ = child.wait();
        Err(output)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // If it were killed, its browsers would keep running.
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.set_read_timeout(Some(LIMIT));
            let _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Opens `N` browsers that share nothing.
    pub(crate) async fn open<const N: usize>(demo: &Demo) -> [Self; N] {
        let driver = Arc::new(Driver::start());
        let mut browsers = Vec::new();
        for number in 0..N {
            browsers.push(Self::new(demo, Arc::clone(&driver), number).await);
        }
        browsers.try_into().ok().unwrap()
    }

    async fn new(demo: &Demo, driver: Arc<Driver>, number: usize) -> Self {
        let profile = driver.profiles.path().join(number.to_string());
        let options = json!({ "args": [
            "--headless=new",
            // Chromium refuses to run with a sandbox as root, and containers often lack the rights for one.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1280,900",
            format!("--user-data-dir={}", profile.display()),
        ]});
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let client = Client::builder().no_proxy().build().unwrap();
        let sessions = format!("http://127.0.0.1:{}/session", driver.port);
        let session = send(&client, Method::POST, &sessions, Some(wanted)).await;
        let session = session.unwrap_or_else(|error| panic!("no browser: {error}; {INSTALL}"));
        let session = format!("{sessions}/{}", session["sessionId"].as_str().unwrap());
        // Browsers treat plain HTTP to this name as secure.
        let base = format!("http://localhost:{}", demo.address.port());
        Self { client, session, base, _driver: driver }
    }

    async fn tell(&self, command: &str, parameters: Value) -> Result<Value, String> {
        send(&self.client, Method::POST, &format!("{}/{command}", self.session), Some(parameters)).await
    }

    async fn ask(&self, what: &str) -> Value {
        send(&self.client, Method::GET, &format!("{}/{what}", self.session), None).await.unwrap()
    }

    /// Opens a page of the demo, or a whole URL.
    pub(crate) async fn go(&self, page: &str) {
        let url = if page.starts_with('/') { self.url(page) } else { page.to_owned() };
        self.tell("url", json!({ "url": url })).await.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The path of the page on display.
    pub(crate) async fn path(&self) -> String {
        let url = self.ask("url").await;
        url.as_str().unwrap().strip_prefix(&self.base).unwrap_or_default().to_owned()
    }

    /// Runs a script on the page and returns its result.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", json!({ "script": script, "args": [] })).await.unwrap()
    }

    /// Returns the text of an element, or `None` if there is none.
    pub(crate) async fn text(&self, css: &str) -> Option<String> {
        let text = self.run(&format!("return document.querySelector({})?.textContent", json!(css))).await;
        text.as_str().map(str::to_owned)
    }

    /// Returns the page's elements that match.
    async fn elements(&self, css: &str) -> Vec<String> {
        let found = self.tell("elements", json!({ "using": "css selector", "value": css })).await.unwrap();
        let id = |element: &Value| element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        found.as_array().unwrap().iter().map(id).collect()
    }

    pub(crate) async fn count(&self, css: &str) -> usize {
        self.elements(css).await.len()
    }

    async fn only(&self, css: &str) -> String {
        let mut elements = self.elements(css).await;
        assert_eq!(elements.len(), 1, "{css}");
        elements.remove(0)
    }

    /// Clicks an element as a mouse does.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.only(css).await;
        self.tell(&format!("element/{element}/click"), json!({})).await.unwrap();
    }

    /// Clicks a link or button and waits for the next page.
    pub(crate) async fn follow(&self, css: &str) {
        // A click can return before the old page is gone, so the old page is marked.
        self.run("window.left = true").await;
        self.click(css).await;
        let limit = Instant::now() + LIMIT;
        let arrived = json!({ "script": "return !window.left && document.readyState === 'complete'", "args": [] });
        // Between two pages the script fails.
        while self.tell("execute/sync", arrived.clone()).await != Ok(Value::Bool(true)) {
            assert!(Instant::now() < limit, "{css} leads nowhere");
        }
    }

    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.only(css).await;
        self.tell(&format!("element/{element}/value"), json!({ "text": text })).await.unwrap();
    }

    /// Logs in with the form of the home page.
    pub(crate) async fn log_in(&self, user: &str) {
        self.go("/").await;
        self.fill("input[name=user]", user).await;
        self.follow("form[action='/login'] button").await;
        assert_eq!(self.text("#user").await.as_deref(), Some(user));
    }

    /// All the demo's cookies.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        self.ask("cookie").await.as_array().unwrap().clone()
    }

    /// The demo's only cookie.
    pub(crate) async fn cookie(&self) -> Value {
        let mut cookies = self.cookies().await;
        assert_eq!(cookies.len(), 1, "{}", json!(cookies));
        cookies.remove(0)
    }

    /// Runs a script until its result satisfies `holds`, and returns the result.
    pub(crate) async fn until(&self, script: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + LIMIT;
        loop {
            let value = self.run(script).await;
            if holds(&value) {
                return value;
            }
            assert!(Instant::now() < limit, "{script}: {value}");
        }
    }

    /// The errors on the browser's console, such as a script that threw or a style that the page's policy blocked.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        let log = self.tell("se/log", json!({ "type": "browser" })).await.unwrap();
        log.as_array().unwrap().iter().filter(|line| line["level"] == "SEVERE").cloned().collect()
    }

    /// Shows the page as on a screen of this width, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32) {
        // The window's own size has a minimum, so this overrides the device metrics.
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.tell("goog/cdp/execute", command).await.unwrap();
        assert_eq!(self.run("return window.innerWidth").await, width);
    }
}

async fn send(client: &Client, method: Method, url: &str, body: Option<Value>) -> Result<Value, String> {
    let mut request = client.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let failed = !response.status().is_success();
    let value = response.json::<Value>().await.unwrap()["value"].take();
    if failed { Err(format!("{url}: {value}")) } else { Ok(value) }
}
