//! CPython up to 3.10: each run of a frame is one call of a function.

use tracer_common::{layout::Layout, site::Unseen};

use super::{Draft, Image, Lacks};
use crate::python::{
    machine::run_sites::{self, Arguments},
    plan::{Meaning, Source},
    refusal::Lack,
};

/// From this version on the thread state is passed as well, before the frame.
const FIRST_WITH_THREAD_STATE: u8 = 9;

impl Image<'_> {
    /// `usdt`: the probe point at which runs end may be used where the function shows no place.
    pub(super) fn run_function(&self, layout: &Layout, usdt: bool) -> Result<Draft, Lacks> {
        let arguments = Arguments::after(usize::from(self.version.minor >= FIRST_WITH_THREAD_STATE));
        let begin = run_sites::begin(self.elf, arguments);
        let begin = self.site(Meaning::Start, begin, "_PyEval_EvalFrameDefault, begin").ok_or(Lack::Run)?;
        let ends = run_sites::ends(self.elf, &self.functions, layout).into_iter();
        let mut sites: Vec<_> = ends
            .filter_map(|hook| self.site(Meaning::End, Some(hook), "_PyEval_EvalFrameDefault, end"))
            .collect();
        let mut source = Source::Eval;
        if sites.is_empty() {
            let ends = if usdt { self.usdt_ends(&[], layout) } else { None };
            sites.extend(ends.ok_or(Lack::Run)?);
            source = Source::EvalUsdt;
        }
        sites.push(begin);
        // Throws start frames like calls here: without this it is only not known which ends were by an exception.
        sites.extend(self.raises(&[]));
        Ok(Draft { source, unseen: Unseen::Nothing, resume_opcodes: [0; 4], sites })
    }
}
