//! The processes that a recording follows, and their probes.

mod events;

use std::{
    collections::{BTreeMap, HashMap},
    thread::JoinHandle,
};

use anyhow::{Result, bail};
use log::debug;
use tracer_common::state::total;

use super::{note, thread_totals};
use crate::{
    attach::{Hooks, Kernel, monotonic_ns, uprobe::Target},
    discover::{self, ImageFile, PlanCache, Planned, PythonProcess},
    engine::{Engine, Message},
    event::{Event, ProcessIndex},
    pipeline::{ProcessTotals, ThreadTotals},
    python::plan::SourceChoice,
    text::one_line,
};

/// How often a process that has just called exec is looked at: its libraries are mapped later.
const LOOKS_AFTER_EXEC: u32 = 5;

/// One process.
struct Process {
    pid: u32,
    start_ticks: u64,
    /// Its own probes; with `--all` they belong to the image.
    hooks: Option<Hooks>,
    image: ImageKey,
}

/// A file by device, inode and time of change.
type ImageKey = (u64, u64, i128);

/// A process that has called exec a moment ago.
#[derive(Clone, Copy)]
struct Young {
    /// Its index, if it is followed.
    index: Option<ProcessIndex>,
    /// How often it was looked at.
    looks: u32,
}

/// An image whose probes serve all processes.
struct Image {
    hooks: Hooks,
    planned: Planned,
}

/// A process whose image is hooked, not yet known to the kernel side.
pub(super) struct Hooked {
    process: PythonProcess,
    planned: Planned,
    image: u32,
    hooks: Option<Hooks>,
}

/// All of them, with the kernel side that serves them.
pub(super) struct Followed {
    kernel: Kernel,
    plans: PlanCache,
    processes: BTreeMap<ProcessIndex, Process>,
    images: HashMap<ImageKey, Image>,
    all: bool,
    /// Processes to look at again: they have called exec, and are no Python processes yet.
    young: HashMap<u32, Young>,
    ended: Vec<ProcessTotals>,
    hits_of_ended: u64,
    /// What the calibration had counted: not part of the recording.
    before: Totals,
    detaching: Vec<JoinHandle<()>>,
    notes: Vec<String>,
}

