//! Loads the kernel programs, puts them where a plan says, and tells them which processes to follow.
//!
//! All probes of an image are in place before a process of it is made known to the kernel side, so that no thread is
//! followed with half of its probes.

pub mod calibrate;
mod multi;
mod offsets;
pub mod threads;
pub mod uprobe;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, PerCpuValues, Queue, RingBuf},
    programs::{BtfTracePoint, ProgramError, UProbe},
};
use aya_log::EbpfLogger;
use thiserror::Error;
use tracer_common::{
    layout::Layout,
    limits::{IMAGES, PROCESSES, RING_BYTES, THREADS},
    site::Site,
    state::{Code, CodeKey, KernelOffsets, Process, Thread, thread_state, total},
};

use crate::{
    btf::{Btf, BtfError},
    event::{ProcessIndex, Slot},
    python::plan::{Meaning, Plan, ProbeSite},
};
use threads::ThreadTable;
use uprobe::{Target, Uprobe, UprobeSpec};
use zerocopy::IntoBytes as _;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

const UPROBES: [&str; 6] = ["frame_start", "frame_end", "frame_yield", "frame_raise", "code_freed", "empty"];
const TRACEPOINTS: [&str; 4] =
    ["sched_switch", "sched_process_fork", "sched_process_exec", "sched_process_exit"];
const MEMORY_TRACEPOINTS: [&str; 3] = ["rss_stat", "page_fault_user", "page_fault_kernel"];

const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;

