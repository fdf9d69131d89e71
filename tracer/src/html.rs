//! One page with everything that a recording says, for a browser: a file that needs no server and asks for nothing.
//!
//! What traced processes chose to be called gets into the page in two ways only: as text that the template escapes, and
//! in the data, which is JSON without a character that means something to HTML. A policy in the page lets no script run
//! but ours, and nothing be fetched.

mod flame;
mod functions;
mod lanes;
mod memory;
mod summary;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write;

use anyhow::{Context as _, Result};
use minijinja::{Environment, Value, context};
use serde::Serialize;

use crate::analysis::{Source, Visit};
use crate::report::Report;
use flame::FlameGraph;
use functions::{FunctionTable, Names};
use lanes::{Lanes, Longest};
use memory::{CallsSeen, Timeline};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
/// In the order in which they need each other.
const SCRIPT: &str = concat!(
    include_str!("html/units.js"),
    include_str!("html/table.js"),
    include_str!("html/boxes.js"),
    include_str!("html/flame.js"),
    include_str!("html/lanes.js"),
    include_str!("html/memory.js"),
    include_str!("html/page.js"),
);

/// What the page's script draws. Times are nanoseconds since the beginning of the window, memory is bytes.
#[derive(Serialize)]
struct Data {
    duration_ns: u64,
    /// Times are of samples: there are no calls.
    is_sampled: bool,
    /// There is nothing to say of memory and page faults.
    memory_unknown: bool,
    names: Names,
    table: FunctionTable,
    flame: FlameGraph,
    /// `None`: there are no calls.
    lanes: Option<Lanes>,
    memory: Timeline,
}

/// A duration without what probes added to it, in nanoseconds, and whether that is a bound.
type CorrectedTime = (u64, bool);

/// Writes the page of the part of a recording that `source` gives.
///
/// # Errors
/// If it can't be written.
pub fn write(source: &mut Source, out: &mut dyn Write) -> Result<()> {
    let (mut longest, mut seen) = (Longest::default(), CallsSeen::default());
    let is_sampled = source.is_sampled();
    let sums = if is_sampled {
        source.summary_of_samples(|sample| seen.add_sample(sample))
    } else {
        source.summary(|visit, _| {
            longest.add(visit);
            seen.add(visit);
        })
    };
    let report = sums.report.clone().merged();
    let mut names = Names::default();
    let table = FunctionTable::new(&report, &mut names);
    let flame = FlameGraph::new(source, &sums, &mut names);
    let lanes = (!is_sampled).then(|| longest.finish(source, &sums.tree, &mut names));
    let memory = Timeline::read(source, &report, &sums.tree, seen, &mut names);
    let duration_ns = report.window.duration_ns;
    let memory_unknown = report.account.memory_unknown;
    let data = Data { duration_ns, is_sampled, memory_unknown, names, table, flame, lanes, memory };
    let page = render(source, &report, &data)?;
    out.write_all(page.as_bytes()).context("can't write the page")
}

/// The duration of a call without what probes added; `None`: what they take was not measured.
fn corrected(source: &Source, visit: &Visit) -> Option<CorrectedTime> {
    let corrected = visit.corrected(source.correction()?);
    Some((corrected.ns(), corrected.at_most_ns().is_some()))
}

fn render(source: &Source, report: &Report, data: &Data) -> Result<String> {
    let mut templates = Environment::new();
    templates.add_template("page.html", PAGE)?;
    let safe = |text: String| Value::from_safe_string(text);
    let processes = report.processes.iter().map(|process| summary::process(process, &report.account));
    let context = context! {
        sampled => data.is_sampled,
        memory_unknown => data.memory_unknown,
        title => summary::title(report),
        subtitle => summary::subtitle(source, report),
        facts => summary::facts(report),
        processes => processes.collect::<Vec<_>>(),
        account => summary::account(source, report),
        nonce => nonce(),
        style => safe(STYLE.to_owned()),
        script => safe(SCRIPT.to_owned()),
        data => safe(json(data)?),
    };
    Ok(templates.get_template("page.html")?.render(context)?)
}

/// JSON that HTML takes as text, whatever the strings in it are.
fn json(data: &Data) -> serde_json::Result<String> {
    let json = serde_json::to_string(data)?;
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// What the page's own script and style are told by. It is made when all names have been chosen, so none can hold it.
fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
