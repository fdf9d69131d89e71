//! What is done about processes that come, go and change while they are followed.

use anyhow::Result;
use bytes::Bytes;
use log::debug;
use tracer_common::record::kind;

use super::{Followed, Process, about, images::Image, is_alive, totals};
use crate::{
    attach::monotonic_ns,
    decode::{decode, kind_of},
    discover::{self, NotTraceable, PythonProcess},
    engine::{Engine, Message, Request},
    event::{Event, ProcessIndex},
    filter::FunctionFilter,
    receive::records,
    record::note,
    text::one_line,
};

/// A process that has just called exec maps its libraries later: it is looked at again after this time, then after
/// twice as long, and so on.
const FIRST_LOOK_NS: u64 = 5_000_000;
/// How long after the exec it is looked at last.
const LAST_LOOK_NS: u64 = 1_000_000_000;

/// A process that has called exec a moment ago.
#[derive(Clone, Copy)]
pub(super) struct Young {
    /// Its index, if it is followed.
    index: Option<ProcessIndex>,
    /// When it called exec.
    exec_ns: u64,
    /// When it is to be looked at again.
    next_ns: u64,
}

impl Followed {
    /// Does what the engine asks for, and looks at processes that have called exec a moment ago.
    pub(in crate::record) fn serve(&mut self, engine: &Engine) {
        for request in engine.requests() {
            match request {
                Request::Free(slots) => {
                    let freed = slots.into_iter().try_for_each(|slot| self.kernel.free_thread(slot));
                    freed.unwrap_or_else(|error| debug!("{error}"));
                }
                Request::End(process, pid) => self.end(process, pid, engine),
            }
        }
        let now_ns = monotonic_ns();
        let due: Vec<_> = self.young.iter().filter(|(_, young)| young.next_ns <= now_ns).collect();
        let due: Vec<_> = due.into_iter().map(|(&pid, &young)| (pid, young)).collect();
        for (pid, young) in due {
            match young.index {
                None => self.look_at_young(pid, young.exec_ns, engine),
                Some(index) => self.exec(index, pid, young.exec_ns, engine),
            }
        }
    }

    /// Has the kernel side drop the events of those functions in a chunk that no glob matches.
    pub(in crate::record) fn refuse_unwanted(&mut self, chunk: &Bytes, filter: &FunctionFilter) {
        let functions = events(chunk, |kind| kind == kind::FUNCTION);
        let refused: Vec<_> = functions
            .filter_map(|event| match event {
                Event::Function { id, process, function, code, .. } if !filter.matches(&function) => {
                    Some((process, code, id))
                }
                _ => None,
            })
            .collect();
        if !refused.is_empty()
            && let Err(error) = self.kernel.refuse_functions(&refused)
        {
            debug!("{error}");
        }
    }

    /// Does at once what processes that came or changed need. The chunk must have been handed to the engine.
    pub(in crate::record) fn react(&mut self, chunk: &Bytes, engine: &Engine) {
        let events: Vec<_> = events(chunk, |kind| (kind::PROCESS..=kind::FORK).contains(&kind)).collect();
        for (at, event) in events.iter().enumerate() {
            match *event {
                Event::Process { process, pid, .. } => self.taken_up(process, pid, engine),
                Event::Fork { .. } => self.forked(event, &events[at + 1..], engine),
                Event::Exec { time_ns, process: Some(index), pid } => {
                    self.young.remove(&pid);
                    self.exec(index, pid, time_ns, engine);
                }
                Event::Exec { time_ns, process: None, pid } if self.all => {
                    self.look_at_young(pid, time_ns, engine);
                }
                _ => {}
            }
        }
    }

    /// The kernel side has taken up a process of a hooked image (`--all`).
    fn taken_up(&mut self, index: ProcessIndex, pid: u32, engine: &Engine) {
        let Some(image) = self.image_index(index) else { return };
        let Some(key) = self.image_numbered(image) else { return };
        let Some(plan) = self.images.get(&key).and_then(Image::plan) else { return };
        // One that has ended already is looked at no more; what it did still counts.
        let found = discover::inspect(pid).ok();
        if let Some(process) = &found
            && let Err(error) =
                self.kernel.set_interpreter(index, image, plan.code_type.wrapping_add(process.bias))
        {
            debug!("{error}");
        }
        let (start_ticks, command) =
            found.map_or_else(Default::default, |process| (process.start_ticks, discover::command(pid)));
        let process =
            Process { pid, start_ticks, command, hooks: None, image: key, child: false, gone: false };
        self.introduce(index, process, None, engine);
    }