impl Followed {
    pub(super) fn new(kernel: Kernel, source: SourceChoice) -> Self {
        Self {
            before: Totals::of(&kernel),
            kernel,
            plans: PlanCache::new(source),
            processes: BTreeMap::new(),
            images: HashMap::new(),
            all: false,
            young: HashMap::new(),
            ended: Vec::new(),
            hits_of_ended: 0,
            detaching: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Hooks one process, all its threads. Its events come once it is [added](Self::add).
    pub(super) fn hook(&mut self, pid: u32) -> Result<Hooked> {
        let process = discover::inspect(pid)?;
        let planned = self.plans.plan(&process.image);
        let plan =
            planned.as_ref().as_ref().map_err(|refusal| anyhow::anyhow!("process {pid}: {refusal}"))?;
        let hooks = self.kernel.hook(&process.image.open_path, plan, Target::Pid(pid))?;
        Ok(Hooked { process, planned, image: hooks.image, hooks: Some(hooks) })
    }

    /// Hooks the images of all Python processes there are; new processes of them are then taken up by themselves.
    pub(super) fn hook_all(&mut self) -> Vec<Hooked> {
        self.all = true;
        let mut hooked = Vec::new();
        let mut refused = 0;
        for (pid, found) in discover::processes() {
            match found.map_err(anyhow::Error::from).and_then(|process| self.hook_image(process)) {
                Ok(process) => hooked.push(process),
                Err(error) => {
                    refused += 1;
                    note(&format!("process {pid} is left out: {}", one_line(&error)));
                }
            }
        }
        if refused > 0 {
            self.notes.push(format!("{refused} Python processes could not be traced"));
        }
        hooked
    }

    /// With `--all`: hooks the process's image, unless that is done.
    fn hook_image(&mut self, process: PythonProcess) -> Result<Hooked> {
        let key = image_key(&process.image);
        let planned = self.plans.plan(&process.image);
        if !self.images.contains_key(&key) {
            let plan = match planned.as_ref() {
                Ok(plan) => plan,
                Err(refusal) => bail!("{refusal}"),
            };
            let hooks = self.kernel.hook(&process.image.open_path, plan, Target::All)?;
            self.images.insert(key, Image { hooks, planned: planned.clone() });
        }
        let image = self.images.get(&key).map_or(0, |image| image.hooks.image);
        Ok(Hooked { process, planned, image, hooks: None })
    }

    /// Makes a process known to the kernel side and to the engine. From here on its events come. Returns what to say
    /// of it; nothing if it is known already.
    pub(super) fn add(&mut self, hooked: Hooked, engine: &Engine) -> Result<Option<String>> {
        let Hooked { process, planned, image, hooks } = hooked;
        let pid = process.pid;
        let Ok(plan) = planned.as_ref() else { return Ok(None) };
        if self.processes.values().any(|known| known.pid == pid) {
            return Ok(None);
        }
        let index = self.kernel.add_process(pid, image, plan.code_type.wrapping_add(process.bias))?;
        let (start_ticks, key) = (process.start_ticks, image_key(&process.image));
        self.introduce(index, Process { pid, start_ticks, hooks, image: key }, &planned, engine);
        let time_ns = monotonic_ns();
        for (thread, tid) in self.kernel.seed_threads(pid, index)? {
            engine.tell(Message::Event(Event::Thread { time_ns, thread, process: index, pid, tid }));
        }
        let (version, source, sites) = (plan.version, plan.source, plan.sites.len());
        Ok(Some(format!("attached to process {pid}: CPython {version}, {source} ({sites} sites)")))
    }

    /// Tells the engine what an index stands for.
    fn introduce(&mut self, index: ProcessIndex, process: Process, planned: &Planned, engine: &Engine) {
        let Ok(plan) = planned.as_ref() else { return };
        let pid = process.pid;
        if discover::jit_active(pid) {
            self.notes.push(format!(
                "process {pid} has its JIT compiler on: calls inside compiled code are not seen"
            ));
        }
        if !plan.exact {
            self.notes.push(format!(
                "process {pid}: counts on CPython {} are not promised to be exact",
                plan.version
            ));
        }
        self.processes.insert(index, process);
        let (version, source) = (plan.version.to_string(), plan.source.to_string());
        engine.tell(Message::Process { index, pid, version, source });
    }

    /// Have all processes that were asked for ended?
    pub(super) fn all_ended(&self) -> bool {
        !self.all && self.processes.is_empty()
    }

    /// The processes that run.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.values().map(|process| process.pid)
    }

    /// Counters of all live threads as of `end_ns`.
    pub(super) fn threads(&self, end_ns: u64) -> Vec<ThreadTotals> {
        let live = self.kernel.live_threads();
        live.iter().map(|(slot, thread)| thread_totals(*slot, thread, end_ns)).collect()
    }

    /// Records about processes and threads that were lost.
    pub(super) fn lost_tasks(&self) -> u64 {
        Totals::of(&self.kernel).lost_tasks.saturating_sub(self.before.lost_tasks)
    }

    /// Probe hits so far, also those of threads that are not followed.
    pub(super) fn hits(&self) -> u64 {
        let stray = Totals::of(&self.kernel).stray_hits.saturating_sub(self.before.stray_hits);
        let threads: u64 = self.kernel.live_threads().iter().map(|(_, thread)| thread.hits).sum();
        let processes = self.processes.keys().filter_map(|&index| self.kernel.process(index).ok());
        threads + processes.map(|process| process.hits).sum::<u64>() + self.hits_of_ended + stray
    }

    /// Counters of all processes, and what the report's reader should know.
    pub(super) fn totals(&mut self) -> Result<(Vec<ProcessTotals>, Vec<String>)> {
        let mut all = std::mem::take(&mut self.ended);
        for &index in self.processes.keys() {
            all.push(totals(index, &self.kernel.process(index)?));
        }
        let mut notes = std::mem::take(&mut self.notes);
        if !self.kernel.follows_memory() {
            notes.push(
                "memory is left out: this kernel counts it in a way that is not supported (Linux 6.2+ is)"
                    .into(),
            );
        }
        Ok((all, notes))
    }

    /// Begins to take all probes away; [`Detaching`] waits for it.
    pub(super) fn detach(&mut self) -> Detaching {
        let own = self.processes.values_mut().filter_map(|process| process.hooks.take());
        let shared = std::mem::take(&mut self.images).into_values().map(|image| image.hooks);
        let mut threads = std::mem::take(&mut self.detaching);
        threads.extend(own.chain(shared).map(|hooks| std::thread::spawn(move || drop(hooks))));
        Detaching(threads)
    }
}

/// Single numbers that the kernel side counts up.
#[derive(Clone, Copy, Default)]
struct Totals {
    stray_hits: u64,
    lost_tasks: u64,
}

impl Totals {
    fn of(kernel: &Kernel) -> Self {
        let get = |index| {
            kernel.total(index).unwrap_or_else(|error| {
                debug!("{error}");
                0
            })
        };
        Self { stray_hits: get(total::STRAY_HITS), lost_tasks: get(total::LOST_TASKS) }
    }
}

/// Probes on their way out; dropping this waits for them.
pub(super) struct Detaching(Vec<JoinHandle<()>>);

impl Drop for Detaching {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            let _ = thread.join();
        }
    }
}

fn totals(process: ProcessIndex, state: &tracer_common::state::Process) -> ProcessTotals {
    ProcessTotals {
        process,
        lost: state.lost,
        duplicates: state.duplicates,
        mismatches: state.mismatches,
        no_slot: state.no_slot,
    }
}

fn image_key(image: &ImageFile) -> ImageKey {
    (image.device, image.inode, image.modified_ns)
}

fn is_alive(pid: u32, start_ticks: u64) -> bool {
    discover::start_ticks(pid).is_some_and(|ticks| ticks == start_ticks)
}
