//! What cProfile writes, as Python's own `pstats` reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
};

use crate::{packages, program, python::Python, truth};

/// A function: its file, first line and name.
pub type Key = (String, u64, String);

/// Primitive calls and calls.
pub type Counts = (u64, u64);

/// What a profile says of one function.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub struct Entry {
    /// Of all calls.
    pub counts: Counts,
    /// Time without what it called, and with that, seconds.
    pub times: (f64, f64),
    /// Of the calls by each caller.
    pub callers: Vec<(Key, Counts)>,
}

/// A whole profile.
pub type Profile = BTreeMap<Key, Entry>;

/// Reads a profile.
pub fn read(file: &Path) -> Profile {
    let code = "import json, pstats, sys\n\
                stats = pstats.Stats(sys.argv[1]).stats\n\
                entry = lambda cc, nc, tt, ct, callers: {'counts': (cc, nc), 'times': (tt, ct), \
                    'callers': [(key, (by[1], by[0])) for key, by in callers.items()]}\n\
                print(json.dumps([(key, entry(*value)) for key, value in stats.items()]))";
    let rows: Vec<(Key, Entry)> = packages::json(code, &[&file.display().to_string()]);
    rows.into_iter().collect()
}

/// Runs a program under cProfile, in a process that is not traced.
pub fn of(python: Python, name: &str) -> Profile {
    let folder = crate::scratch();
    let file = folder.path().join("cprofile");
    let mut command = python.command();
    command.arg(program(name)).arg("--cprofile").arg(&file);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
    read(&file)
}

/// Only the functions of the programs, with their counts; and the counts by caller of those that only such functions
/// have called: that C functions are among the callers only cProfile knows.
pub fn counts(profile: &Profile) -> BTreeMap<Key, (Counts, Option<BTreeMap<Key, Counts>>)> {
    let is_ours = |key: &Key| truth::is_of_the_program(&key.0);
    let ours = profile.iter().filter(|(key, entry)| is_ours(key) && entry.counts.1 > 0);
    let counted = ours.map(|(key, entry)| {
        let by_ours = entry.callers.iter().all(|(caller, _)| is_ours(caller));
        (key.clone(), (entry.counts, by_ours.then(|| entry.callers.iter().cloned().collect())))
    });
    counted.collect()
}

/// Compares function by function.
///
/// # Panics
///
/// When they differ, with a line for each difference.
pub fn assert_same_counts(cprofile: &Profile, ours: &Profile) {
    let (cprofile, ours) = (counts(cprofile), counts(ours));
    assert!(cprofile.len() > 10, "cProfile counted {} functions", cprofile.len());
    let keys: BTreeSet<_> = cprofile.keys().chain(ours.keys()).collect();
    let differences: Vec<String> = keys
        .into_iter()
        .filter(|key| match (cprofile.get(key), ours.get(key)) {
            (Some((wanted, Some(wanted_by))), Some((found, Some(found_by)))) => {
                wanted != found || wanted_by != found_by
            }
            (Some((wanted, _)), Some((found, _))) => wanted != found,
            _ => true,
        })
        .map(|key| format!("{key:?}: cProfile {:?}, we {:?}", cprofile.get(key), ours.get(key)))
        .collect();
    assert!(differences.is_empty(), "they differ:\n{}", differences.join("\n"));
}
