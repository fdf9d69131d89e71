//! Loads the kernel programs: those on tracepoints start at once, those for uprobes wait for their sites.

use std::{io, os::fd::AsFd as _, path::Path, sync::mpsc::Receiver};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, Queue},
    programs::{BtfTracePoint, ProgramError, UProbe},
};
use aya_log::EbpfLogger;
use tracer_common::{site::Site, state::KernelOffsets};
use zerocopy::IntoBytes as _;

use super::{
    AttachError, Kernel, LoadOptions, aggregate,
    error::{program_error, refused},
    hooks::Images,
    maps::{duplicate, take},
    multi, namespace, offsets,
    rings::{RingSizes, rings},
    threads::ThreadTable,
    totals::Totals,
    uprobe::Target,
    windows::{WindowChange, WindowSwitch, Windows},
};
use crate::{btf::Btf, receive::Rings};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

const UPROBES: [&str; 6] = ["frame_start", "frame_end", "frame_yield", "frame_raise", "code_freed", "empty"];
pub(super) const TRACEPOINTS: [&str; 4] =
    ["sched_switch", "sched_wakeup_new", "sched_process_exec", "sched_process_exit"];
/// A program that wakes the loader up, and the tracepoint, on which it comes behind the program that is named so.
const WAKEUP: (&str, &str) = ("wake_after_exec", "sched_process_exec");
pub(super) const MEMORY_TRACEPOINTS: [&str; 3] = ["rss_stat", "page_fault_user", "page_fault_kernel"];

impl Kernel {
    /// Loads all programs and starts those on tracepoints.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn load(options: LoadOptions) -> Result<(Self, Rings), AttachError> {
        if OBJECT.is_empty() {
            return Err(AttachError::NoObject);
        }
        let btf = Btf::of_kernel()?;
        let namespace = namespace::of_this_process().map_err(AttachError::Namespace)?;
        let offsets = offsets::of_kernel(&btf, namespace).map_err(AttachError::Structure)?;
        let aya_btf = aya::Btf::from_sys_fs()?;
        let sizes = RingSizes::new(options.ring_bytes);
        let globals: Vec<_> = options.globals().into_iter().chain(sizes.globals()).collect();
        let mut loader = EbpfLoader::new();
        aggregate::size(&mut loader, options.aggregate);
        for (name, value) in &globals {
            loader.override_global(name, value, true);
        }
        let mut ebpf = loader
            .btf(Some(&aya_btf))
            // Of a program that is refused, why; no more, as a whole log is, of megabytes. None is written of others.
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("KERNEL", &offsets, true)
            .override_global(aya_log::LEVEL, &(options.log_level as u8), true)
            .map_max_entries("RING", sizes.shared_bytes)
            .map_max_entries("EVENT_SLOTS", sizes.slots())
            .map_max_entries("EVENT_POSITIONS", sizes.event_rings())
            .load(OBJECT)
            .map_err(refused)?;
        let mut multi =
            if options.hooks() { load_multi(&ebpf, &offsets, &globals, options.log_level) } else { None };
        if multi.is_none() && options.hooks() {
            load_perf(&mut ebpf)?;
        }
        let process_of = take(&mut ebpf, "PROCESS_OF");
        let (windows, opener) = if options.in_windows() {
            let programs = multi.as_mut().ok_or(AttachError::NoWindows)?;
            let (switch, opener) = windows(&mut ebpf, programs, &process_of).map_err(AttachError::Windows)?;
            (Some(switch), Some(opener))
        } else {
            (None, None)
        };
        let rings = rings(&ebpf, sizes).map_err(AttachError::Rings)?;
        let mut kernel = Self {
            threads: ThreadTable::new(take(&mut ebpf, "THREADS")).map_err(AttachError::Threads)?,
            processes: Array::try_from(take(&mut ebpf, "PROCESSES"))?,
            interpreters: Array::try_from(take(&mut ebpf, "INTERPRETERS"))?,
            spaces: 0,
            process_of: HashMap::try_from(process_of)?,
            tasks: HashMap::try_from(take(&mut ebpf, "TASKS"))?,
            mms: HashMap::try_from(take(&mut ebpf, "MMS"))?,
            current: PerCpuArray::try_from(take(&mut ebpf, "CURRENT"))?,
            free_threads: Queue::try_from(take(&mut ebpf, "FREE_THREADS"))?,
            free_processes: Queue::try_from(take(&mut ebpf, "FREE_PROCESSES"))?,
            sampled: Array::try_from(take(&mut ebpf, "SAMPLED"))?,
            python_threads: Array::try_from(take(&mut ebpf, "PYTHON_THREADS"))?,
            layouts: Array::try_from(take(&mut ebpf, "LAYOUTS"))?,
            codes: HashMap::try_from(take(&mut ebpf, "CODES"))?,
            globs: Array::try_from(take(&mut ebpf, "GLOBS"))?,
            totals: Totals::new(take(&mut ebpf, "TOTALS")).map_err(AttachError::Totals)?,
            aggregate: options.aggregate.map(|sizes| aggregate::Tables::new(&mut ebpf, sizes)).transpose()?,
            logger: EbpfLogger::init(&mut ebpf).ok(),
            ebpf,
            multi,
            windows,
            opener,
            offsets,
            images: Images::default(),
            timers: Vec::new(),
        };
        kernel.end_aggregate(u64::MAX);
        kernel.start_tracepoints(&aya_btf)?;
        Ok((kernel, rings))
    }

    /// Hooks by a perf event for each site from here on, also where the kernel has uprobe-multi links.
    ///
    /// # Errors
    /// If the kernel refuses the programs.
    pub fn use_perf_events(&mut self) -> Result<(), AttachError> {
        if self.multi.take().is_some() {
            load_perf(&mut self.ebpf)?;
        }
        Ok(())
    }

    fn start_tracepoints(&mut self, btf: &aya::Btf) -> Result<(), AttachError> {
        let memory: &[&'static str] = if self.follows_memory() { &MEMORY_TRACEPOINTS } else { &[] };
        let named_so = TRACEPOINTS.iter().chain(memory).map(|&name| (name, name));
        // Programs of a tracepoint run in the order in which they were attached.
        for (name, tracepoint) in named_so.chain([WAKEUP]) {
            let program: &mut BtfTracePoint = self
                .ebpf
                .program_mut(name)
                .ok_or(ProgramError::NotLoaded)
                .and_then(TryInto::try_into)
                .map_err(|source| program_error(name, source))?;
            program.load(tracepoint, btf).map_err(|source| program_error(name, source))?;
            program.attach().map_err(|source| program_error(name, source))?;
        }
        Ok(())
    }
}

