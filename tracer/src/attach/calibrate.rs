//! What one probe hit costs on this machine, and how much of it lies on which side of the clock reading: measured before
//! the recording, on a function of our own, with the programs that the recording uses.

use std::{
    arch::global_asm,
    fs, hint, io,
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use log::debug;
use tracer_common::{
    aggregate::FunctionSums,
    layout::Layout,
    site::{Form, Register, Unseen},
};

use super::{
    AttachError, Hooks, Kernel,
    uprobe::Target,
    windows::{WindowChange, Windows},
};
use crate::correction::Calibration;
use crate::event::{Event, FrameEvent, FunctionId};
use crate::python::{
    plan::{Meaning, Plan, ProbeSite, Source, Version},
    version::FoundBy,
};

// Two hooked instructions, each of a kind that the kernel emulates.
global_asm!(
    ".globl pytracer_calibration_call",
    ".p2align 4",
    "pytracer_calibration_call:",
    "nop",
    "nop",
    "ret",
);

unsafe extern "C" {
    /// Takes a frame in rdi and an instruction in rsi, as the two probes expect, and does nothing with them.
    fn pytracer_calibration_call(frame: *const u64, instruction: *const u8);
}

/// A frame and the code object and RESUME instruction that it points to, as far as the programs look at them.
#[repr(C)]
struct FakeFrame {
    code: u64,
    previous: u64,
    fields: [u64; 8],
    instruction: [u8; 2],
}

const CALLS: u32 = 400;
const ROUNDS: u32 = 5;

/// Nanoseconds that one hit adds to the traced thread: the trap and the program, START and END averaged.
///
/// On real programs a hit costs 5-18 % more than in this loop: code after a trap runs slower.
///
/// # Errors
/// If our own function can't be hooked.
pub fn hit_cost_ns(kernel: &mut Kernel) -> Result<u64, AttachError> {
    if let Some(cost) = cost(kernel)? {
        return Ok(cost);
    }
    // Linux 6.6 to 6.9 have links of one process see its first thread only.
    debug!("uprobe-multi links do not see every thread of a process here: perf events instead");
    kernel.use_perf_events()?;
    Ok(cost(kernel)?.unwrap_or(0))
}

/// The same for a start in a window.
///
/// # Errors
/// If our own function can't be hooked, or only some of a process's threads can be.
pub fn window_hit_cost_ns(
    kernel: &mut Kernel,
    windows: &mut Windows,
    changes: &Receiver<WindowChange>,
) -> Result<u64, AttachError> {
    let hooks = hook(kernel)?;
    let mut answer = Err(AttachError::NoWindows);
    if let Ok(WindowChange::Add(target)) = changes.try_recv() {
        let traced = measure(kernel, &hooks, || {
            let open = windows.open(&target)?;
            let traced = fastest();
            windows.close(open).map(|_| traced)
        })?;
        answer = match traced {
            Some(traced) => Ok(per_hit(traced.map_err(AttachError::Windows)?, 1)),
            None => Err(AttachError::NoWindows),
        };
    }
    drop(hooks);
    // That windows are not opened on us any more.
    let _ = changes.try_recv();
    answer
}

/// How a call's two hits are divided by their readings of the clock, from the events that [`hit_cost_ns`] has caused;
/// `None`: there are none. Medians, so that what interrupts the loop does not matter.
pub fn calibration(events: impl Iterator<Item = Event>) -> Option<Calibration> {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let mut last: Option<(u64, bool)> = None;
    for event in events {
        let Event::Frame { time_ns, what, .. } = event else { continue };
        let starts = match what {
            FrameEvent::Start { .. } => true,
            FrameEvent::End => false,
            _ => continue,
        };
        match last {
            Some((since_ns, true)) if !starts => inside.push(time_ns.saturating_sub(since_ns)),
            Some((since_ns, false)) if starts => outside.push(time_ns.saturating_sub(since_ns)),
            _ => {}
        }
        last = Some((time_ns, starts));
    }
    Some(Calibration { inside_ns: median(inside)?, outside_ns: median(outside)? })
}

/// The same where the kernel side adds calls up, from its sums and what a hit takes. Of processor time, so that whoever
/// else runs on the machine does not matter.
pub fn calibration_of_sums(sums: &[(FunctionId, FunctionSums)], hit_cost_ns: u64) -> Option<Calibration> {
    let calls: u64 = sums.iter().map(|(_, sums)| sums.calls).sum();
    let own = sums.iter().map(|(_, sums)| sums.own.wall_ns.saturating_sub(sums.own.off_cpu_ns));
    let inside_ns = own.sum::<u64>().checked_div(calls)?;
    Some(Calibration { inside_ns, outside_ns: (2 * hit_cost_ns).saturating_sub(inside_ns) })
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// `None`: the hits were not seen.
fn cost(kernel: &mut Kernel) -> Result<Option<u64>, AttachError> {
    let hooks = hook(kernel)?;
    Ok(measure(kernel, &hooks, fastest)?.map(|traced| per_hit(traced, 2)))
}

/// What the loop itself takes, two nanoseconds a call, is left in.
fn per_hit(traced: Duration, hits_per_call: u32) -> u64 {
    (traced.as_nanos() / u128::from(CALLS * hits_per_call)) as u64
}

/// Hooks our own function.
fn hook(kernel: &mut Kernel) -> Result<Hooks, AttachError> {
    let path = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    match file_offset(pytracer_calibration_call as *const () as usize) {
        Ok(offset) => kernel.hook(&path, &plan(offset), Target::Pid(std::process::id())),
        Err(source) => {
            let what = "our own function".into();
            Err(AttachError::Site { what, path, address: 0, source, hint: "" })
        }
    }
}

/// Runs the loop on a thread of its own, to see whether such threads are followed. `None`: they are not.
fn measure<T: Send>(
    kernel: &mut Kernel,
    hooks: &Hooks,
    run: impl FnOnce() -> T + Send,
) -> Result<Option<T>, AttachError> {
    let pid = std::process::id();
    let process = kernel.add_process(pid, hooks.image.number(), 0)?;
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Fails only if nobody wants to know.
            let _ = tell.send((own_tid(), run()));
            // Until the other end is dropped: the kernel side must not see this thread end.
            let _ = ended.recv();
        });
        let measured = told.recv();
        let tid = measured.as_ref().map(|&(tid, _)| tid);
        let seen = tid.is_ok_and(|tid| kernel.thread(tid).is_some_and(|thread| thread.hits > 0));
        kernel.remove_process(pid, process)?;
        for tid in tid.into_iter().chain([own_tid()]) {
            kernel.forget_thread(tid)?;
        }
        drop(end);
        Ok(measured.ok().filter(|_| seen).map(|(_, result)| result))
    })
}

