//! A recording, from the first look at its targets to the report: who is traced, for how long, and what is done
//! about processes that come and go meanwhile.

mod followed;
mod fuse;
mod status_line;
mod untraced;
mod windows;

use std::{ffi::OsString, io::Write as _, path::PathBuf, process::Child, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    attach::{AggregateSizes, Kernel, LoadOptions, Mode, Unknown, calibrate, monotonic_ns},
    decode::decode,
    discover::{self, NotTraceable},
    engine::{Engine, Message},
    filter::FunctionFilter,
    launch::{Held, Step, exit_code},
    log::{Failure, LogOptions, LogWriter},
    pipeline::{Ending, PipelineOptions, ThreadTotals},
    privileges::{self, Need},
    python::plan::Wanted,
    receive::{INTERVAL, Receiver, records},
    report::{OwnCost, Report},
    select::Selectors,
    text::shown,
};
use followed::Followed;
use fuse::{Fuse, Reading};
use status_line::StatusLine;
use windows::WindowThread;

pub use fuse::Limits;

/// What to trace.
#[derive(Clone, Debug)]
pub enum Targets {
    /// These processes.
    Selected(Selection),
    /// Every Python process there is and every one that starts later.
    All,
    /// A command, from its first function.
    Command(Vec<OsString>),
}

/// Processes that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// By process id.
    pub pids: Vec<u32>,
    /// All that match, now or when they call exec later.
    pub selectors: Selectors,
    /// Begin even if none matches yet.
    pub wait: bool,
}

impl Targets {
    /// What is to be done about processes that have nothing to do with those that are traced first?
    fn unknown(&self) -> Unknown {
        match self {
            Self::All => Unknown::Traced,
            Self::Selected(selection) if !selection.selectors.is_empty() => Unknown::Told,
            Self::Selected(_) | Self::Command(_) => Unknown::Ignored,
        }
    }
}

/// How to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to trace.
    pub targets: Targets,
    /// Trace the children of traced processes too.
    pub follow: bool,
    /// End after this time; otherwise at Ctrl-C or when the targets have ended.
    pub duration: Option<Duration>,
    /// Which functions.
    pub filter: FunctionFilter,
    /// What the plans are to be like.
    pub wanted: Wanted,
    /// Samples a second and CPU, where they come from samples ([`crate::python::plan::SourceChoice::Sample`]).
    pub sample_rate: Option<u32>,
    /// With samples: read the stack at each change of memory too, to charge it there.
    pub sample_memory: bool,
    /// Sample the targets for so long before probes are put in place and after they are gone; 0: not.
    pub untraced: Duration,
    /// Where to keep the event log, and what it is to hold.
    pub log: Option<(PathBuf, LogOptions)>,
    /// Size of all event rings together in bytes; `None`: what suits the machine.
    pub ring_bytes: Option<u32>,
    /// What ends it early.
    pub limits: Limits,
    /// What tracing may cost each process, as a share of its own time: then it is traced in windows.
    pub max_overhead: Option<f64>,
    /// Add calls up in the kernel, in tables of these sizes; otherwise by events.
    pub aggregate: Option<AggregateSizes>,
}

impl Options {
    /// How functions are seen.
    fn mode(&self) -> Mode {
        match (self.sample_rate, self.max_overhead) {
            (_, Some(_)) => Mode::SampledInWindows,
            (Some(_), None) if self.sample_memory => Mode::Sampled,
            (Some(_), None) => Mode::SampledForTime,
            (None, None) => Mode::Traced,
        }
    }

    /// Are events of frames needed?
    fn streams(&self) -> bool {
        self.aggregate.is_none() || self.log.is_some()
    }
}

/// What a recording came to.
#[derive(Debug)]
pub struct Outcome {
    /// The numbers.
    pub report: Report,
    /// Exit code of the traced command, if there was one.
    pub exit_code: Option<u8>,
    /// It came to more than its limits allow, and was ended early. The report says why.
    pub stopped: bool,
    /// Not all was done that was asked for: the event log stopped before the recording did, or a process could not be
    /// traced to the end. The report says why.
    pub incomplete: bool,
}

/// How often processes are looked at: whether they still run.
const LOOK: Duration = Duration::from_millis(200);

