//! What is done at once about what comes from the kernel side, and about processes that go.

use bytes::Bytes;
use log::debug;
use tracer_common::{record::kind, state::Thread};

use super::{Followed, is_alive, thread_totals, totals};
use crate::{
    attach::monotonic_ns,
    decode::{decode, kind_of},
    discover,
    engine::{Engine, Message, Request},
    event::{Event, ProcessIndex},
    filter::FunctionFilter,
    receive::records,
};

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
        self.look_at_all_young(engine);
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
        let names_threads = self.names_threads;
        let wanted =
            |kind| (kind::PROCESS..=kind::FORK).contains(&kind) || (names_threads && kind == kind::THREAD);
        let events: Vec<_> = events(chunk, wanted).collect();
        for (at, event) in events.iter().enumerate() {
            match *event {
                Event::Process { process, pid, .. } => self.taken_up(process, pid, engine),
                Event::Thread { process, pid, tid, .. } => self.name_thread(process, pid, tid, engine),
                Event::Fork { .. } => self.forked(event, &events[at + 1..], engine),
                Event::Exec { time_ns, process: Some(index), pid, by_thread } => {
                    self.young.remove(&pid);
                    if by_thread {
                        self.unhook(index);
                        // In a PID namespace below the machine's the kernel side can't tell which thread it was.
                        self.retire(index, |thread| !discover::has_thread(pid, thread.tid));
                    }
                    self.exec(index, pid, time_ns, engine);
                }
                Event::Exec { time_ns, process: None, pid, .. } if self.takes_up_others() => {
                    self.look_at_young(pid, time_ns, engine);
                }
                _ => {}
            }
        }
    }

    /// A followed process is followed no more, though it runs.
    pub(super) fn let_go(&mut self, index: ProcessIndex, pid: u32, why: &str, engine: &Engine) {
        if self.processes.get(&index).is_some_and(|process| !process.child) {
            self.notes.push(format!("process {pid} called exec and {why}"));
        } else {
            debug!("process {pid} called exec and {why}");
        }
        self.abandon(index, pid, engine);
    }

    /// Takes a process that runs on out of the recording, and its probes away.
    pub(super) fn abandon(&mut self, index: ProcessIndex, pid: u32, engine: &Engine) {
        self.retire(index, |_| true);
        engine.tell(Message::LetGo(index, pid));
        self.end(index, pid, engine);
    }

    /// Takes those of a process's threads that are `over` out of the kernel side's tables.
    pub(super) fn retire(&mut self, index: ProcessIndex, over: impl Fn(&Thread) -> bool) {
        let threads = self.kernel.retire_threads(index, over).unwrap_or_else(|error| {
            debug!("{error}");
            Vec::new()
        });
        let time_ns = monotonic_ns();
        for (thread, state) in threads {
            self.hits_of_ended += state.hits;
            let totals = thread_totals(thread, &state, time_ns);
            self.close_stack(&totals, time_ns, false).map_or_else(|error| debug!("{error}"), drop);
            self.late.push(Event::ThreadExit { time_ns, thread });
        }
    }

    /// Looks at what may have changed without an event.
    pub(in crate::record) fn look(&mut self, engine: &Engine) {
        self.kernel.flush_log();
        self.let_go_of_the_distrusted(engine);
        self.tell_waiting_names(engine);
        for event in std::mem::take(&mut self.late) {
            // An end that was seen after all is not told again: the index may be another one's by now.
            let told = |process, pid| self.processes.get(&process).is_none_or(|known| known.pid != pid);
            match event {
                Event::Exit { process, pid, .. } if told(process, pid) => {}
                event => engine.tell(Message::Event(event)),
            }
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
        self.tell_aggregate(index, engine);
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
}

/// The events of some kinds in a chunk.
fn events(chunk: &Bytes, wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = Event> {
    let wanted = records(chunk).filter(move |record| kind_of(record).is_some_and(&wanted));
    wanted.filter_map(|record| decode(record).ok())
}
