//! Processes that come into being, and those that become another program.

use anyhow::Result;
use log::debug;

use super::{Followed, Process, about, images::Image};
use crate::{
    attach::monotonic_ns,
    discover::{self, NotTraceable, PythonProcess},
    engine::{Engine, Message},
    event::{Event, ProcessIndex},
    record::note,
    text::one_line,
};

/// A process that has just called exec maps its libraries later: it is looked at again after this time, then after
/// twice as long, and so on.
const FIRST_LOOK_NS: u64 = 5_000_000;
/// How long after the exec it is looked at last: a script may set something up before it becomes Python.
const LAST_LOOK_NS: u64 = 10_000_000_000;
/// After this time nothing waits for it.
const PATIENCE_NS: u64 = 1_000_000_000;

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

impl Young {
    /// May it be about to become a Python process?
    pub(super) fn is_promising(&self) -> bool {
        monotonic_ns().saturating_sub(self.exec_ns) < PATIENCE_NS
    }
}

impl Followed {
    /// The kernel side has taken up a process of a hooked image (`--all`).
    pub(super) fn taken_up(&mut self, index: ProcessIndex, pid: u32, engine: &Engine) {
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
    pub(super) fn forked(&mut self, fork: &Event, later: &[Event], engine: &Engine) {
        let Event::Fork { time_ns, process: index, pid, parent, shared_memory } = *fork else { return };
        let Some(key) = self.image_index(index).and_then(|number| self.image_numbered(number)) else {
            // Its parent's image went meanwhile, and the child with it.
            self.retire(index, |_| true);
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
        } else if !self.all && !self.has_shared_probes(key) && self.hooks() {
            match self.hook_process(key, pid) {
                Ok(hooks) => {
                    self.children.hooked_after_fork(monotonic_ns().saturating_sub(time_ns));
                    process.hooks = hooks;
                }
                Err(error) if discover::start_ticks(pid).is_none() => {
                    debug!("process {pid}: {}", one_line(&error));
                    self.children.ended_before();
                }
                Err(error) => self.children.failed(format!("process {pid}: {}", one_line(&error))),
            }
        }
        if process.hooks.is_some() || self.has_shared_probes(key) || !self.hooks() {
            debug!("process {pid} is followed from its fork on");
        }
        self.introduce(index, process, Some(parent), engine);
    }

    /// A followed process runs another program now, perhaps another Python.
    pub(super) fn exec(&mut self, index: ProcessIndex, pid: u32, exec_ns: u64, engine: &Engine) {
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

    /// The probes of a process hold for the first thread that it had: no longer if that is another one now.
    pub(super) fn unhook(&mut self, index: ProcessIndex) {
        let hooks = self.processes.get_mut(&index).and_then(|process| process.hooks.take());
        if let Some(hooks) = hooks {
            self.in_background(move || drop(hooks));
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
            engine.tell(Message::Process(index, pid, about(known, plan, None)));
        }
        Ok(())
    }

    /// Looks at those that are due.
    pub(super) fn look_at_all_young(&mut self, engine: &Engine) {
        let now_ns = monotonic_ns();
        let due = self.young.iter().filter(|(_, young)| young.next_ns <= now_ns);
        let due: Vec<_> = due.map(|(&pid, &young)| (pid, young)).collect();
        for (pid, young) in due {
            match young.index {
                None => self.look_at_young(pid, young.exec_ns, engine),
                Some(index) => self.exec(index, pid, young.exec_ns, engine),
            }
        }
    }

    /// Is a process that is no Python process, after an exec, to be looked at again? Not for ever.
    fn look_again(&mut self, pid: u32, index: Option<ProcessIndex>, exec_ns: u64) -> bool {
        let now_ns = monotonic_ns();
        let age_ns = now_ns.saturating_sub(exec_ns);
        if age_ns > LAST_LOOK_NS {
            self.young.remove(&pid);
            return false;
        }
        let next_ns = exec_ns + (2 * age_ns).max(FIRST_LOOK_NS);
        self.young.insert(pid, Young { index, exec_ns, next_ns });
        true
    }

    /// Has a process that called exec become a Python process that is to be traced?
    pub(super) fn look_at_young(&mut self, pid: u32, exec_ns: u64, engine: &Engine) {
        // One that was found when the recording began may have called exec just before.
        if self.pids().any(|known| known == pid) {
            self.young.remove(&pid);
            return;
        }
        if !self.all && !self.is_selected(pid) {
            self.look_again(pid, None, exec_ns);
            return;
        }
        match discover::inspect(pid) {
            Ok(process) => {
                self.young.remove(&pid);
                match self.hook_found(process).and_then(|hooked| self.add(hooked, engine)) {
                    Ok(Some(line)) => {
                        if self.hooks() {
                            self.children.taken_up_after_exec(monotonic_ns().saturating_sub(exec_ns));
                        }
                        note(&line);
                    }
                    Ok(None) => {}
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

    /// Number of the image that the kernel side has for a process.
    fn image_index(&self, process: ProcessIndex) -> Option<u32> {
        let interpreter = self.kernel.interpreter(process);
        interpreter.map_err(|error| debug!("{error}")).ok().map(|interpreter| interpreter.image)
    }
}