    /// A followed process has forked, and the kernel side follows the child. `later`: what happened since.
    fn forked(&mut self, fork: &Event, later: &[Event], engine: &Engine) {
        let Event::Fork { time_ns, process: index, pid, parent, shared_memory } = *fork else { return };
        let Some(key) = self.image_index(index).and_then(|number| self.image_numbered(number)) else {
            // Its parent's image went meanwhile, and the child with it.
            self.retire(index);
            self.kernel.remove_process(pid, index).unwrap_or_else(|error| debug!("{error}"));
            return;
        };
        let start_ticks = discover::start_ticks(pid).unwrap_or(0);
        let command = self.processes.values().find(|known| known.pid == parent);
        let command = command.map(|parent| parent.command.clone()).unwrap_or_default();
        let mut process =
            Process { pid, start_ticks, command, hooks: None, image: key, child: true, gone: false };
        if shared_memory {
            // It runs no Python before it calls exec.
            self.processes.insert(index, process);
            return;
        }
        self.children.forked();
        let over = |event: &Event| matches!(*event, Event::Exit { process, .. } if process == index);
        if later.iter().any(over) || start_ticks == 0 {
            self.children.ended_before();
        } else if !self.all {
            match self.hook_process(key, pid) {
                Ok(hooks) => {
                    self.children.hooked_after_fork(monotonic_ns().saturating_sub(time_ns));
                    process.hooks = hooks;
                }
                Err(error) if discover::start_ticks(pid).is_none() => {
                    debug!("process {pid}: {}", one_line(&error));
                    self.children.ended_before();
                }
                Err(error) => {
                    self.notes.push(format!("process {pid} could not be followed: {}", one_line(&error)));
                }
            }
        }
        if process.hooks.is_some() || self.all {
            debug!("process {pid} is followed from its fork on");
        }
        self.introduce(index, process, Some(parent), engine);
    }

    /// A followed process runs another program now, perhaps another Python.
    fn exec(&mut self, index: ProcessIndex, pid: u32, exec_ns: u64, engine: &Engine) {
        if self.processes.get(&index).is_none_or(|process| process.pid != pid) {
            self.young.remove(&pid);
            return;
        }
        match discover::inspect(pid) {
            Ok(process) => {
                self.young.remove(&pid);
                if let Err(error) = self.becomes(index, &process, exec_ns, engine) {
                    self.let_go(index, pid, &format!("could not be followed: {}", one_line(&error)), engine);
                }
            }
            Err(NotTraceable::NotPython { .. }) if self.look_again(pid, Some(index), exec_ns) => {}
            Err(_) => {
                self.young.remove(&pid);
                self.let_go(index, pid, "is no Python process any more", engine);
            }
        }
    }

    /// A followed process has become another Python process.
    fn becomes(
        &mut self,
        index: ProcessIndex,
        process: &PythonProcess,
        exec_ns: u64,
        engine: &Engine,
    ) -> Result<()> {
        let (pid, bias) = (process.pid, process.bias);
        let key = self.image_of(process)?;
        let known = self.processes.get(&index);
        if known.is_none_or(|known| known.image != key || known.hooks.is_none()) {
            let hooks = self.hook_process(key, pid)?;
            if hooks.is_some() {
                self.children.hooked_after_exec(monotonic_ns().saturating_sub(exec_ns));
                debug!("process {pid} is followed into another program");
            }
            let old = self.processes.get_mut(&index).and_then(|known| {
                known.image = key;
                std::mem::replace(&mut known.hooks, hooks)
            });
            if let Some(old) = old {
                self.in_background(move || drop(old));
            }
            self.forget_unused_images();
        }
        let Some(image) = self.images.get(&key) else { return Ok(()) };
        let Some(plan) = image.plan() else { return Ok(()) };
        self.kernel.set_interpreter(index, image.index.number(), plan.code_type.wrapping_add(bias))?;
        if let Some(known) = self.processes.get_mut(&index) {
            known.command = discover::command(pid);
        }
        engine.tell(Message::Process(index, pid, about(plan, discover::command(pid), None)));
        Ok(())
    }