/// Records. Notes of what happens go to standard error.
///
/// # Errors
/// If nothing can be traced; the message says why and what to do.
pub fn record(options: &Options) -> Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start tokio")?;
    runtime.block_on(async {
        // From here on a signal ends the recording, not the program.
        let mut stop = Stop::new()?;
        let held = hold(&options.targets)?;
        // After the command has been started, which is to have the usual limit.
        raise_file_limit();
        privileges::keep_only(Need::Record);
        let before = untraced::sample(options, &mut stop).await;
        let (session, child) = Session::start(options, held)?;
        if !options.mode().hooks() {
            privileges::keep_only(Need::Sample);
        }
        session.attached.iter().for_each(|line| note(line));
        let begin = Instant::now();
        let mut outcome = session.run(&mut stop, child, options.duration).await?;
        // Whoever ends a recording by hand wants the report.
        let expired = options.duration.is_some_and(|duration| begin.elapsed() >= duration);
        let after = if expired { untraced::sample(options, &mut stop).await } else { None };
        privileges::keep_only(Need::Files);
        untraced::add(before.as_ref(), after.as_ref(), options, &mut outcome)?;
        Ok(outcome)
    })
}

/// Starts the command, if one is to be traced, and holds it where it becomes a Python process.
fn hold(targets: &Targets) -> Result<Option<Held>> {
    let Targets::Command(command) = targets else { return Ok(None) };
    let name = command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let held = Held::start(command).with_context(|| format!("start `{}`", shown(&name)))?;
    while let Err(reason) = discover::inspect(held.pid()) {
        if !matches!(reason, NotTraceable::NotPython { .. }) {
            return Err(reason.into());
        }
        if let Step::Ended(status) = held.next_exec()? {
            bail!(
                "`{}` ended with status {} and never became a Python process: name the interpreter itself, or attach to a running one with -p",
                shown(&name),
                exit_code(status)
            );
        }
    }
    Ok(Some(held))
}

/// What ends a recording from outside.
struct Stop {
    /// It has.
    was_asked: bool,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        Ok(Self {
            was_asked: false,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
        })
    }

    async fn asked(&mut self) {
        if !self.was_asked {
            tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
            self.was_asked = true;
        }
    }
}

/// A running recording.
struct Session {
    receiver: Receiver,
    engine: Engine,
    followed: Followed,
    filter: FunctionFilter,
    hit_cost_ns: u64,
    windows: Option<WindowThread>,
    log_failure: Option<Failure>,
    fuse: Fuse,
    /// Why the fuse has blown.
    stopped: Option<String>,
    line: StatusLine,
    /// What to say of each process.
    attached: Vec<String>,
}

impl Session {
    /// Puts all probes in place, then lets the events come. Returns the command too, which runs from here on.
    fn start(options: &Options, held: Option<Held>) -> Result<(Self, Option<Child>)> {
        let log = options.log.clone().map(|(path, options)| LogWriter::create(&path, options)).transpose()?;
        let (mut kernel, rings) = Kernel::load(LoadOptions {
            ring_bytes: options.ring_bytes,
            unknown: options.targets.unknown(),
            follow: options.follow,
            filtering: !options.filter.is_all(),
            mode: options.mode(),
            streaming: options.streams(),
            aggregate: options.aggregate,
            log_level: log::max_level(),
        })?;
        if kernel.hooks_by_links() {
            privileges::keep_only(Need::Trace);
        }
        if let Some(automaton) = options.filter.automaton() {
            kernel.set_globs(&automaton)?;
        }
        let mut receiver = Receiver::new(&rings).context("map the rings of events")?;
        let (hit_cost_ns, windows) = match (kernel.take_windows(), options.max_overhead) {
            (Some((mut windows, changes)), Some(limit)) => {
                let hit_ns = calibrate::window_hit_cost_ns(&mut kernel, &mut windows, &changes)?;
                let costs = windows::costs(hit_ns, options.sample_rate.unwrap_or(0));
                let windows =
                    WindowThread::start(windows, changes, limit, costs).context("start a thread")?;
                (hit_ns, Some(windows))
            }
            _ if options.sample_rate.is_some() => (0, None),
            _ => (calibrate::hit_cost_ns(&mut kernel)?, None),
        };
        let mut hits = Vec::new();
        while let Some(chunk) = Some(receiver.drain()).filter(|chunk| !chunk.is_empty()) {
            hits.extend(records(&chunk).filter_map(|record| decode(record).ok()));
        }
        let sums = kernel.function_sums()?;
        let calibration = calibrate::calibration(hits.into_iter())
            .or_else(|| calibrate::calibration_of_sums(&sums, hit_cost_ns));
        let mut followed = Followed::new(kernel, options.wanted, options.sample_rate);
        followed.begin_aggregate()?;
        if log.is_some() {
            followed.name_threads();
        }
        let hooked = match (&options.targets, &held) {
            (Targets::Selected(selection), _) => followed.hook_selected(selection)?,
            (Targets::All, _) => followed.hook_all(),
            (Targets::Command(_), held) => {
                held.iter().map(|held| followed.hook(held.pid())).collect::<Result<_>>()?
            }
        };
        let log_failure = log.as_ref().map(LogWriter::failure_watch);
        let window_start_ns = monotonic_ns();
        let engine = Engine::start(
            PipelineOptions {
                window_start_ns,
                start_unix_ns: unix_ns(),
                filter: options.filter.clone(),
                sample_rate: options.sample_rate,
                calibration,
            },
            log,
            options.aggregate.is_some() && options.streams(),
        )?;
        let lines: Vec<_> =
            hooked.into_iter().map(|process| followed.add(process, &engine)).collect::<Result<_>>()?;
        let mut attached: Vec<_> = lines.into_iter().flatten().collect();
        followed.start_sampling(&engine)?;
        if options.targets.unknown() != Unknown::Ignored {
            attached
                .push(format!("attached to {} processes; new ones are taken up", followed.pids().count()));
        }
        let child = held.map(Held::release).transpose().context("let the command run")?;
        let (filter, line) = (options.filter.clone(), StatusLine::new(options.duration));
        let fuse = Fuse::new(options.limits);
        let session = Self {
            receiver,
            engine,
            followed,
            filter,
            hit_cost_ns,
            windows,
            log_failure,
            fuse,
            stopped: None,
            line,
            attached,
        };
        Ok((session, child))
    }

