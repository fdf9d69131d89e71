//! Reads the Python stacks of threads from outside, without stopping their process: for threads that stand still. What
//! is read is checked on the way; a process that changes meanwhile gives no stack rather than a wrong one.

mod memory;

use tracer_common::{
    layout::Layout,
    limits::{CHAIN_FRAMES, FILE_BYTES, NAME_BYTES, THREADS},
    record::{FunctionRecord, Header, flag, kind},
};
use zerocopy::FromZeros as _;

use self::memory::Memory;
use crate::python::{
    machine::pthread,
    plan::Plan,
    thread_state::{ThreadId, ThreadStates},
};

/// More interpreters and threads in one process are a sign of damage, or of lists that change while they are read.
const MAX_STEPS: u32 = 2 * THREADS;

/// Reads the stacks of one process.
#[derive(Clone, Copy, Debug)]
pub struct Unwinder<'a> {
    memory: Memory,
    layout: &'a Layout,
    states: &'a ThreadStates,
    /// Address of `_PyRuntime` in the process.
    runtime: u64,
    /// Address of `PyCode_Type` in the process.
    code_type: u64,
}

/// A thread as its interpreter knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonThread {
    /// Its id, as the process itself sees it. `None`: a C library that we do not know has it.
    pub native_id: Option<u32>,
    /// Address of the frame that it executes; 0: none.
    pub frame: u64,
    /// Address of its thread state.
    pub state: u64,
    /// What names the thread in that: its id, or its `pthread_t`.
    pub id: u64,
}

/// See [`Unwinder::names_of`].
pub type CodeNames = (u32, u64, u64, [u8; 32]);

/// Fields of a code object.
#[derive(Clone, Copy, Debug)]
struct CodeFields {
    object_type: u64,
    line: u32,
    name: u64,
    file: u64,
}

impl CodeFields {
    /// Is it one of the interpreter's own, which no file has? From 3.13 on such a frame stands between a class that is
    /// called and its `__init__`. One and the same str is its name and its file, and it stands in no line.
    fn is_made_by_the_interpreter(&self) -> bool {
        self.line == 0 && self.file == self.name
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// A stack, innermost frame first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonStack {
    /// Address and code object of each frame.
    pub frames: Vec<(u64, u64)>,
    /// False: there are more than [`CHAIN_FRAMES`].
    pub complete: bool,
}

impl<'a> Unwinder<'a> {
    /// For a process of an image that is loaded at `bias`. `None`: where that version keeps its threads is not known.
    pub fn new(pid: u32, plan: &'a Plan, bias: u64) -> Option<Self> {
        let states = plan.threads.as_ref()?;
        Some(Self {
            memory: Memory::of(pid),
            layout: &plan.layout,
            states,
            runtime: states.runtime.wrapping_add(bias),
            code_type: plan.code_type.wrapping_add(bias),
        })
    }

    /// All threads that have a Python frame, in all interpreters. `None`: they can't be read.
    pub fn threads(&self) -> Option<Vec<PythonThread>> {
        let mut threads = self.thread_states()?;
        threads.retain(|thread| thread.frame != 0);
        Some(threads)
    }

    /// All threads that have a thread state, in all interpreters. `None`: they can't be read.
    pub fn thread_states(&self) -> Option<Vec<PythonThread>> {
        let mut found = Vec::new();
        let mut interpreter = self.memory.pointer(self.runtime, self.states.offsets.first_interpreter)?;
        let mut steps = 0;
        while interpreter != 0 {
            let mut state = self.memory.pointer(interpreter, self.states.offsets.first_thread)?;
            while state != 0 {
                found.push(self.thread(state)?);
                state = self.memory.pointer(state, self.states.offsets.next_thread)?;
                steps += 1;
                if steps > MAX_STEPS {
                    return None;
                }
            }
            interpreter = self.memory.pointer(interpreter, self.states.offsets.next_interpreter)?;
            steps += 1;
            if steps > MAX_STEPS {
                return None;
            }
        }
        Some(found)
    }

    /// The thread of a thread state.
    fn thread(&self, state: u64) -> Option<PythonThread> {
        let id = self.memory.pointer(state, self.states.offsets.thread.offset())?;
        let native_id = match self.states.offsets.thread {
            ThreadId::Native(_) => Some(id as u32),
            ThreadId::Descriptor(_) => self.id_in_descriptor(id),
        };
        Some(PythonThread { native_id, frame: self.innermost(state)?, state, id })
    }