    /// A followed process is followed no more, though it runs.
    fn let_go(&mut self, index: ProcessIndex, pid: u32, why: &str, engine: &Engine) {
        if self.processes.get(&index).is_some_and(|process| !process.child) {
            self.notes.push(format!("process {pid} called exec and {why}"));
        } else {
            debug!("process {pid} called exec and {why}");
        }
        self.retire(index);
        engine.tell(Message::LetGo(index, pid));
        self.end(index, pid, engine);
    }

    /// Takes a process's threads out of the kernel side's tables.
    fn retire(&mut self, index: ProcessIndex) {
        let threads = self.kernel.retire_threads(index).unwrap_or_else(|error| {
            debug!("{error}");
            Vec::new()
        });
        let time_ns = monotonic_ns();
        for (thread, state) in threads {
            self.hits_of_ended += state.hits;
            self.late.push(Event::ThreadExit { time_ns, thread });
        }
    }

    /// Looks at what may have changed without an event.
    pub(in crate::record) fn look(&mut self, engine: &Engine) {
        self.kernel.flush_log();
        for event in std::mem::take(&mut self.late) {
            engine.tell(Message::Event(event));
        }
        let time_ns = monotonic_ns();
        let left = self.kernel.slots_left();
        self.late.extend(left.into_iter().map(|thread| Event::ThreadExit { time_ns, thread }));
        for (&process, known) in &mut self.processes {
            if !known.gone && !is_alive(known.pid, known.start_ticks) {
                known.gone = true;
                self.late.push(Event::Exit { time_ns, process, pid: known.pid });
            }
        }
    }

    /// Is a process that is no Python process, after an exec, to be looked at again? Not for ever.
    fn look_again(&mut self, pid: u32, index: Option<ProcessIndex>, exec_ns: u64) -> bool {
        let now_ns = monotonic_ns();
        let age_ns = now_ns.saturating_sub(exec_ns);
        if age_ns > LAST_LOOK_NS {
            return false;
        }
        let next_ns = exec_ns + (2 * age_ns).max(FIRST_LOOK_NS);
        self.young.insert(pid, Young { index, exec_ns, next_ns });
        true
    }

    /// With `--all`: has a process that called exec become a Python process?
    fn look_at_young(&mut self, pid: u32, exec_ns: u64, engine: &Engine) {
        match discover::inspect(pid) {
            Ok(process) => {
                self.young.remove(&pid);
                match self.hook_found(process).and_then(|hooked| self.add(hooked, engine)) {
                    Ok(line) => line.iter().for_each(|line| note(line)),
                    Err(error) => {
                        note(&format!("process {pid} is left out: {}", one_line(&error)));
                        self.notes.push(format!("process {pid} could not be traced"));
                    }
                }
            }
            Err(NotTraceable::NotPython { .. }) if self.look_again(pid, None, exec_ns) => {}
            Err(_) => {
                self.young.remove(&pid);
            }
        }
    }

    /// A process is not followed any more: its index may be used again.
    fn end(&mut self, index: ProcessIndex, pid: u32, engine: &Engine) {
        if self.processes.get(&index).is_none_or(|process| process.pid != pid) {
            return;
        }
        let Some(process) = self.processes.remove(&index) else { return };
        match self.kernel.process(index) {
            Ok(state) => {
                self.hits_of_ended += state.hits;
                engine.tell(Message::ProcessTotals(totals(index, &state)));
            }
            Err(error) => debug!("{error}"),
        }
        if let Err(error) = self.kernel.remove_process(pid, index) {
            debug!("{error}");
        }
        self.young.remove(&pid);
        if let Some(hooks) = process.hooks {
            let over = !is_alive(pid, process.start_ticks);
            self.in_background(move || if over { hooks.forget() } else { drop(hooks) });
        }
        self.forget_unused_images();
    }

    /// Number of the image that the kernel side has for a process.
    fn image_index(&self, process: ProcessIndex) -> Option<u32> {
        let interpreter = self.kernel.interpreter(process);
        interpreter.map_err(|error| debug!("{error}")).ok().map(|interpreter| interpreter.image)
    }
}

/// The events of some kinds in a chunk.
fn events(chunk: &Bytes, wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = Event> {
    let wanted = records(chunk).filter(move |record| kind_of(record).is_some_and(&wanted));
    wanted.filter_map(|record| decode(record).ok())
}