/// Why probes can't be put in place.
#[derive(Debug, Error)]
pub enum AttachError {
    /// No kernel object in this build.
    #[error(
        "this pytracer was built without its kernel programs (PYTRACER_SKIP_BPF): build it again without that"
    )]
    NoObject,
    /// No BTF.
    #[error(
        "can't read the kernel's type information: {0}; the kernel must be built with CONFIG_DEBUG_INFO_BTF"
    )]
    Btf(#[from] BtfError),
    /// Also no BTF, by aya's own reader.
    #[error(
        "can't read the kernel's type information: {0}; the kernel must be built with CONFIG_DEBUG_INFO_BTF"
    )]
    AyaBtf(#[from] aya::BtfError),
    /// A kernel whose structures we don't know.
    #[error("this kernel has no {0}: `pytracer doctor` lists what is needed")]
    Structure(String),
    /// Not allowed.
    #[error(
        "not allowed to load kernel programs ({0}): run pytracer as root, or give it CAP_BPF and CAP_PERFMON (setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep FILE)"
    )]
    Privilege(String),
    /// The kernel refused the object.
    #[error("the kernel refused the programs: {0}; `pytracer doctor` lists what is needed")]
    Load(#[from] aya::EbpfError),
    /// The kernel refused a program.
    #[error("the kernel refused the program {name}: {source}; `pytracer doctor` lists what is needed")]
    Program {
        /// Its name.
        name: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// A map operation failed.
    #[error("kernel map: {0}")]
    Map(#[from] MapError),
    /// Mapping the thread slots failed.
    #[error("can't map the thread slots: {0}")]
    Threads(io::Error),
    /// A probe could not be placed.
    #[error("can't hook {what} in {path} at {address:#x}: {source}{hint}")]
    Site {
        /// The site's name.
        what: String,
        /// Interpreter file.
        path: PathBuf,
        /// Virtual address.
        address: u64,
        /// The kernel's answer.
        source: io::Error,
        /// What may help.
        hint: &'static str,
    },
    /// A table of the kernel side is full.
    #[error("more than {0} at once are not supported")]
    Full(&'static str),
}

/// What to load.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Size of the ring buffer in bytes, a power of two of at least a page.
    pub ring_bytes: u32,
    /// Trace every process of a hooked image.
    pub all: bool,
    /// Function globs are given: the kernel side checks each function.
    pub filtering: bool,
    /// What the kernel programs log.
    pub log_level: log::LevelFilter,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { ring_bytes: RING_BYTES, all: false, filtering: false, log_level: log::LevelFilter::Off }
    }
}

/// Probes in place for one image and target. Dropping takes them away.
#[derive(Debug)]
pub struct Hooks {
    /// Index of the image.
    pub image: u32,
    probes: Vec<Probe>,
}

/// A probe in place; dropping it takes it away.
#[derive(Debug)]
enum Probe {
    /// One site.
    Perf { _event: Uprobe },
    /// All sites of one meaning.
    Multi { _link: OwnedFd },
}

impl Hooks {
    /// Takes all probes away at once: one after the other each would wait for its own grace period in the kernel.
    pub fn detach(self) {
        std::thread::scope(|scope| {
            for probe in self.probes {
                scope.spawn(move || drop(probe));
            }
        });
    }
}

/// The loaded kernel side.
pub struct Kernel {
    ebpf: Ebpf,
    /// Programs for uprobe-multi links, where the kernel has those.
    multi: Option<multi::Programs>,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    threads: ThreadTable,
    processes: Array<MapData, Process>,
    process_of: HashMap<MapData, u32, u32>,
    tasks: HashMap<MapData, u32, u32>,
    mms: HashMap<MapData, u64, u32>,
    current: PerCpuArray<MapData, u32>,
    free_threads: Queue<MapData, u32>,
    free_processes: Queue<MapData, u32>,
    layouts: Array<MapData, Layout>,
    codes: HashMap<MapData, CodeKey, Code>,
    totals: Array<MapData, u64>,
    offsets: KernelOffsets,
    images: u32,
}

impl Kernel {
    /// Loads all programs and starts those on tracepoints.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn load(options: LoadOptions) -> Result<(Self, RingBuf<MapData>), AttachError> {
        if OBJECT.is_empty() {
            return Err(AttachError::NoObject);
        }
        let btf = Btf::of_kernel()?;
        let offsets = offsets::of_kernel(&btf).map_err(AttachError::Structure)?;
        let aya_btf = aya::Btf::from_sys_fs()?;
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&aya_btf))
            .verifier_log_level(VerifierLogLevel::DEBUG)
            .override_global("KERNEL", &offsets, true)
            .override_global("ALL", &u32::from(options.all), true)
            .override_global("FILTERING", &u32::from(options.filtering), true)
            .override_global(aya_log::LEVEL, &(options.log_level as u8), true)
            .map_max_entries("RING", options.ring_bytes)
            .load(OBJECT)
            .map_err(refused)?;
        let multi = load_multi(&ebpf, &offsets, options);
        if multi.is_none() {
            for name in UPROBES {
                uprobe(&mut ebpf, name).load().map_err(|source| program_error(name, source))?;
            }
        }
        let ring = RingBuf::try_from(take(&mut ebpf, "RING"))?;
        let threads = take(&mut ebpf, "THREADS");
        let mut kernel = Self {
            threads: ThreadTable::map(map_data(&threads)?.fd().as_fd()).map_err(AttachError::Threads)?,
            processes: Array::try_from(take(&mut ebpf, "PROCESSES"))?,
            process_of: HashMap::try_from(take(&mut ebpf, "PROCESS_OF"))?,
            tasks: HashMap::try_from(take(&mut ebpf, "TASKS"))?,
            mms: HashMap::try_from(take(&mut ebpf, "MMS"))?,
            current: PerCpuArray::try_from(take(&mut ebpf, "CURRENT"))?,
            free_threads: Queue::try_from(take(&mut ebpf, "FREE_THREADS"))?,
            free_processes: Queue::try_from(take(&mut ebpf, "FREE_PROCESSES"))?,
            layouts: Array::try_from(take(&mut ebpf, "LAYOUTS"))?,
            codes: HashMap::try_from(take(&mut ebpf, "CODES"))?,
            totals: Array::try_from(take(&mut ebpf, "TOTALS"))?,
            logger: EbpfLogger::init(&mut ebpf).ok(),
            ebpf,
            multi,
            offsets,
            images: 0,
        };
        for slot in 1..THREADS {
            kernel.free_threads.push(slot, 0)?;
        }
        for process in 1..PROCESSES {
            kernel.free_processes.push(process, 0)?;
        }
        kernel.start_tracepoints(&aya_btf)?;
        Ok((kernel, ring))
    }

    fn start_tracepoints(&mut self, btf: &aya::Btf) -> Result<(), AttachError> {
        let memory: &[&'static str] = if self.follows_memory() { &MEMORY_TRACEPOINTS } else { &[] };
        for &name in TRACEPOINTS.iter().chain(memory) {
            let program: &mut BtfTracePoint = self
                .ebpf
                .program_mut(name)
                .ok_or(ProgramError::NotLoaded)
                .and_then(TryInto::try_into)
                .map_err(|source| program_error(name, source))?;
            program.load(name, btf).map_err(|source| program_error(name, source))?;
            program.attach().map_err(|source| program_error(name, source))?;
        }
        Ok(())
    }

    /// Passes on what the kernel programs have logged.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Does this kernel let us follow resident memory?
    pub fn follows_memory(&self) -> bool {
        self.offsets.mm_rss_stat != 0
    }

    /// Hooks every site of a plan.
    ///
    /// # Errors
    /// [`AttachError::Site`] for the first one that can't be hooked; those hooked before are taken away.
    pub fn hook(&mut self, path: &Path, plan: &Plan, target: Target) -> Result<Hooks, AttachError> {
        let image = self.images;
        if image >= IMAGES {
            return Err(AttachError::Full("256 interpreter files"));
        }
        self.images += 1;
        self.layouts.set(image, plan.layout, 0)?;
        let probes = match &self.multi {
            Some(programs) => hook_multi(programs, path, plan, image as u8, target)?,
            None => self.hook_perf(path, plan, image as u8, target)?,
        };
        let ready = Layout { ready: 1, ..plan.layout };
        self.layouts.set(image, ready, 0)?;
        Ok(Hooks { image, probes })
    }

    fn hook_perf(
        &mut self,
        path: &Path,
        plan: &Plan,
        image: u8,
        target: Target,
    ) -> Result<Vec<Probe>, AttachError> {
        plan.sites
            .iter()
            .map(|site| {
                let program = uprobe(&mut self.ebpf, program_of(site.meaning)).fd().map_err(io::Error::other);
                program
                    .and_then(|program| Uprobe::attach(program.as_fd(), spec(path, site, image, target)))
                    .map(|event| Probe::Perf { _event: event })
                    .map_err(|source| site_error(path, site, source))
            })
            .collect()
    }

    /// Puts the empty program on a site, by a perf event: what the bare trap costs.
    ///
    /// # Errors
    /// As [`Uprobe::attach`].
    pub fn hook_empty(&mut self, path: &Path, site: &ProbeSite, target: Target) -> io::Result<Uprobe> {
        let program = uprobe(&mut self.ebpf, "empty");
        if program.fd().is_err() {
            program.load().map_err(io::Error::other)?;
        }
        Uprobe::attach(program.fd().map_err(io::Error::other)?.as_fd(), spec(path, site, 0, target))
    }

    /// Makes a process known, whose image is hooked: from here on its events are sent.
    ///
    /// # Errors
    /// If the table is full or a map operation fails.
    pub fn add_process(&mut self, pid: u32, image: u32, code_type: u64) -> Result<ProcessIndex, AttachError> {
        let index = self.free_processes.pop(0).map_err(|_| AttachError::Full("1023 processes"))?;
        self.processes.set(index, Process { pid, image, code_type, ..Process::default() }, 0)?;
        if self.process_of.insert(pid, index, BPF_NOEXIST).is_err() {
            // With `--all` the kernel side may have taken it up a moment ago.
            self.free_processes.push(index, 0)?;
            let index = self.process_of.get(&pid, 0)?;
            self.set_code_type(index, code_type)?;
            return Ok(index);
        }
        Ok(index)
    }

    /// Gives the threads that a process has already their slots, so that their off-CPU time is known from now on.
    /// Returns slot and thread id of each.
    ///
    /// # Errors
    /// If a map operation fails. Threads for which no slot is left are passed over; the kernel side counts them.
    pub fn seed_threads(&mut self, pid: u32, process: ProcessIndex) -> Result<Vec<(Slot, u32)>, AttachError> {
        let mut seeded = Vec::new();
        for tid in tids(pid) {
            let Ok(slot) = self.free_threads.pop(0) else { break };
            let thread = Thread { process, tid, state: thread_state::ANNOUNCED, ..Thread::default() };
            self.threads.seed(slot as Slot, thread);
            // The kernel side may have made a slot for this thread a moment ago: then that one counts.
            if self.tasks.insert(tid, slot, BPF_NOEXIST).is_err() {
                self.free_threads.push(slot, 0)?;
                continue;
            }
            seeded.push((slot as Slot, tid));
        }
        self.forget_current()?;
        for &(slot, tid) in &seeded {
            if is_sleeping(pid, tid) {
                self.threads.set_switched_out(slot, monotonic_ns());
            }
        }
        Ok(seeded)
    }

    /// Has every CPU look up anew which thread runs on it.
    fn forget_current(&mut self) -> Result<(), AttachError> {
        let unknown = vec![0u32; self.offsets.cpus as usize];
        self.current.set(0, PerCpuValues::try_from(unknown).map_err(MapError::from)?, 0)?;
        Ok(())
    }

    /// Forgets a process that has ended. The index may be used again.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn remove_process(&mut self, pid: u32, process: ProcessIndex) -> Result<(), AttachError> {
        if self.process_of.get(&pid, 0).is_ok_and(|index| index == process) {
            self.process_of.remove(&pid)?;
        }
        let mm = self.process(process)?.mm;
        if self.mms.get(&mm, 0).is_ok_and(|index| index == process) {
            self.mms.remove(&mm)?;
        }
        self.free_processes.push(process, 0)?;
        Ok(())
    }

    /// Takes a live thread's slot away, after its process was removed.
    ///
    /// # Errors
    /// If a map operation fails.
    fn forget_thread(&mut self, tid: u32) -> Result<(), AttachError> {
        if let Ok(slot) = self.tasks.get(&tid, 0) {
            self.tasks.remove(&tid)?;
            self.forget_current()?;
            self.free_threads.push(slot, 0)?;
        }
        Ok(())
    }

    /// State of a process as the kernel side has it.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn process(&self, process: ProcessIndex) -> Result<Process, AttachError> {
        Ok(self.processes.get(&process, 0)?)
    }

    /// Follows a process into another image, after an exec.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn set_image(&mut self, process: ProcessIndex, image: u32) -> Result<(), AttachError> {
        let mut entry = self.process(process)?;
        entry.image = image;
        self.processes.set(process, entry, 0)?;
        Ok(())
    }

    /// Fills in what the kernel side could not know of a process that it took up itself, or that called exec.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn set_code_type(&mut self, process: ProcessIndex, code_type: u64) -> Result<(), AttachError> {
        let mut entry = self.process(process)?;
        entry.code_type = code_type;
        self.processes.set(process, entry, 0)?;
        Ok(())
    }

    /// Slots of all threads that are traced now.
    pub fn live_threads(&self) -> Vec<(Slot, Thread)> {
        let slots = self.tasks.iter().filter_map(Result::ok).map(|(_, slot)| slot as Slot);
        slots.map(|slot| (slot, self.threads.get(slot))).collect()
    }

    /// A copy of a thread slot.
    pub fn thread(&self, slot: Slot) -> Thread {
        self.threads.get(slot)
    }

    /// Hands a slot out again.
    ///
    /// # Errors
    /// If the map operation fails.
    pub fn free_thread(&mut self, slot: Slot) -> Result<(), AttachError> {
        Ok(self.free_threads.push(u32::from(slot), 0)?)
    }

    /// Has the kernel side drop the events of functions that no glob matches.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn refuse_functions(&mut self, functions: &[(ProcessIndex, u64, u32)]) -> Result<(), AttachError> {
        for &(process, code, id) in functions {
            let key = CodeKey { code, process, pad: 0 };
            // Only while the address is still this function's; if it was freed meanwhile there is nothing to refuse.
            if self.codes.get(&key, 0).is_ok_and(|known| known.id == id) {
                let _ = self.codes.insert(key, Code { id, unwanted: 1 }, BPF_EXIST);
            }
        }
        let generation = self.totals.get(&total::LOADER_GENERATION, 0)?;
        self.totals.set(total::LOADER_GENERATION, generation + 1, 0)?;
        Ok(())
    }

    /// One of the kernel side's single numbers ([`total`]).
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn total(&self, index: u32) -> Result<u64, AttachError> {
        Ok(self.totals.get(&index, 0)?)
    }
}

