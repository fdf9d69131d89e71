//! A recording under way: probes in place, events on their way to the engine, and what happens when it ends.

use std::{process::Child, time::Duration};

use anyhow::{Context as _, Result};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{
    Options, Outcome, Targets,
    command::{ended, wait_for},
    followed::Followed,
    fuse::{Fuse, Reading},
    note,
    own::own_cost,
    status_line::StatusLine,
    stop::Stop,
    windows::{self, WindowThread},
};
use crate::{
    attach::{Kernel, LoadOptions, Unknown, calibrate, monotonic_ns},
    decode::decode,
    engine::{Engine, Message},
    filter::FunctionFilter,
    launch::Held,
    log::{Failure, LogWriter},
    pipeline::{Ending, PipelineOptions},
    privileges::{self, Need},
    receive::{INTERVAL, QUIET_INTERVAL, Receiver, records},
    report::Report,
};

/// How often processes are looked at: whether they still run.
const LOOK: Duration = Duration::from_millis(200);

/// A running recording.
pub(super) struct Session {
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
    pub(super) attached: Vec<String>,
}

impl Session {
    /// Puts all probes in place, then lets the events come. Returns the command too, which runs from here on.
    pub(super) fn start(options: &Options, held: Option<Held>) -> Result<(Self, Option<Child>)> {
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
                memory_unknown: !followed.follows_memory(),
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

    /// Follows the targets to the end of the recording, and the command to its own.
    pub(super) async fn run(
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
                _ = drain.tick() => {
                    if !self.drain() {
                        drain.reset_after(QUIET_INTERVAL);
                    }
                }
                () = self.receiver.woken() => {
                    self.drain();
                }
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

    /// Hands the engine what is in the rings, and does what it asks for. Was there anything?
    fn drain(&mut self) -> bool {
        let mut any = false;
        // What the ring buffer holds now names all functions that these windows have counted.
        let windows = self.windows.as_mut().map(WindowThread::take).unwrap_or_default();
        while let Some(chunk) = Some(self.receiver.drain()).filter(|chunk| !chunk.is_empty()) {
            any = true;
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
        any
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

/// Waits for the next tick; for ever without a timer.
async fn due(timer: &mut Option<tokio::time::Interval>) {
    match timer {
        Some(timer) => _ = timer.tick().await,
        None => std::future::pending().await,
    }
}

fn unix_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