/// What opens windows, and what tells it of processes.
fn windows(
    ebpf: &mut Ebpf,
    programs: &mut multi::Programs,
    process_of: &Map,
) -> io::Result<(WindowSwitch, (Windows, Receiver<WindowChange>))> {
    // For any kind of site: this program asks for the cookie.
    let program = programs.get("window_start", Site(0))?;
    let process_of = duplicate(process_of).unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()))?;
    let process_of = MapData::from_fd(process_of).and_then(|data| HashMap::try_from(Map::HashMap(data)));
    let windows = Windows::new(
        take(ebpf, "WINDOWS"),
        take(ebpf, "WINDOW_STARTS"),
        process_of.map_err(io::Error::other)?,
        program,
    )?;
    let (switch, changes) = WindowSwitch::new();
    Ok((switch, (windows, changes)))
}

/// Loads the programs for perf events.
fn load_perf(ebpf: &mut Ebpf) -> Result<(), AttachError> {
    for name in UPROBES {
        uprobe(ebpf, name).load().map_err(|source| program_error(name, source))?;
    }
    Ok(())
}

/// The programs for uprobe-multi links; `None` where the kernel has no such links.
fn load_multi(
    ebpf: &Ebpf,
    offsets: &KernelOffsets,
    globals: &[(&'static str, u32)],
    log_level: log::LevelFilter,
) -> Option<multi::Programs> {
    let mut all = vec![("KERNEL", offsets.as_bytes().to_vec()), (aya_log::LEVEL, vec![log_level as u8])];
    all.extend(globals.iter().map(|&(name, value)| (name, value.to_ne_bytes().to_vec())));
    let maps: io::Result<_> = ebpf
        .maps()
        .filter_map(|(name, map)| Some(duplicate(map)?.map(|map| (name.to_owned(), map))))
        .collect();
    let programs = maps.and_then(|maps| multi::Programs::of(OBJECT, &all, maps)).and_then(|mut programs| {
        // The kernel checks the file last: without links of this kind the answer is another one.
        let site = multi::MultiSite { offset: 0, semaphore: 0, cookie: 0 };
        let empty = programs.get("empty", Site(0))?;
        match multi::link(empty.as_fd(), Path::new("/"), &[site], Target::All) {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(programs),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::other("a folder was hooked")),
        }
    });
    programs.map_err(|error| log::debug!("no uprobe-multi links: {error}")).ok()
}

/// A program for perf events.
#[expect(
    clippy::expect_used,
    reason = "the object is part of this binary: a missing program is a build error"
)]
pub(super) fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut UProbe {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).expect("a program of our own object")
}