/// The programs for uprobe-multi links; `None` where the kernel has no such links.
fn load_multi(ebpf: &Ebpf, offsets: &KernelOffsets, options: LoadOptions) -> Option<multi::Programs> {
    let bytes = |value: u32| value.to_ne_bytes().to_vec();
    let globals = [
        ("KERNEL", offsets.as_bytes().to_vec()),
        ("ALL", bytes(u32::from(options.all))),
        ("FILTERING", bytes(u32::from(options.filtering))),
        (aya_log::LEVEL, vec![options.log_level as u8]),
    ];
    let maps = ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), raw_fd(map)?))).collect();
    let programs = multi::load(OBJECT, &globals, &maps, &UPROBES).and_then(|programs| {
        // The kernel checks the file last: without links of this kind the answer is another one.
        let site = multi::MultiSite { offset: 0, semaphore: 0, cookie: 0 };
        match multi::link(programs["empty"].as_fd(), Path::new("/"), &[site], Target::All) {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(programs),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::other("a folder was hooked")),
        }
    });
    programs.map_err(|error| log::debug!("no uprobe-multi links: {error}")).ok()
}

/// One link for all sites of a meaning. Those where frames start come last: none is followed by half of its probes.
fn hook_multi(
    programs: &multi::Programs,
    path: &Path,
    plan: &Plan,
    image: u8,
    target: Target,
) -> Result<Vec<Probe>, AttachError> {
    let mut by_program: BTreeMap<&'static str, Vec<&ProbeSite>> = BTreeMap::new();
    for site in &plan.sites {
        by_program.entry(program_of(site.meaning)).or_default().push(site);
    }
    by_program
        .into_iter()
        .map(|(name, sites)| {
            let specs: Vec<_> = sites
                .iter()
                .map(|site| multi::MultiSite {
                    offset: site.file_offset,
                    semaphore: site.semaphore_offset.unwrap_or(0),
                    cookie: cookie(site, image),
                })
                .collect();
            multi::link(programs[name].as_fd(), path, &specs, target)
                .map(|link| Probe::Multi { _link: link })
                .map_err(|source| site_error(path, sites[0], source))
        })
        .collect()
}

