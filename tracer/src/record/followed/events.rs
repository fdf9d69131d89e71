//! What is done about processes that come, go and change while they are followed.

use bytes::Bytes;
use log::debug;

use super::{Followed, LOOKS_AFTER_EXEC, Process, Young, image_key, is_alive, totals};
use crate::{
    attach::uprobe::Target,
    decode::{decode, is_function},
    discover::{self, NotTraceable},
    engine::{Engine, Message, Request},
    event::{Event, ProcessIndex},
    filter::FunctionFilter,
    receive::records,
    record::note,
    text::one_line,
};

impl Followed {
    /// Does what the engine asks for.
    pub(in crate::record) fn serve(&mut self, engine: &Engine) {
        for request in engine.requests() {
            let result = match request {
                Request::Free(slots) => slots.into_iter().try_for_each(|slot| self.kernel.free_thread(slot)),
                Request::Process(event) => {
                    self.process_event(&event, engine);
                    Ok(())
                }
            };
            if let Err(error) = result {
                debug!("{error}");
            }
        }
    }

    /// Has the kernel side drop the events of those functions in a chunk that no glob matches.
    pub(in crate::record) fn refuse_unwanted(&mut self, chunk: &Bytes, filter: &FunctionFilter) {
        let functions =
            records(chunk).filter(|record| is_function(record)).filter_map(|record| decode(record).ok());
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

    fn process_event(&mut self, event: &Event, engine: &Engine) {
        match *event {
            Event::Exit { process, pid, .. } => self.end(process, pid),
            Event::Exec { process: Some(index), pid, .. } => {
                self.young.remove(&pid);
                self.exec(index, pid, engine);
            }
            Event::Exec { process: None, pid, .. } if self.all => self.look_at_young(pid, engine),
            Event::Process { process: index, pid, image, .. } => self.taken_up(index, pid, image, engine),
            _ => {}
        }
    }

    /// The kernel side has taken up a process of a hooked image.
    fn taken_up(&mut self, index: ProcessIndex, pid: u32, image: u32, engine: &Engine) {
        let known = self.images.iter().find(|(_, known)| known.hooks.image == image);
        let Some((&key, planned)) = known.map(|(key, known)| (key, known.planned.clone())) else { return };
        let Ok(plan) = planned.as_ref() else { return };
        // One that has ended already is looked at no more; what it did still counts.
        let found = discover::inspect(pid).ok();
        if let Some(process) = &found
            && let Err(error) =
                self.kernel.set_interpreter(index, image, plan.code_type.wrapping_add(process.bias))
        {
            debug!("{error}");
        }
        let start_ticks = found.map_or(0, |process| process.start_ticks);
        self.introduce(index, Process { pid, start_ticks, hooks: None, image: key }, &planned, engine);
    }

    /// A followed process runs another program now, perhaps another Python.
    fn exec(&mut self, index: ProcessIndex, pid: u32, engine: &Engine) {
        if self.all {
            self.end(index, pid);
            self.look_at_young(pid, engine);
            return;
        }
        let process = match discover::inspect(pid) {
            Ok(process) => process,
            Err(NotTraceable::NotPython { .. }) if self.look_again(pid, Some(index)) => return,
            Err(_) => {
                self.young.remove(&pid);
                self.notes.push(format!("process {pid} called exec and is no Python process any more"));
                return;
            }
        };
        self.young.remove(&pid);
        let planned = self.plans.plan(&process.image);
        let Ok(plan) = planned.as_ref() else {
            self.notes.push(format!("process {pid} called exec and can't be traced any more"));
            return;
        };
        let Some(known) = self.processes.get_mut(&index) else { return };
        let key = image_key(&process.image);
        let image = match &known.hooks {
            Some(hooks) if known.image == key => Ok(hooks.image),
            _ => self.kernel.hook(&process.image.open_path, plan, Target::Pid(pid)).map(|hooks| {
                known.image = key;
                let image = hooks.image;
                if let Some(old) = known.hooks.replace(hooks) {
                    self.detaching.push(std::thread::spawn(move || drop(old)));
                }
                image
            }),
        };
        let code_type = plan.code_type.wrapping_add(process.bias);
        if let Err(error) = image.and_then(|image| self.kernel.set_interpreter(index, image, code_type)) {
            self.notes.push(format!("process {pid} called exec and could not be followed: {error}"));
            return;
        }
        let (version, source) = (plan.version.to_string(), plan.source.to_string());
        engine.tell(Message::Process { index, pid, version, source });
    }

    /// Looks at what may have changed without an event.
    pub(in crate::record) fn look(&mut self, engine: &Engine) {
        self.kernel.flush_log();
        let gone: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| !is_alive(process.pid, process.start_ticks))
            .map(|(&index, process)| (index, process.pid))
            .collect();
        for (index, pid) in gone {
            self.end(index, pid);
        }
        let young: Vec<_> = self.young.iter().map(|(&pid, young)| (pid, young.index)).collect();
        for (pid, index) in young {
            match index {
                None => self.look_at_young(pid, engine),
                Some(index) if self.processes.contains_key(&index) => self.exec(index, pid, engine),
                Some(_) => {
                    self.young.remove(&pid);
                }
            }
        }
    }

    /// Is a process that is no Python process, after an exec, to be looked at again? Not for ever.
    fn look_again(&mut self, pid: u32, index: Option<ProcessIndex>) -> bool {
        let young = self.young.entry(pid).or_insert(Young { index, looks: 0 });
        young.looks += 1;
        let again = young.looks <= LOOKS_AFTER_EXEC;
        if !again {
            self.young.remove(&pid);
        }
        again
    }

    /// With `--all`: has a process that called exec become a Python process?
    fn look_at_young(&mut self, pid: u32, engine: &Engine) {
        let result = discover::inspect(pid);
        match result {
            Ok(process) => {
                self.young.remove(&pid);
                match self.hook_image(process).and_then(|hooked| self.add(hooked, engine)) {
                    Ok(line) => line.iter().for_each(|line| note(line)),
                    Err(error) => {
                        note(&format!("process {pid} is left out: {}", one_line(&error)));
                        self.notes.push(format!("process {pid} could not be traced"));
                    }
                }
            }
            Err(NotTraceable::NotPython { .. }) => {
                self.look_again(pid, None);
            }
            Err(_) => {
                self.young.remove(&pid);
            }
        }
    }

    fn end(&mut self, index: ProcessIndex, pid: u32) {
        let Some(process) = self.processes.remove(&index) else { return };
        match self.kernel.process(index) {
            Ok(state) => {
                self.hits_of_ended += state.hits;
                self.ended.push(totals(index, &state));
            }
            Err(error) => debug!("{error}"),
        }
        if let Err(error) = self.kernel.remove_process(pid, index) {
            debug!("{error}");
        }
        if let Some(hooks) = process.hooks {
            self.detaching.push(std::thread::spawn(move || drop(hooks)));
        }
    }
}
