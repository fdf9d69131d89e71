//! What the kernel side is told of processes, threads and functions, and what it has counted of them.

use aya::maps::{MapError, PerCpuValues};
use tracer_common::{
    limits::{PROCESSES, THREADS},
    state::{Code, CodeKey, Interpreter, Process, Running, Thread, thread_state, total},
};

use super::{AttachError, Kernel, monotonic_ns};
use crate::{
    event::{ProcessIndex, Slot},
    filter::Automaton,
};

const BPF_NOEXIST: u64 = 1;
const BPF_EXIST: u64 = 2;
/// In numbers that the kernel side and we give: that they are ours.
const OURS: u32 = 1 << 31;

impl Kernel {
    /// Makes a process known, whose image is hooked: from here on its events are sent.
    ///
    /// # Errors
    /// If the table is full or a map operation fails.
    pub fn add_process(&mut self, pid: u32, image: u32, code_type: u64) -> Result<ProcessIndex, AttachError> {
        let index = self.new_process().ok_or(AttachError::Full("1023 processes"))?;
        self.spaces += 1;
        self.processes.set(index, Process { pid, number: OURS | self.spaces, ..Process::default() }, 0)?;
        if let Some(tables) = &mut self.aggregate {
            tables.open_process(index)?;
        }
        self.set_interpreter(index, image, code_type)?;
        if self.process_of.insert(pid, index, BPF_NOEXIST).is_err() {
            // With `--all` the kernel side may have taken it up a moment ago.
            self.free_processes.push(index, 0)?;
            let index = self.process_of.get(&pid, 0)?;
            self.set_interpreter(index, image, code_type)?;
            return Ok(index);
        }
        Ok(index)
    }

    /// Gives the threads that a process has already their slots, so that their off-CPU time is known from now on. Their
    /// own time counts from `opened_ns`. Returns slot and thread id of each.
    ///
    /// # Errors
    /// If a map operation fails. Threads for which no slot is left are passed over; the kernel side counts them.
    pub fn seed_threads(
        &mut self,
        pid: u32,
        process: ProcessIndex,
        opened_ns: u64,
    ) -> Result<Vec<(Slot, u32)>, AttachError> {
        let mut seeded = Vec::new();
        for tid in tids(pid) {
            let Some(slot) = self.new_thread() else { break };
            let thread = Thread { process, tid, state: thread_state::ANNOUNCED, ..Thread::default() };
            self.threads.seed(slot as Slot, thread);
            if let Some(tables) = &mut self.aggregate {
                tables.open(slot as Slot, opened_ns)?;
            }
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
        let unknown = vec![Running::default(); self.offsets.cpus as usize];
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

    /// State of a live thread; `None`: it has no slot.
    pub(super) fn thread(&self, tid: u32) -> Option<Thread> {
        let slot = self.tasks.get(&tid, 0).ok()?;
        Some(self.threads.get(slot as Slot))
    }

    /// Takes a live thread's slot away, after its process was removed.
    ///
    /// # Errors
    /// If a map operation fails.
    pub(super) fn forget_thread(&mut self, tid: u32) -> Result<(), AttachError> {
        if let Ok(slot) = self.tasks.get(&tid, 0) {
            self.tasks.remove(&tid)?;
            self.forget_current()?;
            self.take_stack(slot as Slot)?;
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

    /// Says what a process runs: when it is made known, after an exec, or when the kernel side has taken it up itself.
    /// What is known of code objects of its index no longer holds.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn set_interpreter(
        &mut self,
        process: ProcessIndex,
        image: u32,
        code_type: u64,
    ) -> Result<(), AttachError> {
        self.spaces += 1;
        self.interpreters.set(process, Interpreter { code_type, image, space: OURS | self.spaces }, 0)?;
        self.next_generation();
        Ok(())
    }

    /// One of the single numbers, see [`total`].
    pub fn total(&self, index: u32) -> u64 {
        self.totals.get(index)
    }

    /// Slots of all threads that are traced now.
    pub fn live_threads(&self) -> Vec<(Slot, Thread)> {
        let slots = self.tasks.iter().filter_map(Result::ok).map(|(_, slot)| slot as Slot);
        slots.map(|slot| (slot, self.threads.get(slot))).collect()
    }

    /// What a process runs, as the kernel side has it.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn interpreter(&self, process: ProcessIndex) -> Result<Interpreter, AttachError> {
        Ok(self.interpreters.get(&process, 0)?)
    }

    /// Takes the slots of those of a process's threads away that are `over`. They are to be handed out again
    /// ([`Kernel::free_thread`]) when all that was sent of them has been received.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn retire_threads(
        &mut self,
        process: ProcessIndex,
        over: impl Fn(&Thread) -> bool,
    ) -> Result<Vec<(Slot, Thread)>, AttachError> {
        let mut retired = self.live_threads();
        retired.retain(|(_, thread)| thread.process == process && over(thread));
        // One that ends right now takes its slot away by itself.
        retired.retain(|(_, thread)| self.tasks.remove(&thread.tid).is_ok());
        self.forget_current()?;
        Ok(retired)
    }

    /// Slots of threads that have ended, of which the kernel side could not tell; each is returned once.
    pub fn slots_left(&self) -> Vec<Slot> {
        self.threads.take_left()
    }

    /// State of a slot.
    pub fn thread_at(&self, slot: Slot) -> Thread {
        self.threads.get(slot)
    }

    /// Hands a slot out again.
    ///
    /// # Errors
    /// If the map operation fails.
    pub fn free_thread(&mut self, slot: Slot) -> Result<(), AttachError> {
        Ok(self.free_threads.push(u32::from(slot), 0)?)
    }

    /// Has the kernel side decide by itself on functions that no glob can match.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn set_globs(&mut self, automaton: &Automaton) -> Result<(), AttachError> {
        for (number, state) in automaton.states.iter().enumerate() {
            self.globs.set(number as u32, state, 0)?;
        }
        self.totals.set(total::GLOB_NAMES, u64::from(automaton.names));
        self.totals.set(total::GLOB_FILES, u64::from(automaton.files));
        Ok(())
    }

    /// Has the kernel side drop the events of functions that no glob matches.
    ///
    /// # Errors
    /// If a map operation fails.
    pub fn refuse_functions(&mut self, functions: &[(ProcessIndex, u64, u32)]) -> Result<(), AttachError> {
        for &(process, code, id) in functions {
            let Interpreter { space, .. } = self.interpreters.get(&process, 0)?;
            let key = CodeKey { code, process, space };
            // Only while the address is still this function's; if it was freed meanwhile there is nothing to refuse.
            if let Some(known) = self.codes.get(&key, 0).ok().filter(|known| known.id == id) {
                let _ = self.codes.insert(key, Code { unwanted: 1, ..known }, BPF_EXIST);
            }
        }
        self.next_generation();
        Ok(())
    }

    /// Makes all cached instructions invalid.
    fn next_generation(&self) {
        self.totals.count(total::GENERATION);
    }

    /// An index for a process, as the kernel side hands them out; `None`: none is left.
    fn new_process(&mut self) -> Option<u32> {
        let number = self.totals.count(total::NEW_PROCESSES) + 1;
        if number < u64::from(PROCESSES) { Some(number as u32) } else { self.free_processes.pop(0).ok() }
    }

    /// The same for a thread's slot.
    fn new_thread(&mut self) -> Option<u32> {
        let number = self.totals.count(total::NEW_THREADS) + 1;
        if number < u64::from(THREADS) { Some(number as u32) } else { self.free_threads.pop(0).ok() }
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