    async fn run(
        mut self,
        stop: &mut Stop,
        child: Option<Child>,
        duration: Option<Duration>,
    ) -> Result<Outcome> {
        let begin = Instant::now();
        let mut child = child.map(wait_for);
        let mut exit_code = None;
        let deadline = duration.map(|duration| begin + duration);
        let mut drain = interval(INTERVAL);
        let mut look = interval(LOOK);
        let mut samples = self.followed.sample_interval().map(interval);
        drain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = drain.tick() => self.drain(),
                () = self.receiver.woken() => self.drain(),
                () = due(&mut samples) => self.followed.sample_sleepers(&self.engine),
                _ = look.tick() => {
                    self.followed.look(&self.engine);
                    self.show_progress(begin.elapsed());
                    if self.fuse_blows(begin.elapsed()) || (self.followed.all_ended() && child.is_none()) {
                        break;
                    }
                }
                code = ended(&mut child), if child.is_some() => {
                    exit_code = code;
                    child = None;
                    break;
                }
                () = sleep_until(deadline.unwrap_or(begin)), if deadline.is_some() => break,
                () = stop.asked() => break,
            }
        }
        self.line.clear();
        let log_failure = self.log_failure.take();
        let distrusted = self.followed.has_distrusted();
        let stopped = self.stopped.is_some();
        let report = self.finish()?;
        let log_stopped = log_failure.is_some_and(|failure| failure.get().is_some());
        let incomplete = log_stopped || distrusted;
        if child.is_some() {
            eprintln!("recording done; the command still runs");
            tokio::select! { code = ended(&mut child) => exit_code = code, () = stop.asked() => {} }
        }
        Ok(Outcome { report, exit_code, stopped, incomplete })
    }

    fn show_progress(&mut self, elapsed: Duration) {
        if self.line.is_shown() {
            self.followed
                .frame_events()
                .into_iter()
                .for_each(|events| self.engine.progress().set_aggregated(events));
            let windows = self.windows.as_ref().map(WindowThread::account);
            self.line.show(elapsed, self.engine.progress(), windows, self.followed.pids());
        }
    }

    /// Hands the engine what is in the ring buffer, and does what it asks for.
    fn drain(&mut self) {
        // What the ring buffer holds now names all functions that these windows have counted.
        let windows = self.windows.as_mut().map(WindowThread::take).unwrap_or_default();
        while let Some(chunk) = Some(self.receiver.drain()).filter(|chunk| !chunk.is_empty()) {
            let full = Receiver::is_full(&chunk);
            if !self.filter.is_all() {
                self.followed.refuse_unwanted(&chunk, &self.filter);
            }
            if let Some(chunk) = self.engine.offer(chunk.clone()) {
                // The engine is far behind: wait for it here, so that memory stays bounded. The ring buffer may
                // fill up meanwhile, and counts what it loses.
                self.engine.tell(Message::Records(chunk));
            }
            self.followed.react(&chunk, &self.engine);
            self.followed.find_unknown_threads(&chunk);
            if !full {
                break;
            }
        }
        for window in windows {
            self.engine.tell(Message::Window(window));
        }
        self.followed.serve(&self.engine);
    }

    /// Does the recording come to more than it may? That is said, and it ends.
    fn fuse_blows(&mut self, elapsed: Duration) -> bool {
        if self.fuse.is_due(elapsed) {
            let hits = self.followed.hits();
            let (cost_ns, lost) = (hits * self.hit_cost_ns, self.followed.lost());
            self.stopped = self.fuse.blows(Reading { elapsed, hits, cost_ns, lost });
        }
        if let Some(why) = &self.stopped {
            self.line.clear();
            note(why);
        }
        self.stopped.is_some()
    }

    fn finish(mut self) -> Result<Report> {
        let (windows, windowing) = self.windows.take().map(WindowThread::finish).unzip();
        let end_ns = self.followed.end_window()?;
        let threads = self.followed.threads(end_ns);
        let silent = self.followed.silent(end_ns);
        let sampling = self.followed.finish_sampling(&self.engine);
        let aggregate = self.followed.aggregate(end_ns, &threads, &silent)?;
        self.engine.tell(Message::Until(end_ns));
        self.drain();
        self.followed.name_live_threads(&self.engine);
        for _ in 0..64 {
            let chunk = self.receiver.drain();
            if chunk.is_empty() {
                break;
            }
            self.engine.tell(Message::Records(chunk));
        }
        windows.into_iter().flatten().for_each(|window| self.engine.tell(Message::Window(window)));
        let silent_note = silent.note();
        self.followed.tell_waiting_names(&self.engine);
        silent.events.into_iter().for_each(|event| self.engine.tell(Message::Event(event)));
        if let Some(aggregate) = aggregate {
            self.engine.tell(Message::Aggregate(aggregate));
        }
        let lost_tasks = self.followed.lost_tasks();
        let probe_hits = windowing.map_or_else(|| self.followed.hits(), |windowing| windowing.hits);
        let (processes, mut notes) = self.followed.totals()?;
        notes.extend(silent_note);
        notes.extend(self.stopped.take());
        // While the report is made, so that the targets are free again as soon as possible.
        let _detaching = self.followed.detach();
        let ending = Ending {
            end_ns,
            threads,
            processes,
            lost_tasks,
            probe_hits,
            probe_cost_ns: probe_hits * self.hit_cost_ns,
            own: own_cost(),
            sampling,
            windowing,
            notes,
        };
        Ok(self.engine.finish(ending))
    }
}