    /// The frame that the thread of a thread state executes; 0: none. `None`: it can't be read.
    pub fn innermost(&self, state: u64) -> Option<u64> {
        let mut frame = self.memory.pointer(state, self.states.offsets.frame)?;
        if let Some(offset) = self.states.offsets.frame_in_c_frame
            && frame != 0
        {
            frame = self.memory.pointer(frame, offset)?;
        }
        Some(frame)
    }

    /// The thread id in a descriptor of glibc (`struct pthread`), which begins with pointers to itself.
    fn id_in_descriptor(&self, descriptor: u64) -> Option<u32> {
        let own = |offset| self.memory.pointer(descriptor, offset) == Some(descriptor);
        let known = own(pthread::TCB) && own(pthread::SELF);
        known.then(|| self.memory.pointer(descriptor, pthread::ID).map(|id| id as u32)).flatten()
    }

    /// The stack from a frame outwards. `None`: something on the way is not what it should be.
    pub fn stack(&self, innermost: u64) -> Option<PythonStack> {
        let mut stack = PythonStack::default();
        let mut frame = innermost;
        for _ in 0..CHAIN_FRAMES {
            if frame == 0 {
                stack.complete = true;
                break;
            }
            let (previous, code) = self.frame(frame)?;
            stack.frames.extend(code.map(|code| (frame, code)));
            frame = previous;
        }
        let codes: Vec<_> = stack.frames.iter().map(|&(_, code)| code).collect();
        let mut fields = self.fields_of(&codes)?.into_iter();
        if fields.clone().any(|fields| fields.object_type != self.code_type) {
            return None;
        }
        stack.frames.retain(|_| fields.next().is_some_and(|fields| !fields.is_made_by_the_interpreter()));
        Some(stack)
    }

    /// The frame that called a frame, and the code object of this one; none of a frame that is no function's.
    fn frame(&self, frame: u64) -> Option<(u64, Option<u64>)> {
        let at = |offset: u16| frame.checked_add(offset.into());
        let (previous, code) = (at(self.layout.frame_previous)?, at(self.layout.frame_code)?);
        let owner = at(self.layout.frame_owner)?;
        let bytes = self.memory.gather(&[(previous, 8), (code, 8), (owner, 1)])?;
        let (previous, code) = (u64_at(&bytes, 0)?, u64_at(&bytes, 8)?);
        let is_shim = self.layout.shim_owner != 0 && bytes.get(16) == Some(&self.layout.shim_owner);
        Some((previous, (!is_shim).then_some(code & !u64::from(self.layout.code_tag_mask))))
    }

    /// Of each of these code objects.
    fn fields_of(&self, codes: &[u64]) -> Option<Vec<CodeFields>> {
        let layout = self.layout;
        let offsets = [layout.object_type, layout.code_first_line, layout.code_name, layout.code_file];
        let mut parts = Vec::with_capacity(4 * codes.len());
        for code in codes {
            for offset in offsets {
                parts.push((code.checked_add(offset.into())?, 8));
            }
        }
        let bytes = self.memory.gather(&parts)?;
        let (objects, _) = bytes.as_chunks::<{ 4 * 8 }>();
        let fields = objects.iter().map(|object| {
            Some(CodeFields {
                object_type: u64_at(object, 0)?,
                line: u64_at(object, 8)? as u32,
                name: u64_at(object, 16)?,
                file: u64_at(object, 24)?,
            })
        });
        fields.collect()
    }

    /// Of each of these code objects what changes if another one with other names comes to its address: its line, the
    /// addresses of both strs, and what the interpreter has computed of them (length and hash). `None`: it can't be read.
    pub fn names_of(&self, codes: &[u64]) -> Option<Vec<CodeNames>> {
        let fields = self.fields_of(codes)?;
        let mut parts = Vec::with_capacity(2 * fields.len());
        for fields in &fields {
            for object in [fields.name, fields.file] {
                parts.push((object.checked_add(self.layout.str_length.into())?, 16));
            }
        }
        let bytes = self.memory.gather(&parts)?;
        let (strs, _) = bytes.as_chunks::<{ 2 * 16 }>();
        let names = fields.iter().zip(strs);
        Some(names.map(|(fields, &strs)| (fields.line, fields.name, fields.file, strs)).collect())
    }

