//! Callgrind's profile: costs by function and by caller, one object for each process.
//!
//! Costs can't be negative there, so memory has two columns: added and given back. What a call costs its caller is so
//! shared out that a function's inclusive cost (its own and that of its calls) holds nothing twice: with recursion, what
//! happened below counts for the innermost of its calls.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Result;

use super::grouped::Grouped;
use super::notes::notes;
use super::{Export, Measure, uncharged};
use crate::analysis::Source;
use crate::analysis::names::Named;
use crate::analysis::tree::{CallTree, PathSums};
use crate::report::UNNAMED;
use crate::text::shown;

const EVENTS: [(Measure, &str, &str); 4] = [
    (Measure::Wall, "wall_ns", "Wall time, ns"),
    (Measure::RssGrew, "rss_grew", "Resident memory added, bytes"),
    (Measure::RssShrank, "rss_shrank", "Resident memory given back, bytes"),
    (Measure::Calls, "calls", "Calls"),
];

/// The format.
pub(super) struct Callgrind;

/// Process id, file and name: what its readers tell functions apart by.
type Key<'a> = (u32, &'a str, &'a str);

/// By [`EVENTS`].
type Costs = [u64; EVENTS.len()];

/// Costs of one function.
#[derive(Default)]
struct Entry {
    /// Its own, by line of its definition.
    own: BTreeMap<u32, Costs>,
    /// By callee.
    calls: BTreeMap<usize, Calls>,
}

/// Calls of one function by another.
#[derive(Default)]
struct Calls {
    number: u64,
    costs: Costs,
}

impl Export for Callgrind {
    fn write(&self, source: &mut Source, _: Measure, out: &mut dyn Write) -> Result<()> {
        let summary = source.summary(|_, _| {});
        let functions = Grouped::by(source.names(), key);
        let entries = entries(source, &summary.tree, &functions);
        let known = known(source);
        header(source, &notes(source, &summary.report), &known, out)?;
        let mut names = Compressed::default();
        for (&number, entry) in &entries {
            function(number, entry, functions.keys(), &entries, &mut names, &known, out)?;
        }
        for (pid, name, sums) in uncharged(&summary.report) {
            writeln!(out, "\nob={}", names.of("ob", &format!("process {pid}")))?;
            writeln!(out, "fl={}", names.of("fl", ""))?;
            writeln!(out, "fn={}", names.of("fn", name))?;
            line(0, &costs(&sums), &known, out)?;
        }
        Ok(())
    }
}

/// Which of [`EVENTS`] the recording tells of.
fn known(source: &Source) -> Vec<usize> {
    (0..EVENTS.len()).filter(|&at| EVENTS[at].0.is_known(source.account())).collect()
}

fn key(named: &Named) -> Key<'_> {
    let (file, name) = named.function.as_ref().map_or(("", UNNAMED), |of| (&of.file, &of.name));
    (named.pid, file, name)
}

fn costs(sums: &PathSums) -> Costs {
    EVENTS.map(|(measure, ..)| measure.of(sums))
}

fn add(to: &mut Costs, costs: Costs) {
    to.iter_mut().zip(costs).for_each(|(to, cost)| *to = to.saturating_add(cost));
}

/// By the functions' numbers.
fn entries(source: &Source, tree: &CallTree, functions: &Grouped<Key<'_>>) -> BTreeMap<usize, Entry> {
    let mut entries: BTreeMap<usize, Entry> = BTreeMap::new();
    let mut on_path = vec![0_u64; functions.keys().len()];
    for (mark, (path, row, sums)) in (1..).zip(tree.calls()) {
        let costs = costs(sums);
        let function = functions.number(row);
        let line = source.names().get(row).function.as_ref().map_or(0, |of| of.line);
        add(entries.entry(function).or_default().own.entry(line).or_default(), costs);
        on_path[function] = mark;
        let mut callee = function;
        for (distance, caller) in functions.outward(&tree.paths, path).skip(1).enumerate() {
            let is_first = std::mem::replace(&mut on_path[caller], mark) != mark;
            if distance == 0 || is_first {
                let calls = entries.entry(caller).or_default().calls.entry(callee).or_default();
                if distance == 0 {
                    calls.number += sums.sums.activations;
                }
                if is_first {
                    add(&mut calls.costs, costs);
                }
            }
            callee = caller;
        }
    }
    entries
}

fn header(source: &Source, notes: &[String], known: &[usize], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# callgrind format\nversion: 1\ncreator: pytracer {}", env!("CARGO_PKG_VERSION"))?;
    let commands =
        source.recording().status.processes.iter().filter_map(|process| process.command.as_deref());
    writeln!(out, "cmd: {}", shown(&commands.collect::<Vec<_>>().join("; ")))?;
    for note in notes.iter().filter(|note| !note.is_empty()) {
        writeln!(out, "desc: Note: {note}")?;
    }
    if source.is_sampled() {
        writeln!(out, "desc: Note: calls were not counted: where the format wants a number of them it is 1")?;
    }
    writeln!(out, "positions: line")?;
    for (_, name, meaning) in known.iter().map(|&at| EVENTS[at]) {
        writeln!(out, "event: {name} : {meaning}")?;
    }
    let names: Vec<_> = known.iter().map(|&at| EVENTS[at].1).collect();
    writeln!(out, "events: {}", names.join(" "))
}

/// A function: its own costs and its calls.
fn function(
    number: usize,
    entry: &Entry,
    keys: &[Key<'_>],
    entries: &BTreeMap<usize, Entry>,
    names: &mut Compressed,
    known: &[usize],
    out: &mut dyn Write,
) -> io::Result<()> {
    let first_line = |entry: &Entry| entry.own.keys().next().copied().unwrap_or(0);
    let (pid, file, name) = keys[number];
    writeln!(out, "\nob={}", names.of("ob", &format!("process {pid}")))?;
    writeln!(out, "fl={}", names.of("fl", file))?;
    writeln!(out, "fn={}", names.of("fn", name))?;
    for (&at, costs) in &entry.own {
        line(at, costs, known, out)?;
    }
    for (callee, calls) in &entry.calls {
        let (_, file, name) = keys[*callee];
        writeln!(out, "cfi={}", names.of("fl", file))?;
        writeln!(out, "cfn={}", names.of("fn", name))?;
        let at = entries.get(callee).map_or(0, first_line);
        writeln!(out, "calls={} {at}", calls.number.max(1))?;
        line(first_line(entry), &calls.costs, known, out)?;
    }
    Ok(())
}

fn line(at: u32, costs: &Costs, known: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let costs: Vec<_> = known.iter().map(|&at| costs[at].to_string()).collect();
    writeln!(out, "{at} {}", costs.join(" "))
}

/// Names that were written: a number stands for one that has been before.
#[derive(Default)]
struct Compressed(BTreeMap<(&'static str, String), usize>);

impl Compressed {
    fn of(&mut self, kind: &'static str, name: &str) -> String {
        let next = self.0.len() + 1;
        let number = *self.0.entry((kind, name.to_owned())).or_insert(next);
        if number < next {
            return format!("({number})");
        }
        let name = if name.is_empty() { "???".into() } else { shown(name) };
        format!("({number}) {name}")
    }
}
