//! The maps in which the kernel side adds calls up by itself.

use std::{io, ptr, thread, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, Queue},
};
use log::debug;
use tracer_common::{
    aggregate::{FunctionSums, ProcessSums, Stack, StackPage},
    limits::{FUNCTION_ROWS, PROCESSES, STACK_PAGE_FRAMES, STACK_PAGES, THREADS, WAITING_NAMES},
    record::{FunctionRecord, kind},
    state::total,
};

use super::{AttachError, Kernel, mapped::Mapped, maps::take};
use crate::{
    aggregate::{OpenStack, PAGE_BYTES},
    event::{FunctionId, ProcessIndex, Slot},
};

/// How much the kernel side has room for where it adds calls up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregateSizes {
    /// Functions with a row of their own.
    pub functions: u32,
    /// Pages for the stacks of threads.
    pub stack_pages: u32,
}

impl Default for AggregateSizes {
    fn default() -> Self {
        Self { functions: FUNCTION_ROWS, stack_pages: STACK_PAGES }
    }
}

/// A function's names that found no room in the ring buffer.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Name(FunctionRecord);

// SAFETY: repr(C), integers only, without implicit padding.
unsafe impl aya::Pod for Name {}

/// The maps.
pub(super) struct Tables {
    sizes: AggregateSizes,
    stacks: Mapped<Stack>,
    pages: Mapped<StackPage>,
    sums: Mapped<FunctionSums>,
    free_pages: Queue<MapData, u32>,
    processes: Array<MapData, ProcessSums>,
    names: Array<MapData, Name>,
    /// Waiting names that were fetched.
    fetched: u64,
    /// Functions up to this one are not of the recording.
    last_before: FunctionId,
}

/// Makes the maps as large as they have to be: as good as nothing where nothing is added up.
pub(super) fn size(loader: &mut EbpfLoader<'_>, sizes: Option<AggregateSizes>) {
    let (functions, pages, threads, names) = match sizes {
        Some(sizes) => (sizes.functions, sizes.stack_pages, THREADS, WAITING_NAMES),
        None => (1, 1, 1, 1),
    };
    let rows = if sizes.is_some() { functions + PROCESSES } else { 1 };
    loader
        .map_max_entries("STACKS", threads)
        .map_max_entries("STACK_PAGES", pages + 1)
        .map_max_entries("FREE_STACK_PAGES", pages)
        .map_max_entries("SUMS", rows)
        .map_max_entries("ROWS", functions)
        .map_max_entries("NAMES", names);
}

impl Tables {
    /// Takes the maps over.
    pub(super) fn new(ebpf: &mut Ebpf, sizes: AggregateSizes) -> Result<Self, AttachError> {
        let rows = sizes.functions + PROCESSES;
        Ok(Self {
            sizes,
            stacks: Mapped::new(take(ebpf, "STACKS"), THREADS).map_err(AttachError::Threads)?,
            pages: Mapped::new(take(ebpf, "STACK_PAGES"), sizes.stack_pages + 1)
                .map_err(AttachError::Threads)?,
            sums: Mapped::new(take(ebpf, "SUMS"), rows).map_err(AttachError::Threads)?,
            free_pages: Queue::try_from(take(ebpf, "FREE_STACK_PAGES"))?,
            processes: Array::try_from(take(ebpf, "PROCESS_SUMS"))?,
            names: Array::try_from(take(ebpf, "NAMES"))?,
            fetched: 0,
            last_before: 0,
        })
    }

    /// Empties the slot of a thread that nothing is known of. Its time counts from `opened_ns`.
    pub(super) fn open(&mut self, slot: Slot, opened_ns: u64) -> Result<(), AttachError> {
        self.take_stack(slot)?;
        let stack = self.stacks.at(usize::from(slot));
        // SAFETY: within the mapping; the kernel side does not know the slot yet.
        unsafe {
            ptr::write_volatile(&raw mut (*stack).now.wall_ns, opened_ns);
        }
        Ok(())
    }

    /// A new process has this index.
    pub(super) fn open_process(&mut self, process: ProcessIndex) -> Result<(), AttachError> {
        Ok(self.processes.set(process, ProcessSums::default(), 0)?)
    }

    /// Takes a stack over and leaves an empty one. The kernel side must be done with it.
    pub(super) fn take_stack(&mut self, slot: Slot) -> Result<OpenStack, AttachError> {
        self.wait_for(slot);
        let stack = self.stacks.get(usize::from(slot));
        let page_of =
            |at: u32| usize::from(stack.pages[(at / STACK_PAGE_FRAMES) as usize % stack.pages.len()]);
        let frame = |at: u32| self.pages.get(page_of(at)).frames[(at % STACK_PAGE_FRAMES) as usize];
        let frames = (0..stack.depth).map(frame).collect();
        // SAFETY: zeros are a valid `Stack`: integers only.
        let empty = unsafe { std::mem::zeroed::<Stack>() };
        // SAFETY: within the mapping; the kernel side is done with it.
        unsafe { ptr::write_volatile(self.stacks.at(usize::from(slot)), empty) };
        for page in stack.pages.into_iter().filter(|&page| page != 0) {
            self.free_pages.push(u32::from(page), 0)?;
        }
        Ok(OpenStack { stack, frames })
    }

