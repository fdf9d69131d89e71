//! What cProfile writes: `{(file, line, name): (primitive calls, calls, own, cumulative, callers)}`, marshalled.
//!
//! Counted as cProfile counts: each resumption of a generator or coroutine is a call, and a call is primitive if its
//! function is not open further out. A function's name is the last part of its qualified name, which is what cProfile
//! has (`co_name`). What no traced function has called has no callers. Other than with cProfile, all threads are in it,
//! and the time of C functions is part of their callers'.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::AddAssign;

use anyhow::{Result, bail};

use super::grouped::Grouped;
use super::marshal::Marshal;
use super::{Export, Measure};
use crate::analysis::Source;
use crate::analysis::names::Named;
use crate::analysis::tree::{CallTree, PathSums};
use crate::charge::Cost;
use crate::report::UNNAMED;

/// The format.
pub(super) struct Pstats;

/// File, line and name.
type Key<'a> = (&'a str, u32, &'a str);

/// Calls of one function, all of them or those by one caller.
#[derive(Clone, Copy, Default)]
struct Timing {
    calls: u64,
    primitive_calls: u64,
    own_ns: u64,
    cumulative_ns: u64,
}

#[derive(Default)]
struct Entry {
    all: Timing,
    callers: BTreeMap<usize, Timing>,
}

impl Export for Pstats {
    fn write(&self, source: &mut Source, measure: Measure, out: &mut dyn Write) -> Result<()> {
        if source.is_sampled() {
            bail!(
                "pstats holds counts of calls, which samples don't tell: export as callgrind, pprof or collapsed"
            );
        }
        let time: fn(&Cost) -> u64 = match measure {
            Measure::Wall => |cost| cost.wall_ns,
            Measure::Cpu => |cost| cost.cpu_ns(),
            Measure::OffCpu => |cost| cost.off_cpu_ns,
            _ => bail!("pstats holds times only: --of wall, cpu or off-cpu"),
        };
        let tree = source.summary(|_, _| {}).tree;
        let functions = Grouped::by(source.names(), key);
        let entries = entries(&tree, &functions, time);
        Ok(write(functions.keys(), &entries, &mut Marshal(out))?)
    }
}

fn key(named: &Named) -> Key<'_> {
    match &named.function {
        Some(function) => (&function.file, function.line, last_part(&function.name)),
        None => ("~", 0, UNNAMED),
    }
}

/// `co_name` of a `co_qualname`.
fn last_part(qualified: &str) -> &str {
    qualified.rsplit('.').next().unwrap_or(qualified)
}

/// By the functions' numbers; those that never ran have none.
fn entries(tree: &CallTree, functions: &Grouped<Key<'_>>, time: fn(&Cost) -> u64) -> BTreeMap<usize, Entry> {
    let mut entries: BTreeMap<usize, Entry> = BTreeMap::new();
    for (path, row, sums) in tree.calls() {
        let function = functions.number(row);
        let mut outer = tree.paths.outward(path).skip(1).filter_map(|path| tree.paths.row(path)).peekable();
        let caller = outer.peek().copied();
        let (mut is_recursive, mut is_edge_recursive) = (false, false);
        while let Some(further) = outer.next() {
            is_recursive |= further == row;
            is_edge_recursive |= further == row && outer.peek().copied() == caller;
        }
        let entry = entries.entry(function).or_default();
        entry.all +=
            Timing { cumulative_ns: time(&sums.sums.cumulative), ..Timing::of(sums, is_recursive, time) };
        if let Some(caller) = caller {
            *entry.callers.entry(functions.number(caller)).or_default() +=
                Timing::of(sums, is_edge_recursive, time);
        }
    }
    entries
}

impl Timing {
    fn of(sums: &PathSums, is_recursive: bool, time: fn(&Cost) -> u64) -> Self {
        let calls = sums.sums.calls + sums.sums.resumes;
        let (primitive_calls, cumulative_ns) = if is_recursive { (0, 0) } else { (calls, time(&sums.total)) };
        Self { calls, primitive_calls, own_ns: time(&sums.sums.own), cumulative_ns }
    }
}

impl AddAssign for Timing {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.primitive_calls += other.primitive_calls;
        self.own_ns = self.own_ns.saturating_add(other.own_ns);
        self.cumulative_ns = self.cumulative_ns.saturating_add(other.cumulative_ns);
    }
}

fn write(keys: &[Key<'_>], entries: &BTreeMap<usize, Entry>, out: &mut Marshal<'_>) -> io::Result<()> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let name = |out: &mut Marshal<'_>, (file, line, name): Key<'_>| {
        out.tuple(3)?;
        out.text(file)?;
        out.int(u64::from(line))?;
        out.text(name)
    };
    // Of callers, Python has the two counts the other way round.
    let times = |out: &mut Marshal<'_>, counts: [u64; 2], timing: &Timing| {
        counts.into_iter().try_for_each(|count| out.int(count))?;
        out.float(seconds(timing.own_ns))?;
        out.float(seconds(timing.cumulative_ns))
    };
    out.begin_dict()?;
    for (&function, Entry { all, callers }) in entries {
        name(out, keys[function])?;
        out.tuple(5)?;
        times(out, [all.primitive_calls, all.calls], all)?;
        out.begin_dict()?;
        for (&caller, timing) in callers {
            name(out, keys[caller])?;
            out.tuple(4)?;
            times(out, [timing.calls, timing.primitive_calls], timing)?;
        }
        out.end_dict()?;
    }
    out.end_dict()
}

#[cfg(test)]
mod tests {
    use super::last_part;

    #[test]
    fn names_are_those_of_the_code_object() {
        for (qualified, name) in [
            ("f", "f"),
            ("A.f", "f"),
            ("A.f.<locals>.<lambda>", "<lambda>"),
            ("f.<locals>.g", "g"),
            ("<module>", "<module>"),
            ("", ""),
        ] {
            assert_eq!(last_part(qualified), name);
        }
    }
}
