//! Tracing within a budget: a thread of its own that opens windows on one process after the other, each when its
//! [`Budget`] says, and hands on what they counted.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use log::debug;

use crate::{
    attach::windows::{Counted, WindowChange, WindowTarget, Windows},
    budget::{Budget, Costs, Next, Spent},
    mix::{ClosedWindow, WindowLength},
    report::Windowing,
};

/// How often an open window is looked at: it is closed early when it costs more than was expected.
const LOOK: Duration = Duration::from_millis(2);
/// How often processes are looked at without a window: what they have done by themselves earns the next one.
const IDLE: Duration = Duration::from_millis(500);

/// How windows go: of each process, the latest.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// What the process is believed to have lost, as a share of its own time.
    believed: f64,
    /// Share of the time in which a window was open on it.
    observed: f64,
    /// Probe hits.
    hits: u64,
}

/// What the thread tells of a window.
#[derive(Clone, Debug)]
struct Seen {
    window: ClosedWindow,
    pid: u32,
    standing: Standing,
}

/// The thread, and what is known of its windows.
#[derive(Debug)]
pub(super) struct WindowThread {
    account: Windowing,
    standings: BTreeMap<u32, Standing>,
    seen: Receiver<Seen>,
    /// Dropped to end it.
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl WindowThread {
    /// Starts it. `limit` and `costs`: of each process's [`Budget`].
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(
        windows: Windows,
        changes: Receiver<WindowChange>,
        limit: f64,
        costs: Costs,
    ) -> io::Result<Self> {
        let (tell, seen) = channel();
        let (stop, stopped) = channel();
        let opener = Opener { windows, changes, stopped, tell, limit, costs, processes: Vec::new() };
        let thread = thread::Builder::new().name("pytracer-windows".into()).spawn(move || opener.run())?;
        let account = Windowing { max_overhead: limit, ..Windowing::default() };
        Ok(Self { account, standings: BTreeMap::new(), seen, stop, thread: Some(thread) })
    }

    /// Windows that have been closed since the last call.
    pub(super) fn take(&mut self) -> Vec<ClosedWindow> {
        let seen: Vec<_> = self.seen.try_iter().collect();
        seen.into_iter().map(|seen| self.take_in(seen)).collect()
    }

    /// Closes the window that is open, waits until no probe is left, and returns the last windows.
    pub(super) fn finish(mut self) -> (Vec<ClosedWindow>, Windowing) {
        drop(std::mem::replace(&mut self.stop, channel().0));
        if let Some(thread) = self.thread.take() {
            // A panic of the thread shows in its message; what it had told before counts.
            let _ = thread.join();
        }
        (self.take(), self.account())
    }

    /// How windows have gone so far.
    pub(super) fn account(&self) -> Windowing {
        let standings = || self.standings.values();
        let believed_overhead = standings().map(|standing| standing.believed).fold(0.0, f64::max);
        let observed = standings().map(|standing| standing.observed).fold(1.0, f64::min);
        let observed = if self.standings.is_empty() { 0.0 } else { observed };
        let hits = standings().map(|standing| standing.hits).sum();
        Windowing { believed_overhead, observed, hits, ..self.account }
    }

    fn take_in(&mut self, Seen { window, pid, standing }: Seen) -> ClosedWindow {
        self.account.windows += 1;
        self.account.starts += window.starts.iter().map(|&(_, calls, resumes)| calls + resumes).sum::<u64>();
        self.account.beyond += window.beyond;
        self.standings.insert(pid, standing);
        window
    }
}

/// What windows cost, of what a hit costs in a loop of our own.
pub(super) fn costs(hit_ns: u64, sample_rate: u32) -> Costs {
    // Code runs slower after a trap: in a program with much code a hit costs half as much again as in our own loop, in one
    // with little a fifth less (docs/budget.md). With the third of the budget that is not planned, both stay within it.
    const IN_PROGRAMS: f64 = 1.25;
    // What the threads of a process do not get done while probes come and go, besides hits.
    const WINDOW_NS: f64 = 1e5;
    // With the interrupt, in a virtual machine.
    const SAMPLE_NS: f64 = 16_000.0;
    Costs {
        hit_ns: hit_ns as f64 * IN_PROGRAMS,
        window_ns: WINDOW_NS,
        always: f64::from(sample_rate) * SAMPLE_NS / 1e9,
    }
}

/// A process and its budget.
struct Process {
    target: Box<WindowTarget>,
    budget: Budget,
    next: Next,
    due: Instant,
    /// When it was looked at last, and its processor time and hits then.
    looked: Instant,
    cpu_ns: f64,
    hits: u64,
    /// Time of a window for each of its hits, of the densest so far: a hit does not cost more than that.
    densest_ns: f64,
}

struct Opener {
    windows: Windows,
    changes: Receiver<WindowChange>,
    stopped: Receiver<()>,
    tell: Sender<Seen>,
    limit: f64,
    costs: Costs,
    processes: Vec<Process>,
}

impl Opener {
    fn run(mut self) {
        loop {
            self.take_changes();
            let due = self.processes.iter().map(|process| process.due).min();
            let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()).min(IDLE));
            match self.stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
            self.take_changes();
            let now = Instant::now();
            if let Some(at) = (0..self.processes.len()).min_by_key(|&at| self.processes[at].due)
                && self.processes[at].due <= now
                && !self.window(at)
            {
                self.processes.swap_remove(at);
            }
        }
    }

    fn take_changes(&mut self) {
        for change in self.changes.try_iter() {
            match change {
                WindowChange::Add(target) => {
                    self.processes.retain(|process| process.target.pid != target.pid);
                    let budget = Budget::new(self.limit, self.costs);
                    let next = budget.next(fastrand::f64());
                    let now = Instant::now();
                    let (cpu_ns, hits) = (cpu_ns(target.pid).unwrap_or(0.0), self.windows.hits(&target));
                    let due = now + next.after;
                    self.processes.push(Process {
                        target,
                        budget,
                        next,
                        due,
                        looked: now,
                        cpu_ns,
                        hits,
                        densest_ns: f64::INFINITY,
                    });
                }
                WindowChange::Remove(pid) => self.processes.retain(|process| process.target.pid != pid),
            }
        }
    }

    /// Opens a window on a process and closes it. False: the process is gone.
    fn window(&mut self, at: usize) -> bool {
        let Self { windows, processes, stopped, tell, .. } = self;
        let process = &mut processes[at];
        let open = match windows.open(&process.target) {
            Ok(open) => open,
            Err(error) => {
                debug!("no window on process {}: {error}", process.target.pid);
                let pid = process.target.pid;
                process.due = Instant::now() + IDLE;
                // Not yet known to the kernel side, or gone.
                return cpu_ns(pid).is_some();
            }
        };
        let (opened, hits) = (Instant::now(), windows.hits(&process.target));
        let cpu_before = cpu_ns(process.target.pid).unwrap_or(0.0);
        let end = opened + process.next.length;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || windows.hits(&process.target) - hits > process.next.hits {
                break;
            }
            if stopped.recv_timeout(left.min(LOOK)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        let window_hits = windows.hits(&process.target) - hits;
        let cpu_in_window = cpu_ns(process.target.pid).unwrap_or(cpu_before) - cpu_before;
        let process_index = open.process();
        let open_ns = opened.elapsed().as_nanos() as f64;
        let counted = windows.close(open);
        let counted = match counted {
            Ok(counted) => counted,
            Err(error) => {
                debug!("window on process {}: {error}", process.target.pid);
                Counted::default()
            }
        };
        // Threads that run at the same time are slowed down at the same time.
        let threads = (cpu_in_window / open_ns).max(1.0);
        let hits_ns = window_hits as f64 * process.hit_ns(open_ns * threads, window_hits) / threads;
        let length = WindowLength { open_ns, hits_ns };
        let alive = process.look(windows, open_ns, window_hits);
        let standing = Standing {
            believed: process.budget.believed(),
            observed: process.budget.observed(),
            hits: process.hits,
        };
        let starts = counted.starts.iter();
        let starts = starts.map(|&(id, starts)| (id, starts.calls.into(), starts.resumes.into())).collect();
        let window = ClosedWindow { process: process_index, starts, beyond: counted.beyond, length };
        // Nobody listens any more: then it is over anyway.
        let _ = tell.send(Seen { window, pid: process.target.pid, standing });
        alive
    }
}

