//! The opcodes that begin, resume and end frames. Their numbers are fixed within a minor version ([`super::versions`]).

use std::ops::RangeInclusive;

use tracer_common::site::Form;

/// An opcode whose handler is hooked.
#[derive(Clone, Copy, Debug)]
pub struct Opcode {
    /// Its number.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// Numbers that may stand in memory when the handler runs and the event counts. Where a quick form falls back
    /// to the general one, the general handler runs again with the quick number in memory: that is a repetition.
    pub accepts: [u8; 2],
    /// Its form, where there are several of the same meaning.
    pub form: Form,
}

/// The opcodes of one minor version.
#[derive(Clone, Copy, Debug)]
pub struct Opcodes {
    /// Numbers that no opcode has. Their common handler serves nothing else, which tells the table of handlers
    /// from any other array of pointers.
    pub undefined: &'static [RangeInclusive<u8>],
    /// Begin or resume a frame.
    pub starts: &'static [Opcode],
    /// Suspend a frame.
    pub yields: &'static [Opcode],
    /// `RETURN_VALUE`, which calls the function that clears a frame.
    pub return_value: u8,
}

impl Opcodes {
    /// Numbers of all forms of RESUME; no version has more than four.
    pub fn resumes(&self) -> [u8; 4] {
        let mut numbers = [0; 4];
        for (number, opcode) in numbers.iter_mut().zip(self.starts) {
            *number = opcode.number;
        }
        numbers
    }
}

/// An opcode that has one form.
pub(super) const fn opcode(number: u8, name: &'static str) -> Opcode {
    Opcode { number, name, accepts: [number, number], form: Form::General }
}

/// A quick form.
pub(super) const fn quick(number: u8, name: &'static str) -> Opcode {
    Opcode { form: Form::Quick, ..opcode(number, name) }
}

/// The form that tells tools of it.
pub(super) const fn instrumented(number: u8, name: &'static str) -> Opcode {
    Opcode { form: Form::Instrumented, ..opcode(number, name) }
}
