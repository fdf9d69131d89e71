//! Probes that are in place for moments only, and what they count. Where frames start is enough: a call costs one hit,
//! not two.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    ptr,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use tracer_common::{
    limits::{PROCESSES, WINDOW_FUNCTIONS},
    state::{Starts, Window},
};

use aya::maps::{HashMap, Map, MapData};

use super::{
    holders::{Held, Holders, Order},
    mapped::Mapped,
    multi::MultiSite,
};
use crate::{
    event::{FunctionId, ProcessIndex},
    python::plan::{Meaning, Plan},
};

/// The last hits come 0.2 ms after probes have begun to be taken away, 1.7 ms at the most that were seen (Linux 6.18).
const TAIL: Duration = Duration::from_millis(2);

/// Opens and closes windows, one at a time.
pub struct Windows {
    table: Mapped<Window>,
    starts: Mapped<Starts>,
    process_of: HashMap<MapData, u32, u32>,
    holders: Holders,
}

/// A process to open windows on.
#[derive(Debug)]
pub struct WindowTarget {
    /// Process id.
    pub pid: u32,
    image: File,
    order: Order,
}

/// Which processes windows are to be opened on.
#[derive(Debug)]
pub enum WindowChange {
    /// This one too.
    Add(Box<WindowTarget>),
    /// Not any more on the process with this id.
    Remove(u32),
}

/// Where it is told which processes windows are to be opened on.
#[derive(Debug)]
pub(super) struct WindowSwitch(Sender<WindowChange>);

/// A process that windows are opened on, until this is dropped.
#[derive(Debug)]
pub(super) struct InWindows {
    pid: u32,
    changes: Sender<WindowChange>,
}

impl Drop for InWindows {
    fn drop(&mut self) {
        // Nobody listens any more when the recording has ended.
        let _ = self.changes.send(WindowChange::Remove(self.pid));
    }
}

impl WindowSwitch {
    /// The switch, and where its changes come out.
    pub(super) fn new() -> (Self, Receiver<WindowChange>) {
        let (changes, told) = channel();
        (Self(changes), told)
    }

    /// Has windows opened on a process of the image that the kernel side knows by a number.
    pub(super) fn add(&self, pid: u32, path: &Path, number: u8, plan: &Plan) -> io::Result<InWindows> {
        let order = Order::new(pid, &sites(number, plan))?;
        let target = WindowTarget { pid, image: File::open(path)?, order };
        let _ = self.0.send(WindowChange::Add(Box::new(target)));
        Ok(InWindows { pid, changes: self.0.clone() })
    }
}

fn sites(number: u8, plan: &Plan) -> Vec<MultiSite> {
    let starts = plan.sites.iter().filter(|site| site.meaning == Meaning::Start);
    starts.map(|site| MultiSite::of(site, number, plan.unseen)).collect()
}

/// What was counted in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Starts, by function.
    pub starts: Vec<(FunctionId, Starts)>,
    /// Starts of functions beyond the table.
    pub beyond: u64,
}

/// A window that is open.
#[derive(Debug)]
#[must_use = "the window stays open until it is closed"]
pub struct Open {
    process: ProcessIndex,
    probes: Held,
    beyond: u64,
}

impl Open {
    /// Index of the process.
    pub fn process(&self) -> ProcessIndex {
        self.process
    }
}

impl Windows {
    /// With the maps `WINDOWS`, `WINDOW_STARTS` and `PROCESS_OF`, and the program for starts in windows, loaded for
    /// uprobe-multi links.
    ///
    /// # Errors
    /// If a map can't be mapped, or the processes that hold the probes can't be started.
    pub(super) fn new(
        table: Map,
        starts: Map,
        process_of: HashMap<MapData, u32, u32>,
        program: &OwnedFd,
    ) -> io::Result<Self> {
        let table = Mapped::new(table, PROCESSES)?;
        let starts = Mapped::new(starts, WINDOW_FUNCTIONS)?;
        Ok(Self { table, starts, process_of, holders: Holders::start(program)? })
    }

    /// Puts the probes in place; from then on starts count.
    ///
    /// # Errors
    /// As `bpf(2)` gives them; `ESRCH`: the process is gone, or not known to the kernel side.
    pub fn open(&mut self, target: &WindowTarget) -> io::Result<Open> {
        let unknown = |_| io::Error::from_raw_os_error(libc::ESRCH);
        let process = self.process_of.get(&target.pid, 0).map_err(unknown)?;
        self.set_probes(process, 1);
        let probes = self.holders.open(target.image.as_fd(), &target.order);
        let probes = probes.inspect_err(|_| self.set_probes(process, 0))?;
        let open = Open { process, probes, beyond: self.window(process).beyond };
        self.set_open(process, 1);
        Ok(open)
    }

    /// From here on starts do not count, and the probes go: when this returns they are hit no more.
    ///
    /// # Errors
    /// If the process that was to take them away is gone; then they went with it.
    pub fn close(&mut self, open: Open) -> io::Result<Counted> {
        self.set_open(open.process, 0);
        let closed = self.holders.close(open.probes);
        thread::sleep(TAIL);
        self.set_probes(open.process, 0);
        closed?;
        let beyond = self.window(open.process).beyond - open.beyond;
        Ok(Counted { starts: self.take_starts(), beyond })
    }

    /// Hits of a process so far, also outside of windows; 0: it is not known to the kernel side.
    pub fn hits(&self, target: &WindowTarget) -> u64 {
        self.process_of.get(&target.pid, 0).map_or(0, |process| self.window(process).hits)
    }

    fn window(&self, process: ProcessIndex) -> Window {
        self.table.get(process as usize)
    }

    fn set_open(&self, process: ProcessIndex, open: u64) {
        // SAFETY: within the mapping; the kernel side only reads this field.
        unsafe { ptr::write_volatile(&raw mut (*self.table.at(process as usize)).open, open) };
    }

    fn set_probes(&self, process: ProcessIndex, probes: u64) {
        // SAFETY: within the mapping; the kernel side only reads this field.
        unsafe { ptr::write_volatile(&raw mut (*self.table.at(process as usize)).probes, probes) };
    }

    /// What was counted, which is emptied.
    fn take_starts(&self) -> Vec<(FunctionId, Starts)> {
        let counted = |id: u32| {
            let entry = self.starts.at(id as usize);
            // SAFETY: within the mapping, any bytes are valid.
            unsafe {
                let starts = ptr::read_volatile(entry);
                if starts == Starts::default() {
                    return None;
                }
                ptr::write_volatile(entry, Starts::default());
                Some((id, starts))
            }
        };
        (1..WINDOW_FUNCTIONS).filter_map(counted).collect()
    }
}