fn cookie(site: &ProbeSite, image: u8) -> u64 {
    Site::new(image, site.frame, site.instruction, site.opcodes).0
}

fn spec<'a>(path: &'a Path, site: &ProbeSite, image: u8, target: Target) -> UprobeSpec<'a> {
    let (offset, semaphore) = (site.file_offset, site.semaphore_offset);
    UprobeSpec { path, offset, semaphore, target, cookie: cookie(site, image) }
}

fn site_error(path: &Path, site: &ProbeSite, source: io::Error) -> AttachError {
    let hint = site_hint(&source);
    AttachError::Site { what: site.what.clone(), path: path.into(), address: site.address, source, hint }
}

fn program_of(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Start => "frame_start",
        Meaning::End => "frame_end",
        Meaning::Yield => "frame_yield",
        Meaning::Raise => "frame_raise",
        Meaning::CodeFreed => "code_freed",
    }
}

#[expect(
    clippy::expect_used,
    reason = "the object is part of this binary: a missing program is a build error"
)]
fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut UProbe {
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).expect("a program of our own object")
}

#[expect(clippy::expect_used, reason = "the object is part of this binary: a missing map is a build error")]
fn take(ebpf: &mut Ebpf, name: &str) -> aya::maps::Map {
    ebpf.take_map(name).expect("a map of our own object")
}

