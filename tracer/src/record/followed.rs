//! The processes that a recording follows, and their probes.

mod aggregate;
mod arrivals;
mod children;
mod events;
mod images;
mod sampling;
mod selected;
mod sharing;
mod silent;
mod skipped;
mod threads;
mod trust;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};
use tracer_common::state::{Thread, total};

use self::{
    aggregate::Added,
    arrivals::Young,
    children::Children,
    images::{Image, ImageKey},
    sampling::Sampler,
};
use super::note;
use crate::{
    attach::{Hooks, Kernel, monotonic_ns},
    discover::{self, Found, PlanCache, PythonProcess},
    engine::{Engine, Message},
    event::{Event, ProcessIndex, Slot},
    pipeline::{ProcessAbout, ProcessTotals, ThreadTotals},
    python::plan::{Plan, SourceChoice, Wanted},
    select::Selectors,
    text::{one_line, pid_words},
};

/// One process.
struct Process {
    pid: u32,
    start_ticks: u64,
    /// Command line; escape where shown.
    command: String,
    /// Its own probes; where processes share them they belong to the image.
    hooks: Option<Hooks>,
    image: ImageKey,
    /// It was not asked for: a traced process forked it.
    child: bool,
    /// Its end was not seen, and the engine is being told.
    gone: bool,
}

/// A process whose image is hooked, not yet known to the kernel side.
pub(super) struct Hooked {
    process: PythonProcess,
    image: ImageKey,
    hooks: Option<Hooks>,
}

/// All of them, with the kernel side that serves them.
pub(super) struct Followed {
    kernel: Kernel,
    plans: PlanCache,
    /// What `--source eval` would hook, for advice.
    eval_plans: PlanCache,
    processes: BTreeMap<ProcessIndex, Process>,
    images: HashMap<ImageKey, Image>,
    all: bool,
    /// Files whose processes have the same probes, because many of them are traced.
    shared: HashSet<ImageKey>,
    /// Names of threads are asked for.
    names_threads: bool,
    /// Processes that match are taken up when they call exec.
    selectors: Option<Selectors>,
    /// Processes to look at again, by process id: they have called exec, and are no Python processes yet.
    young: HashMap<u32, Young>,
    children: Children,
    /// `None`: probes tell.
    sampler: Option<Sampler>,
    /// What the kernel side did not say itself, for the engine at the next look: by then it has all that came before.
    late: Vec<Event>,
    /// What the kernel side has added up, as far as it was fetched.
    added: Added,
    hits_of_ended: u64,
    /// What the calibration had counted: not part of the recording.
    before: Totals,
    detaching: Vec<JoinHandle<()>>,
    notes: Vec<String>,
}

