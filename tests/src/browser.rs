//! A headless Chromium, driven by the `DevTools` protocol over a pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use crate::wait::limit;

const PROGRAM: &str = "chromium-headless-shell";
/// The protocol is spoken over the descriptors 3 and 4.
const SCRIPT: &str = "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2";

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    sent: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one, with an empty page of 1280 by 800.
    pub fn start() -> Self {
        let profile = crate::scratch();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh", PROGRAM, "--no-sandbox", "--remote-debugging-pipe"])
            .args(["--disable-gpu", "--window-size=1280,800"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a shell");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut browser = Self {
            child,
            input: input.expect("it is piped"),
            messages: read(output.expect("it is piped")),
            session: String::new(),
            sent: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().expect("a session").into();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Opens a file, up to the end of its `load` event. What was noted before is forgotten.
    pub fn open(&mut self, file: &Path) {
        // From a page to a fragment of itself nothing would be loaded.
        self.call("Page.navigate", &json!({ "url": "about:blank" }));
        self.wait_for("Page.loadEventFired");
        self.events.clear();
        let answer = self.call("Page.navigate", &json!({ "url": format!("file://{}", file.display()) }));
        assert!(answer.get("errorText").is_none(), "{}: {answer}", file.display());
        self.wait_for("Page.loadEventFired");
    }

    /// The value of a JavaScript expression in the page; of a promise, what it comes to.
    pub fn value(&mut self, expression: &str) -> Value {
        let call = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &call);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"].get("value").cloned().unwrap_or(Value::Null)
    }

    /// Types text into what has the focus, as a keyboard does.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Presses and releases a key, by its name in the DOM: `Enter`, `Escape`, `/`.
    pub fn press(&mut self, key: &str) {
        let mut event = json!({ "type": "keyDown", "key": key, "code": key });
        if key == "Enter" {
            event["text"] = "\r".into();
            event["windowsVirtualKeyCode"] = 13.into();
        }
        self.call("Input.dispatchKeyEvent", &event);
        self.call("Input.dispatchKeyEvent", &json!({ "type": "keyUp", "key": key, "code": key }));
    }

    /// Clicks in the middle of the first element that a CSS selector finds.
    pub fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{ block: 'center' }}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()",
            json!(selector)
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Width and height of the window, and whether the user likes it dark.
    pub fn look(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &media);
    }

    /// What the page complained of since it was opened: exceptions, messages to the console, violations of its policy.
    pub fn complaints(&mut self) -> Vec<String> {
        self.noted(|event| match event["method"].as_str()? {
            "Runtime.exceptionThrown" => Some(event["params"]["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" => Some(event["params"]["args"].to_string()),
            "Log.entryAdded" => Some(event["params"]["entry"].to_string()),
            _ => None,
        })
    }

    /// Addresses that the page asked for since it was opened, its own with them.
    pub fn requests(&mut self) -> Vec<String> {
        self.noted(|event| {
            let is_request = event["method"] == "Network.requestWillBeSent";
            is_request.then(|| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        })
    }

    fn noted(&mut self, of: impl Fn(&Value) -> Option<String>) -> Vec<String> {
        // All that was said before this answer has been read with it.
        self.value("new Promise(done => setTimeout(done, 50))");
        self.events.iter().filter_map(of).collect()
    }

    /// Calls a method of the protocol and returns its result.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let text = message.to_string() + "\0";
        self.input.write_all(text.as_bytes()).expect("speak to the browser");
        loop {
            let message = self.next(method);
            if message["id"] == self.sent {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn wait_for(&mut self, method: &str) {
        if let Some(at) = self.events.iter().position(|event| event["method"] == method) {
            self.events.remove(at);
            return;
        }
        loop {
            let message = self.next(method);
            if message["method"] == method {
                return;
            }
            self.events.push(message);
        }
    }

    fn next(&self, what: &str) -> Value {
        let message = self.messages.recv_timeout(limit());
        message
            .unwrap_or_else(|error| panic!("{PROGRAM} ({what}): {error}; is it there? `cargo xtask setup`"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Messages, each ended by a zero byte.
fn read(output: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = channel();
    thread::spawn(move || {
        for message in BufReader::new(output).split(0) {
            let Some(message) = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) else {
                return;
            };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    messages
}
