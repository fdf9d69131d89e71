//! Sampling: a timer on each CPU, and what the kernel side has to know of interpreters and threads to read stacks.

use aya::{
    programs::{
        PerfEvent, ProgramError,
        perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent},
    },
    util::online_cpus,
};
use tracer_common::sample::{PythonThread, SampledProcess};

use super::{AttachError, Kernel, error::program_error};
use crate::event::{ProcessIndex, Slot};

const PROGRAM: &str = "sample";

impl Kernel {
    /// Starts a timer on each CPU, so many times a second.
    ///
    /// # Errors
    /// If the kernel refuses the program or a timer.
    pub fn start_sampling(&mut self, rate: u32) -> Result<(), AttachError> {
        self.start_timers(rate).map_err(|source| program_error(PROGRAM, source))
    }

    fn start_timers(&mut self, rate: u32) -> Result<(), ProgramError> {
        let program = self.ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?;
        let program: &mut PerfEvent = program.try_into()?;
        program.load()?;
        let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
        let period = SamplePolicy::Period(1_000_000_000 / u64::from(rate.max(1)));
        for cpu in online_cpus().map_err(|(_, source)| ProgramError::IOError(source))? {
            program.attach(clock, PerfEventScope::AllProcessesOneCpu { cpu }, period, false)?;
        }
        Ok(())
    }

    /// Says where a process's interpreter keeps its frames.
    ///
    /// # Errors
    /// If the map operation fails.
    pub fn set_sampled(&mut self, process: ProcessIndex, sampled: SampledProcess) -> Result<(), AttachError> {
        Ok(self.sampled.set(process, sampled, 0)?)
    }

    /// Says what thread state the thread in a slot has.
    ///
    /// # Errors
    /// If the map operation fails.
    pub fn set_python_thread(&mut self, slot: Slot, thread: PythonThread) -> Result<(), AttachError> {
        Ok(self.python_threads.set(u32::from(slot), thread, 0)?)
    }
}