impl Process {
    /// What a hit has cost in a window of so much time. How much a program gets done in a window that is full of hits is a
    /// small difference of large numbers: what is believed of a hit may be more than there was.
    fn hit_ns(&mut self, time_ns: f64, hits: u64) -> f64 {
        const ENOUGH: u64 = 1000;
        // A program that does nothing but call gets so much done while it is traced.
        const LEAST_OWN: f64 = 0.05;
        if hits >= ENOUGH {
            self.densest_ns = self.densest_ns.min(time_ns / hits as f64);
        }
        self.budget.costs().hit_ns.min(self.densest_ns * (1.0 - LEAST_OWN))
    }

    /// Takes in what has happened since the last look, with a window in it, and plans the next. False: it is gone.
    fn look(&mut self, windows: &Windows, window_ns: f64, window_hits: u64) -> bool {
        let now = Instant::now();
        let hits = windows.hits(&self.target);
        let Some(cpu_ns) = cpu_ns(self.target.pid) else { return false };
        self.budget.observe(&Spent {
            elapsed_ns: (now - self.looked).as_nanos() as f64,
            cpu_ns: cpu_ns - self.cpu_ns,
            hits: hits - self.hits,
            window_ns,
            window_hits,
        });
        (self.looked, self.cpu_ns, self.hits) = (now, cpu_ns, hits);
        self.next = self.budget.next(fastrand::f64());
        self.due = now + self.next.after;
        true
    }
}

/// Processor time that a process has used, nanoseconds; `None`: it is gone.
fn cpu_ns(pid: u32) -> Option<f64> {
    // The kernel's name for the clock of a process (`CPUCLOCK_SCHED`): see clock_getcpuclockid(3).
    let clock = (!(pid as libc::clockid_t) << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives until the call returns.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (result == 0).then_some(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}