    /// Waits until no program changes a stack. Programs take microseconds, but may be held up.
    fn wait_for(&self, slot: Slot) {
        const LONGEST: u32 = 1000;
        let stack = self.stacks.at(usize::from(slot));
        for _ in 0..LONGEST {
            // SAFETY: an aligned u32 within the mapping.
            if unsafe { ptr::read_volatile(&raw const (*stack).busy) } == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        debug!("thread slot {slot} is still being changed");
    }
}

impl Kernel {
    /// Are calls added up in the kernel?
    pub fn aggregates(&self) -> bool {
        self.aggregate.is_some()
    }

    /// Leaves out of the sums what there is so far.
    ///
    /// # Errors
    /// If a map can't be read.
    pub fn begin_aggregate(&mut self) -> Result<(), AttachError> {
        let functions = self.total(total::FUNCTIONS);
        if let Some(tables) = &mut self.aggregate {
            tables.last_before = functions as FunctionId;
        }
        Ok(())
    }

    /// Nothing of after this time is added up.
    pub fn end_aggregate(&mut self, last_ns: u64) {
        self.totals.set(total::LAST_NS, last_ns);
    }

    /// Waits until the kernel side changes no sums any more, which it then does not again.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn seal_aggregate(&mut self) -> Result<(), AttachError> {
        // What was begun before the end has this long to come to its own end.
        barrier();
        self.end_aggregate(0);
        // Whoever has not seen that by now has said that it is at work; see `take_stack`.
        barrier();
        Ok(())
    }

    /// Takes a thread's stack over, and leaves an empty one. `None`: there are none.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn take_stack(&mut self, slot: Slot) -> Result<Option<OpenStack>, AttachError> {
        self.aggregate.as_mut().map(|tables| tables.take_stack(slot)).transpose()
    }

    /// Change of memory by a thread from before its stack was known; `None`: nothing is added up.
    pub fn postponed_bytes(&self, slot: Slot) -> Option<i64> {
        let stack = self.aggregate.as_ref()?.stacks.at(usize::from(slot));
        // SAFETY: an aligned i64 within the mapping.
        Some(unsafe { ptr::read_volatile(&raw const (*stack).postponed_pages) }.saturating_mul(PAGE_BYTES))
    }

    /// Sums of a process.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn process_sums(&self, process: ProcessIndex) -> Result<Option<ProcessSums>, AttachError> {
        let tables = self.aggregate.as_ref();
        Ok(tables.map(|tables| tables.processes.get(&process, 0)).transpose()?)
    }

    /// Sums of all functions, with the process that each was first seen in.
    ///
    /// # Errors
    /// If a map can't be read.
    pub fn function_sums(&self) -> Result<Vec<(FunctionId, FunctionSums)>, AttachError> {
        let Some(tables) = &self.aggregate else { return Ok(Vec::new()) };
        let last = self.total(total::FUNCTIONS).min(u64::from(tables.sizes.functions) - 1) as FunctionId;
        let rows = tables.last_before + 1..=last;
        Ok(rows.map(|row| (row, tables.sums.get(row as usize))).collect())
    }

    /// Takes the sums of those functions of a process that came when there was no room for more. The index may stand for
    /// another process then.
    pub fn take_other_sums(&mut self, process: ProcessIndex) -> Option<(FunctionId, FunctionSums)> {
        let tables = self.aggregate.as_ref()?;
        let row = tables.sizes.functions + process;
        let sums = tables.sums.get(row as usize);
        // SAFETY: within the mapping; no thread of the process runs any more, or nothing is added up any more.
        unsafe { ptr::write_volatile(tables.sums.at(row as usize), FunctionSums::default()) };
        (sums != FunctionSums::default()).then_some((row, sums))
    }

    /// How many functions there is room for, and how many code objects were seen that would have needed more.
    ///
    /// # Errors
    /// If a map can't be read.
    pub fn functions_left_out(&self) -> Result<(u32, u64), AttachError> {
        let Some(tables) = &self.aggregate else { return Ok((0, 0)) };
        let room = tables.sizes.functions;
        Ok((room, (self.total(total::FUNCTIONS) + 1).saturating_sub(u64::from(room))))
    }

    /// Names that found no room in the ring buffer, each returned once; and how many found none here either.
    ///
    /// # Errors
    /// If a map can't be read.
    pub fn waiting_names(&mut self) -> Result<(Vec<FunctionRecord>, u64), AttachError> {
        let waiting = self.total(total::WAITING_NAMES);
        let Some(tables) = &mut self.aggregate else { return Ok((Vec::new(), 0)) };
        let mut names = Vec::new();
        while tables.fetched < waiting.min(u64::from(WAITING_NAMES)) {
            let Name(record) = tables.names.get(&(tables.fetched as u32), 0)?;
            if record.header.kind != kind::FUNCTION {
                // It is being written.
                break;
            }
            tables.fetched += 1;
            names.push(record);
        }
        Ok((names, waiting.saturating_sub(u64::from(WAITING_NAMES))))
    }

    /// Events of frames so far, of the threads that run.
    pub fn frame_events(&self) -> u64 {
        let Some(tables) = &self.aggregate else { return 0 };
        let events = |slot: usize| {
            // SAFETY: an aligned u64 within the mapping.
            unsafe { ptr::read_volatile(&raw const (*tables.stacks.at(slot)).counts.events) }
        };
        (1..THREADS as usize).map(events).sum()
    }
}

/// Returns when all programs that can't be interrupted have ended, and all CPUs see what was written before.
fn barrier() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers.
    let failed = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0;
    if failed {
        debug!("membarrier: {}", io::Error::last_os_error());
        // Far longer than a program takes.
        thread::sleep(Duration::from_millis(50));
    }
}