    /// What the kernel side would send of a function. `None`: it can't be read.
    pub fn function(&self, code: u64, process: u32, id: u32) -> Option<FunctionRecord> {
        let field = |offset: u16| self.memory.pointer(code, offset.into());
        let mut record = FunctionRecord::new_zeroed();
        let (name, name_cut) = self.text(field(self.layout.code_name)?, NAME_BYTES, false)?;
        let (file, file_cut) = self.text(field(self.layout.code_file)?, FILE_BYTES, true)?;
        record.name.get_mut(..name.bytes.len())?.copy_from_slice(&name.bytes);
        record.file.get_mut(..file.bytes.len())?.copy_from_slice(&file.bytes);
        (record.name_bytes, record.name_width) = (name.bytes.len() as u16, name.width);
        (record.file_bytes, record.file_width) = (file.bytes.len() as u16, file.width);
        record.first_line = field(self.layout.code_first_line)? as u32;
        record.code_flags = field(self.layout.code_flags)? as u32;
        (record.code, record.process) = (code, process);
        let cut = |cut: bool, flag: u8| if cut { flag } else { 0 };
        let flags = cut(name_cut, flag::NAME_CUT) | cut(file_cut, flag::FILE_CUT);
        record.header = Header { time_ns: 0, value: id, thread: 0, kind: kind::FUNCTION, flags };
        Some(record)
    }

    /// The characters of a str, as far as there is room for them, and whether they were cut; `end`: of a longer one the
    /// end is kept.
    fn text(&self, object: u64, room: usize, end: bool) -> Option<(Text, bool)> {
        let length = self.memory.pointer(object, self.layout.str_length.into())?;
        let state = self.memory.pointer(object, self.layout.str_state.into())? as u32;
        // From the `kind` field on: kind (3 bits), compact, ascii; the same in 3.8 to 3.15.
        let state = state >> self.layout.str_kind_shift;
        let (width, compact, ascii) = ((state & 7) as u8, state & 8 != 0, state & 16 != 0);
        if !compact || ![1, 2, 4].contains(&width) || length > u64::from(u32::MAX) {
            return None;
        }
        let offset = if ascii { self.layout.str_ascii } else { self.layout.str_compact };
        let characters = object.checked_add(offset.into())?;
        let size = length * u64::from(width);
        let kept = size.min(room as u64);
        let skipped = if end { size - kept } else { 0 };
        let mut bytes = vec![0; kept as usize];
        self.memory.read(characters.checked_add(skipped)?, &mut bytes)?;
        Some((Text { bytes, width }, kept < size))
    }
}

/// Characters as the interpreter stores them.
struct Text {
    bytes: Vec<u8>,
    /// Bytes per character.
    width: u8,
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    };

    use super::*;
    use crate::python::thread_state::ThreadOffsets;

    /// glibc's own descriptor of a thread is what we take it for.
    #[test]
    fn a_descriptor_holds_the_id_of_its_thread() {
        let (layout, states) = (Layout::default(), states());
        let unwinder = Unwinder {
            memory: Memory::of(std::process::id()),
            layout: &layout,
            states: &states,
            runtime: 0,
            code_type: 0,
        };
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // SAFETY: no arguments.
                let ids = unsafe { (libc::pthread_self(), libc::gettid() as u32) };
                tell.send(ids).unwrap();
                // Until the other end is dropped.
                let _ = ended.recv();
            });
            let (descriptor, tid) = told.recv().unwrap();
            assert_eq!(unwinder.id_in_descriptor(descriptor), Some(tid));
            drop(end);
        });
        let no_descriptor = [1_u64; 100];
        assert_eq!(unwinder.id_in_descriptor((&raw const no_descriptor) as u64), None);
        assert_eq!(unwinder.id_in_descriptor(0), None);
    }

    /// A list that leads back to its beginning.
    #[test]
    fn a_list_without_end_is_given_up() {
        // The runtime's first interpreter, which is its own thread state, whose next is itself; without a frame.
        let memory = [const { AtomicU64::new(0) }; 4];
        let (runtime, own) = (memory[0].as_ptr() as u64, memory[1].as_ptr() as u64);
        memory[0].store(own, Ordering::Relaxed);
        memory[1].store(own, Ordering::Relaxed);
        let (layout, states) = (Layout::default(), states());
        let unwinder = Unwinder {
            memory: Memory::of(std::process::id()),
            layout: &layout,
            states: &states,
            runtime,
            code_type: 0,
        };
        assert_eq!(unwinder.threads(), None);
    }

    fn states() -> ThreadStates {
        ThreadStates {
            runtime: 0,
            offsets: ThreadOffsets {
                first_interpreter: 0,
                next_interpreter: 0,
                first_thread: 0,
                next_thread: 0,
                frame: 8,
                frame_in_c_frame: None,
                thread: ThreadId::Native(16),
            },
        }
    }
}
