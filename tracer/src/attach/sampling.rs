//! Sampling: a timer on each CPU, and what the kernel side has to know of interpreters and threads to read stacks.

use std::os::fd::AsFd as _;

use aya::{
    programs::{self, ProgramError},
    util::online_cpus,
};
use log::debug;
use tracer_common::sample::{PythonThread, SampledProcess};

use super::{
    AttachError, Kernel,
    error::program_error,
    perf_event::{Cause, PerfEvent, Scope},
};
use crate::event::{ProcessIndex, Slot};

const PROGRAM: &str = "sample";

impl Kernel {
    /// Starts a timer on each CPU.
    ///
    /// # Errors
    /// If the kernel refuses the program or a timer.
    pub fn start_sampling(&mut self, period_ns: u64) -> Result<(), AttachError> {
        self.start_timers(period_ns).map_err(|source| program_error(PROGRAM, source))
    }

    fn start_timers(&mut self, period_ns: u64) -> Result<(), ProgramError> {
        let program = self.ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?;
        let program: &mut programs::PerfEvent = program.try_into()?;
        program.load()?;
        let program = program.fd()?.as_fd();
        for cpu in online_cpus().map_err(|(_, source)| ProgramError::IOError(source))? {
            let timer = PerfEvent::start(program, Scope::Cpu(cpu), Cause::Timer { period_ns }, 0);
            self.timers.push(timer.map_err(ProgramError::IOError)?);
        }
        Ok(())
    }

    /// Gives the timers another period, which begins now.
    pub fn set_sampling_period(&self, period_ns: u64) {
        for timer in &self.timers {
            if let Err(error) = timer.set_period(period_ns) {
                debug!("a timer keeps its period: {error}");
            }
        }
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