fn own_tid() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() as u32 }
}

/// The fastest of a few rounds.
fn fastest() -> Duration {
    // A code object all of whose fields are 0 would be refused, each time anew.
    let mut frame = FakeFrame { code: 0, previous: 0, fields: [1; 8], instruction: [1, 0] };
    frame.code = (&raw const frame.fields) as u64;
    (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..CALLS {
                // SAFETY: the function reads and writes nothing.
                unsafe {
                    pytracer_calibration_call(
                        hint::black_box((&raw const frame).cast()),
                        hint::black_box((&raw const frame.instruction).cast()),
                    );
                }
            }
            begin.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fn plan(offset: u64) -> Plan {
    let site = |meaning, at: u64, what: &str| ProbeSite {
        meaning,
        address: offset + at,
        file_offset: offset + at,
        semaphore_offset: None,
        frame: Register::Rdi,
        instruction: Some((Register::Rsi, 0)),
        thrown: None,
        opcodes: [1, 1],
        form: Form::General,
        text: "nop".into(),
        emulated: true,
        what: what.into(),
    };
    Plan {
        version: Version { major: 0, minor: 0, patch: 0 },
        found_by: FoundBy::PyVersion,
        source: Source::Eval,
        exact: true,
        unseen: Unseen::Nothing,
        layout: Layout { frame_previous: 8, resume_mask: 3, ..Layout::default() },
        code_type: 0,
        threads: None,
        sites: vec![site(Meaning::End, 1, "calibration end"), site(Meaning::Start, 0, "calibration start")],
    }
}

/// Offset in our own file of an address in our own memory.
fn file_offset(address: usize) -> io::Result<u64> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let offset = maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(end)?);
        let offset = number(fields.nth(1)?)?;
        (start..end).contains(&address).then(|| (address - start + offset) as u64)
    });
    offset.ok_or_else(|| io::Error::other("our own code is in no mapping"))
}

#[cfg(test)]
mod tests {
    use tracer_common::aggregate::Amount;

    use super::*;

    fn hit(time_ns: u64, what: FrameEvent) -> Event {
        Event::Frame { time_ns, thread: 1, frame: 7, what }
    }

    #[test]
    fn a_call_is_divided_where_the_clock_is_read() {
        let start = FrameEvent::Start { resumed: false, function: 1 };
        // Calls of 470 ns, 480 ns apart; an interrupt in one, between two others, and a call of which half was lost.
        let hits = [
            (1_000, start),
            (1_470, FrameEvent::End),
            (1_950, start),
            (9_000, FrameEvent::End),
            (9_480, start),
            (9_950, FrameEvent::End),
            (50_000, start),
            (50_470, FrameEvent::End),
            (50_950, start),
            (60_000, start),
            (60_470, FrameEvent::End),
            (60_950, start),
        ];
        let found = calibration(hits.into_iter().map(|(time_ns, what)| hit(time_ns, what)));
        assert_eq!(found, Some(Calibration { inside_ns: 470, outside_ns: 480 }));
        assert_eq!(calibration([hit(5, start)].into_iter()), None);
    }

    #[test]
    fn sums_tell_the_same_but_for_time_off_the_processor() {
        let own = Amount { wall_ns: 1_000_000, off_cpu_ns: 530_000, ..Amount::default() };
        let sums = [(1, FunctionSums { own, calls: 1_000, ..FunctionSums::default() })];
        let found = calibration_of_sums(&sums, 475);
        assert_eq!(found, Some(Calibration { inside_ns: 470, outside_ns: 480 }));
        assert_eq!(calibration_of_sums(&[], 475), None);
    }
}
