//! What a test needs of the kernel, and what it must find there afterwards.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    process::Command,
};

use ::tracer::python::plan::{Meaning, ProbeSite};
use serde::{Deserialize, de::DeserializeOwned};

use ::tracer::btf::Btf;

use crate::Python;

/// Fails the test of a process that is not root's.
///
/// # Panics
///
/// For an ordinary user: `cargo xtask test` runs these tests as root.
pub fn need_privilege() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: run it with `cargo xtask test`");
}

/// Does this kernel count resident memory such that pytracer can follow it (Linux 6.2 and later)?
///
/// # Panics
///
/// Without type information.
pub fn counts_memory() -> bool {
    matches!(btf().member_array("mm_struct", "rss_stat"), Some(("percpu_counter", _)))
}

/// Time that a hypervisor has taken from this machine's processors so far, all of them together, in nanoseconds.
///
/// # Panics
///
/// If the kernel does not say.
pub fn stolen_ns() -> u64 {
    // "cpu", then user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second (proc_stat(5)).
    const STEAL: usize = 8;
    const TICK_NS: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat").expect("read /proc/stat");
    let ticks = stat.split_whitespace().nth(STEAL).and_then(|ticks| ticks.parse::<u64>().ok());
    ticks.expect("stolen time is told") * TICK_NS
}

/// What every report says on this kernel.
pub fn usual_notes() -> Vec<&'static str> {
    const NO_MEMORY: &str =
        "memory is left out: this kernel counts it in a way that is not supported (Linux 6.2+ is)";
    if counts_memory() { Vec::new() } else { vec![NO_MEMORY] }
}

/// A report's notes without those that any recording may have by chance on some kernels (docs/supported.md).
pub fn without_chance(notes: &[String]) -> Vec<&str> {
    const UNREPORTED_SWITCH: &str = "the kernel did not report that a thread came to its CPU";
    notes.iter().map(String::as_str).filter(|note| !note.contains(UNREPORTED_SWITCH)).collect()
}

/// The capabilities that tracing needs, in the words of `setpriv`: places are hooked by links that need no more than
/// two (Linux 6.6 and later), or by perf events.
///
/// # Panics
///
/// Without type information.
pub fn capabilities() -> &'static str {
    if btf().has_enumerator("BPF_TRACE_UPROBE_MULTI") {
        "-all,+bpf,+perfmon"
    } else {
        "-all,+bpf,+perfmon,+sys_admin"
    }
}

fn btf() -> Btf {
    Btf::of_kernel().expect("the kernel has type information")
}

/// The kernel programs and links there are, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

impl Loaded {
    /// What is loaded now, by whomever.
    pub fn now() -> Self {
        need_privilege();
        Self { programs: ids("prog"), links: ids("link") }
    }

    /// Is there more than there was before?
    pub fn exceeds(&self, before: &Self) -> bool {
        !self.programs.is_subset(&before.programs) || !self.links.is_subset(&before.links)
    }
}

/// The kernel programs, maps and links that a process holds, by id: what it leaves behind is told apart from what others
/// load meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// `prog`, `map` or `link`, and the id.
    ids: BTreeSet<(&'static str, u32)>,
}

impl Holdings {
    /// Of a process that has some.
    ///
    /// # Panics
    ///
    /// If it has none: a test that looked for what is left of them could not fail.
    pub fn of(pid: u32) -> Self {
        need_privilege();
        let texts = descriptors(pid);
        let id = |line: &str| {
            let (key, value) = line.split_once(':')?;
            let kind = ["prog", "map", "link"].into_iter().find(|kind| key == format!("{kind}_id"))?;
            Some((kind, value.trim().parse().ok()?))
        };
        let ids: BTreeSet<_> = texts.iter().flat_map(|text| text.lines().filter_map(id)).collect();
        assert!(["prog", "map"].iter().all(|kind| ids.iter().any(|(of, _)| of == kind)), "{pid} has {ids:?}");
        Self { ids }
    }

