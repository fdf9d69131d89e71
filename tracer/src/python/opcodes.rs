//! Numbers of the opcodes that begin, resume and end frames, per minor version of CPython. They are fixed within a
//! minor version. Together with a row in `layout.rs`, a row here is what a new version needs.
//!
//! Source: `Include/opcode_ids.h` (3.13+), `Include/opcode.h` (before), checked against the handlers of real
//! binaries: 3.11.2, 3.11.7, 3.12.1, 3.13.0, 3.13.18, 3.14.10, 3.15.2.

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
    /// 11 in 3.11.
    pub minor: u8,
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

/// The opcodes of a minor version.
pub fn of(minor: u8) -> Option<&'static Opcodes> {
    TABLE.iter().find(|t| t.minor == minor)
}

const fn opcode(number: u8, name: &'static str) -> Opcode {
    Opcode { number, name, accepts: [number, number], form: Form::General }
}

const fn quick(number: u8, name: &'static str) -> Opcode {
    Opcode { form: Form::Quick, ..opcode(number, name) }
}

const fn instrumented(number: u8, name: &'static str) -> Opcode {
    Opcode { form: Form::Instrumented, ..opcode(number, name) }
}

static TABLE: [Opcodes; 5] = [
    Opcodes {
        minor: 11,
        undefined: &[181..=254],
        // With a trace function set, DO_TRACING jumps to the RESUME handler while memory holds RESUME_QUICK.
        starts: &[
            Opcode { accepts: [150, 151], ..opcode(151, "RESUME") },
            Opcode { accepts: [150, 151], ..quick(150, "RESUME_QUICK") },
        ],
        yields: &[opcode(86, "YIELD_VALUE")],
        return_value: 83,
    },
    Opcodes {
        minor: 12,
        undefined: &[169..=170, 177..=236, 255..=255],
        starts: &[opcode(151, "RESUME"), instrumented(240, "INSTRUMENTED_RESUME")],
        yields: &[opcode(150, "YIELD_VALUE"), opcode(243, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 83,
    },
    Opcodes {
        minor: 13,
        undefined: &[119..=148, 223..=235, 255..=255],
        starts: &[
            opcode(149, "RESUME"),
            quick(207, "RESUME_CHECK"),
            instrumented(236, "INSTRUMENTED_RESUME"),
        ],
        yields: &[opcode(118, "YIELD_VALUE"), opcode(241, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 36,
    },
    Opcodes {
        minor: 14,
        undefined: &[121..=127, 212..=233],
        starts: &[
            opcode(128, "RESUME"),
            quick(196, "RESUME_CHECK"),
            instrumented(245, "INSTRUMENTED_RESUME"),
        ],
        yields: &[opcode(120, "YIELD_VALUE"), opcode(247, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 35,
    },
    Opcodes {
        minor: 15,
        undefined: &[120..=127, 219..=232],
        starts: &[
            opcode(128, "RESUME"),
            quick(200, "RESUME_CHECK"),
            quick(201, "RESUME_CHECK_JIT"),
            instrumented(244, "INSTRUMENTED_RESUME"),
        ],
        yields: &[opcode(119, "YIELD_VALUE"), opcode(246, "INSTRUMENTED_YIELD_VALUE")],
        return_value: 33,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooked_opcodes_are_defined_ones() {
        for table in &TABLE {
            let undefined = |n: u8| table.undefined.iter().any(|r| r.contains(&n));
            for opcode in table.starts.iter().chain(table.yields) {
                assert!(!undefined(opcode.number), "3.{} {}", table.minor, opcode.name);
            }
            assert!(!undefined(table.return_value));
        }
    }
}
