//! `pytracer ps --explain PID`: how one process would be traced, place by place, or why it can't be.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    SCHEMA,
    entry::{Entry, Look},
    listing::{container, one_line, table, user},
    write_json,
};
use crate::{
    discover::{self, Identity, PythonProcess},
    python::plan::{Plan, ProbeSite},
    text::shown,
    units,
};

/// The explanation, as the JSON form has it.
#[derive(Serialize)]
struct Explanation {
    schema: u32,
    process: Entry,
    /// What to add to addresses in the file to get those in the process.
    load_bias: String,
    sites: Vec<Site>,
}

/// One place.
#[derive(Serialize)]
struct Site {
    address: String,
    file_offset: u64,
    meaning: String,
    what: String,
    instruction: String,
    /// Register with the frame, or what else the site is about.
    frame: String,
    /// Register with the frame's instruction pointer, and by how many bytes it is ahead.
    pointer: Option<String>,
    emulated: bool,
}

/// Explains one process.
///
/// # Errors
/// If it runs no Python or can't be looked at, or if the answer can't be written.
pub(super) fn run(pid: u32, json: bool, out: &mut impl Write) -> Result<()> {
    let process = discover::inspect(pid)?;
    let mut look = Look::default();
    let planned = look.plans.plan(&process.image);
    let found = Ok(process);
    let entry = look.entry(Identity::of(pid).unwrap_or_default(), &found);
    let (Ok(process), plan) = (found, planned.as_ref().as_ref().ok()) else { return Ok(()) };
    if json {
        let sites = plan.map(|plan| plan.sites.iter().map(Site::from).collect()).unwrap_or_default();
        let load_bias = format!("{:#x}", process.bias);
        return write_json(&Explanation { schema: SCHEMA, process: entry, load_bias, sites }, out);
    }
    write(&entry, &process, plan, out).context("write the explanation")
}

fn write(
    entry: &Entry,
    process: &PythonProcess,
    plan: Option<&Plan>,
    out: &mut impl Write,
) -> io::Result<()> {
    for (label, said) in facts(entry, process) {
        writeln!(out, "{label:<12} {}", shown(&said))?;
    }
    let Some(plan) = plan else { return Ok(()) };
    writeln!(out)?;
    let mut table =
        table(&["ADDRESS", "MEANING", "FRAME", "POINTER", "EMULATED", "INSTRUCTION", "WHAT"], None);
    for site in &plan.sites {
        table.add_row(one_line(cells(site)));
    }
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

fn facts(entry: &Entry, process: &PythonProcess) -> Vec<(&'static str, String)> {
    let mut facts = vec![("process", format!("{} {}", entry.pid, entry.command))];
    let mut add = |label, said: Option<String>| facts.extend(said.map(|said| (label, said)));
    let inner: Vec<_> = entry.inner_pids.iter().map(ToString::to_string).collect();
    add("inner PIDs", (!inner.is_empty()).then(|| inner.join(", ")));
    add("user", Some(user(entry)));
    add("container", container(entry));
    add("unit", entry.unit.clone());
    add("cgroup", entry.cgroup.clone());
    add("interpreter", entry.interpreter.clone());
    add("opened as", Some(process.image.open_path.to_string_lossy().into_owned()));
    add("build id", entry.build_id.clone());
    add("build", entry.build.as_ref().map(|build| build.words.join(", ")));
    let from = entry.version_from.as_deref().unwrap_or("not known");
    add("version", entry.version.as_ref().map(|version| format!("{version} ({from})")));
    add("load bias", Some(format!("{:#x}", process.bias)));
    add("jit", entry.jit.map(ToOwned::to_owned));
    add("verdict", Some(entry.verdict().to_owned()));
    add("source", entry.source.clone());
    add("added", entry.call_cost_ns.map(|ns| format!("about {} for each call", units::duration(ns))));
    add("reason", entry.reason.clone());
    facts.extend(entry.limits.iter().map(|limit| ("limit", limit.clone())));
    facts
}

fn cells(site: &ProbeSite) -> [String; 7] {
    let site = Site::from(site);
    [
        site.address,
        site.meaning,
        site.frame,
        site.pointer.unwrap_or_else(|| "-".to_owned()),
        if site.emulated { "yes" } else { "no" }.to_owned(),
        site.instruction,
        site.what,
    ]
}

impl From<&ProbeSite> for Site {
    fn from(site: &ProbeSite) -> Self {
        let pointer = site.instruction.map(|(register, ahead)| match ahead {
            0 => format!("{register:?}"),
            ahead => format!("{register:?}{:+}", -i16::from(ahead)),
        });
        Self {
            address: format!("{:#x}", site.address),
            file_offset: site.file_offset,
            meaning: format!("{:?}", site.meaning),
            what: site.what.clone(),
            instruction: site.text.clone(),
            frame: format!("{:?}", site.frame),
            pointer,
            emulated: site.emulated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::ImageFile;

    #[test]
    fn an_explanation_has_every_site() {
        let plan = crate::python::plan("/usr/bin/python3.11".as_ref()).expect("CPython 3.11");
        let process = PythonProcess {
            pid: 1,
            image: ImageFile {
                open_path: "/usr/bin/python3.11".into(),
                shown_path: "/usr/bin/python3.11".into(),
                device: 0,
                inode: 0,
                modified_ns: 0,
                build_id: vec![0xab, 0x01],
            },
            bias: 0x1000,
            text: 0..0,
            start_ticks: 0,
        };
        let entry = Look::default().entry(Identity::default(), &Ok(process.clone()));
        let mut out = Vec::new();
        write(&entry, &process, Some(&plan), &mut out).expect("a buffer");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("\nbuild id     ab01\n") && text.contains("\nload bias    0x1000\n"), "{text}");
        assert!(text.contains("\nversion      3.11.2 (Py_Version in the file)\n"), "{text}");
        let table = text.lines().skip_while(|line| !line.is_empty()).skip(2);
        assert_eq!(table.count(), plan.sites.len(), "{text}");
    }

    #[test]
    fn what_is_refused_has_its_reason() {
        let process = PythonProcess {
            pid: 1,
            image: ImageFile {
                open_path: "/bin/ls".into(),
                shown_path: "/bin/ls".into(),
                device: 0,
                inode: 0,
                modified_ns: 0,
                build_id: Vec::new(),
            },
            bias: 0,
            text: 0..0,
            start_ticks: 0,
        };
        let entry = Look::default().entry(Identity::default(), &Ok(process.clone()));
        let mut out = Vec::new();
        write(&entry, &process, None, &mut out).expect("a buffer");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("\nverdict      no\n") && text.contains("\nreason       no CPython"), "{text}");
    }
}