    /// Those that there still are.
    pub fn left(&self) -> Vec<(&'static str, u32)> {
        let there = ["prog", "map", "link"].map(|kind| (kind, ids(kind)));
        let is_there =
            |(kind, id): &(&str, u32)| there.iter().any(|(of, ids)| of == kind && ids.contains(id));
        self.ids.iter().copied().filter(is_there).collect()
    }
}

/// Addresses of a process at which a breakpoint stands in the place of an instruction of its interpreter.
///
/// # Panics
///
/// If the process has ended.
pub fn breakpoints(python: Python, pid: u32) -> Vec<u64> {
    breakpoints_at(python, pid, |_| true)
}

/// Is a window open on a process, one of those that are traced within a budget? There functions' starts are hooked in
/// windows only.
///
/// # Panics
///
/// If the process has ended.
pub fn has_open_window(python: Python, pid: u32) -> bool {
    !breakpoints_at(python, pid, |site| site.meaning == Meaning::Start).is_empty()
}

fn breakpoints_at(python: Python, pid: u32, wanted: fn(&ProbeSite) -> bool) -> Vec<u64> {
    const BREAKPOINT: u8 = 0xcc;
    let plan =
        ::tracer::python::plan(&python.image()).unwrap_or_else(|error| panic!("plan CPython: {error}"));
    let bias = ::tracer::discover::inspect(pid).expect("it runs").bias;
    let memory = File::open(format!("/proc/{pid}/mem")).expect("open the target's memory");
    let byte_at = |address| {
        let mut byte = [0];
        memory.read_exact_at(&mut byte, address).expect("read the target's memory");
        byte[0]
    };
    let sites = plan.sites.iter().filter(|site| wanted(site)).map(|site| site.address + bias);
    sites.filter(|&address| byte_at(address) == BREAKPOINT).collect()
}

/// The probes that live in tracefs, which outlive whoever made them. Where nobody has mounted it, that is done for this look
/// only.
///
/// # Panics
///
/// If it can't be read.
pub fn lasting_probes() -> String {
    const LOOK: &str = "cd /sys/kernel/tracing && { test -e uprobe_events || mount -t tracefs tracefs .; } && \
                        cat /sys/kernel/tracing/uprobe_events";
    need_privilege();
    let mut look = Command::new("unshare");
    let output = look.args(["--mount", "--propagation", "private", "sh", "-c", LOOK]).output();
    let output = output.expect("start unshare");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the kernel's words are UTF-8")
}

/// How many entries there are in a hash map that a process holds.
///
/// # Panics
///
/// When it holds no map of this name.
pub fn map_entries(pid: u32, name: &str) -> usize {
    #[derive(Deserialize)]
    struct Map {
        name: Option<String>,
    }
    let ids: BTreeSet<String> = descriptors(pid)
        .iter()
        .filter_map(|text| {
            Some(text.lines().find_map(|line| line.strip_prefix("map_id:"))?.trim().to_owned())
        })
        .collect();
    let is_named = |id: &String| {
        let map: Map = bpftool(&["map", "show", "id", id]);
        map.name.as_deref() == Some(name)
    };
    let id = ids.iter().find(|id| is_named(id)).unwrap_or_else(|| panic!("{pid} has no map {name}"));
    bpftool::<Vec<serde_json::Value>>(&["map", "dump", "id", id]).len()
}

/// What the kernel says of each descriptor of a process.
fn descriptors(pid: u32) -> Vec<String> {
    let folder = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("list what it has open");
    // One that is closed meanwhile is none.
    folder.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()).collect()
}

fn ids(kind: &str) -> BTreeSet<u32> {
    #[derive(Deserialize)]
    struct Item {
        /// One that goes while it is being listed has none.
        id: Option<u32>,
    }
    bpftool::<Vec<Item>>(&[kind, "show"]).into_iter().filter_map(|item| item.id).collect()
}

fn bpftool<T: DeserializeOwned>(arguments: &[&str]) -> T {
    let output = ["bpftool", "/usr/sbin/bpftool"]
        .iter()
        .find_map(|tool| Command::new(tool).arg("--json").args(arguments).output().ok())
        .expect("start bpftool");
    serde_json::from_slice(&output.stdout).expect("bpftool prints JSON")
}