/// Off-CPU time of a thread as of `end_ns`.
fn thread_totals(
    thread: crate::event::Slot,
    state: &tracer_common::state::Thread,
    end_ns: u64,
) -> ThreadTotals {
    let out_ns = match state.switched_out_ns {
        0 => 0,
        since => end_ns.saturating_sub(since),
    };
    ThreadTotals { thread, off_cpu_ns: state.off_cpu_ns + out_ns, faults: state.faults }
}

/// Waits for the next tick; for ever without a timer.
async fn due(timer: &mut Option<tokio::time::Interval>) {
    match timer {
        Some(timer) => _ = timer.tick().await,
        None => std::future::pending().await,
    }
}

fn wait_for(mut child: Child) -> oneshot::Receiver<u8> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        use std::os::unix::process::ExitStatusExt as _;
        if let Ok(status) = child.wait() {
            let _ = tell.send(exit_code(status.into_raw()));
        }
    });
    told
}

async fn ended(child: &mut Option<oneshot::Receiver<u8>>) -> Option<u8> {
    match child {
        Some(told) => told.await.ok(),
        None => std::future::pending().await,
    }
}

/// Lets us have as many open files as may be: each probe of each process is one.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives until the call returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: as above. If it is refused the limit stays, and an attach that needs more says so.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}

/// What we have taken so far.
fn own_cost() -> Option<OwnCost> {
    // SAFETY: all zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` lives until the call returns.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return None;
    }
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    // The kernel tells the peak in units of 1024 bytes.
    let peak_rss_bytes = usage.ru_maxrss as u64 * 1024;
    Some(OwnCost { cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime), peak_rss_bytes })
}

fn unix_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// One line to standard error; a closed one is no reason to stop.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