impl Followed {
    /// `sample_rate`: stacks are sampled so often, and nothing is hooked.
    pub(super) fn new(kernel: Kernel, wanted: Wanted, sample_rate: Option<u32>) -> Self {
        Self {
            before: Totals::of(&kernel),
            kernel,
            plans: PlanCache::new(wanted),
            eval_plans: PlanCache::new(SourceChoice::Eval),
            processes: BTreeMap::new(),
            images: HashMap::new(),
            all: false,
            shared: HashSet::new(),
            names_threads: false,
            selectors: None,
            young: HashMap::new(),
            children: Children::default(),
            sampler: sample_rate.map(Sampler::new),
            late: Vec::new(),
            added: Added::default(),
            hits_of_ended: 0,
            detaching: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Hooks one process, all its threads. Its events come once it is [added](Self::add).
    pub(super) fn hook(&mut self, pid: u32) -> Result<Hooked> {
        self.hook_found(discover::inspect(pid)?).with_context(|| format!("process {pid}"))
    }

    /// Hooks the images of all Python processes there are; new processes of them are then taken up by themselves.
    pub(super) fn hook_all(&mut self) -> Vec<Hooked> {
        self.all = true;
        self.hook_each(discover::processes())
    }

    /// Hooks each of these processes; one that can't be traced is left out, which is said.
    fn hook_each(&mut self, found: Vec<Found>) -> Vec<Hooked> {
        let mut hooked = Vec::new();
        let mut refused = 0;
        for (pid, found) in found {
            match found.map_err(anyhow::Error::from).and_then(|process| self.hook_found(process)) {
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

    /// Hooks the process alone, or where processes share their probes its image, unless that is done.
    fn hook_found(&mut self, process: PythonProcess) -> Result<Hooked> {
        let image = self.image_of(&process);
        let hooks = image.and_then(|image| Ok((image, self.hook_process(image, process.pid)?)));
        let (image, hooks) = hooks.map_err(|error| self.with_advice(error, &process.image))?;
        Ok(Hooked { process, image, hooks })
    }

    /// Makes a process known to the kernel side and to the engine. From here on its events come. Returns what to say
    /// of it; nothing if it is known already.
    pub(super) fn add(&mut self, hooked: Hooked, engine: &Engine) -> Result<Option<String>> {
        let Hooked { process, image: key, hooks } = hooked;
        let pid = process.pid;
        let Some(image) = self.images.get(&key) else { return Ok(None) };
        let Some(plan) = image.plan() else { return Ok(None) };
        if self.processes.values().any(|known| known.pid == pid) {
            return Ok(None);
        }
        let (version, source, sites) = (plan.version, plan.source, plan.sites.len());
        let code_type = plan.code_type.wrapping_add(process.bias);
        let index = self.kernel.add_process(pid, image.index.number(), code_type)?;
        let (start_ticks, command) = (process.start_ticks, discover::command(pid));
        engine.tell(Message::Event(Event::Process { time_ns: monotonic_ns(), process: index, pid }));
        let known = Process { pid, start_ticks, command, hooks, image: key, child: false, gone: false };
        self.introduce(index, known, None, engine);
        let time_ns = monotonic_ns();
        for (thread, tid) in self.kernel.seed_threads(pid, index, time_ns)? {
            engine.tell(Message::Event(Event::Thread { time_ns, thread, process: index, pid, tid }));
            self.name_thread(index, pid, tid, engine);
        }
        let pid = pid_words(pid, &discover::inner_pids(pid));
        let how = match &self.sampler {
            None => format!("{source} ({sites} sites)"),
            Some(sampler) if self.hooks() => format!("{sampler}, calls counted in windows ({sites} sites)"),
            Some(sampler) => format!("{sampler}, no probes"),
        };
        Ok(Some(format!("attached to process {pid}: CPython {version}, {how}")))
    }

    /// Tells the engine what an index stands for. `parent`: the traced process that forked it.
    fn introduce(&mut self, index: ProcessIndex, process: Process, parent: Option<u32>, engine: &Engine) {
        let Some(plan) = self.images.get(&process.image).and_then(Image::plan) else { return };
        let pid = process.pid;
        // What holds of a child holds of its parent, and was said.
        if !process.child {
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
        }
        engine.tell(Message::Process(index, pid, about(&process, plan, parent)));
        self.processes.insert(index, process);
    }

    /// Have all processes that were asked for ended, and all that are followed from them?
    pub(super) fn all_ended(&self) -> bool {
        let runs_on = |process: &Process| self.young.get(&process.pid).is_none_or(Young::is_promising);
        !self.takes_up_others() && !self.processes.values().any(runs_on)
    }

    /// Is a process that calls exec to be looked at?
    fn takes_up_others(&self) -> bool {
        self.all || self.selectors.is_some()
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

    /// Records of the processes that are followed still which found no room.
    pub(super) fn lost(&self) -> u64 {
        let processes = self.processes.keys().filter_map(|&index| self.kernel.process(index).ok());
        processes.map(|process| process.lost).sum()
    }

    /// Can this kernel's memory be followed?
    pub(super) fn follows_memory(&self) -> bool {
        self.kernel.follows_memory()
    }

    /// Counters of the processes that are followed still, and what the report's reader should know.
    pub(super) fn totals(&mut self) -> Result<(Vec<ProcessTotals>, Vec<String>)> {
        let running = self.processes.keys();
        let running = running.map(|&index| Ok(totals(index, &self.kernel.process(index)?)));
        let running = running.collect::<Result<_>>()?;
        let mut notes = std::mem::take(&mut self.notes);
        let counted = Totals::of(&self.kernel);
        notes.extend(std::mem::take(&mut self.children).notes(counted.not_followed));
        notes.extend(self.sharing_note(counted.stray_hits.saturating_sub(self.before.stray_hits)));
        notes.extend(skipped::note(&self.kernel.skipped_runs()));
        notes.extend(skipped::note_of_switches(counted.unreported_switches, self.kernel.tells_arrivals()));
        if !self.follows_memory() {
            notes.push(
                "memory is left out: this kernel counts it in a way that is not supported (Linux 6.2+ is)"
                    .into(),
            );
        }
        Ok((running, notes))
    }

    /// Begins to take all probes away; [`Detaching`] waits for it.
    pub(super) fn detach(&mut self) -> Detaching {
        let own = self.processes.values_mut().filter_map(|process| process.hooks.take());
        let shared = std::mem::take(&mut self.images).into_values().filter_map(|image| image.hooks);
        let all: Vec<_> = own.chain(shared).collect();
        let mut threads = std::mem::take(&mut self.detaching);
        threads.push(std::thread::spawn(move || Hooks::remove_all(all)));
        Detaching(threads)
    }

    /// Has something done to probes on a thread of its own: the kernel takes its time.
    fn in_background(&mut self, work: impl FnOnce() + Send + 'static) {
        self.detaching.retain(|thread| !thread.is_finished());
        self.detaching.push(std::thread::spawn(work));
    }
}

/// What is known of a process of an image.
fn about(process: &Process, plan: &Plan, parent: Option<u32>) -> ProcessAbout {
    let (version, source) = (plan.version.to_string(), plan.source.to_string());
    ProcessAbout {
        parent,
        command: Some(process.command.clone()),
        inner_pids: discover::inner_pids(process.pid),
        version: Some(version),
        source: Some(source),
    }
}

/// Single numbers that the kernel side counts up.
#[derive(Clone, Copy, Default)]
struct Totals {
    stray_hits: u64,
    lost_tasks: u64,
    not_followed: u64,
    unreported_switches: u64,
}

impl Totals {
    fn of(kernel: &Kernel) -> Self {
        Self {
            stray_hits: kernel.total(total::STRAY_HITS),
            lost_tasks: kernel.total(total::LOST_TASKS),
            not_followed: kernel.total(total::NOT_FOLLOWED),
            unreported_switches: kernel.total(total::UNREPORTED_SWITCHES),
        }
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

/// Off-CPU time of a thread as of `end_ns`.
fn thread_totals(thread: Slot, state: &Thread, end_ns: u64) -> ThreadTotals {
    let out_ns = match state.switched_out_ns {
        0 => 0,
        since => end_ns.saturating_sub(since),
    };
    ThreadTotals { thread, off_cpu_ns: state.off_cpu_ns + out_ns, faults: state.faults }
}

fn is_alive(pid: u32, start_ticks: u64) -> bool {
    match discover::start_ticks(pid) {
        Some(ticks) => ticks == start_ticks,
        // Its first thread has ended: for good, or while another one calls exec.
        None => std::fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1),
    }
}