fn map_data(map: &aya::maps::Map) -> Result<&MapData, MapError> {
    match map {
        aya::maps::Map::Array(data) => Ok(data),
        _ => Err(MapError::InvalidMapType { map_type: 0 }),
    }
}

fn raw_fd(map: &aya::maps::Map) -> Option<RawFd> {
    use aya::maps::Map;
    let data = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::Queue(data)
        | Map::RingBuf(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd().as_raw_fd())
}

fn refused(error: aya::EbpfError) -> AttachError {
    if is_permission(&error) { AttachError::Privilege(innermost(&error)) } else { AttachError::Load(error) }
}

fn program_error(name: &'static str, source: ProgramError) -> AttachError {
    if is_permission(&source) {
        AttachError::Privilege(innermost(&source))
    } else {
        AttachError::Program { name, source }
    }
}

/// `EPERM` is a missing privilege; `EACCES` is how the verifier refuses a program.
fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.raw_os_error() == Some(libc::EPERM))
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn site_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            "; run pytracer as root, or give it CAP_PERFMON (before Linux 6.6: CAP_SYS_ADMIN)"
        }
        Some(libc::ESRCH) => "; the process is gone",
        Some(libc::EINVAL) => "; another tracer may hold the same address, see `dmesg`",
        _ => "",
    }
}

fn tids(pid: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn is_sleeping(pid: u32, tid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
    // The state follows the command name, which is in parentheses and may hold any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('R'))
}

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of all records.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives until the call returns.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sites of a plan by meaning, for people.
pub fn count_by_meaning(plan: &Plan) -> BTreeMap<Meaning, usize> {
    plan.sites.iter().fold(BTreeMap::new(), |mut counts, site| {
        *counts.entry(site.meaning).or_default() += 1;
        counts
    })
}
