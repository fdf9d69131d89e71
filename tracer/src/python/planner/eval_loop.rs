//! CPython 3.11 and later: frames begin, yield and raise in the eval loop's opcode handlers, and end in one function.

use tracer_common::{layout::Layout, site::Unseen};

use super::{Draft, Image, Lacks};
use crate::python::{
    handler_table::HandlerTable,
    machine::{Hook, eval_sites, function_sites},
    opcodes::{Opcode, Opcodes},
    plan::{Meaning, ProbeSite, Source},
    refusal::Lack,
};

/// CPython 3.11 has no function that every ending frame passes: compilers copy it into its callers. From 3.12 on there
/// is one.
const FIRST_WITH_FRAME_CLEAR: u8 = 12;

/// The handlers of an image.
struct Handlers {
    table: HandlerTable,
    opcodes: &'static Opcodes,
}

/// Where frames end or are suspended.
struct Ends {
    source: Source,
    unseen: Unseen,
    sites: Vec<ProbeSite>,
}

impl Image<'_> {
    /// `usdt`: the probe point at which frames end may be used where there is one.
    pub(super) fn eval_loop(
        &self,
        opcodes: &'static Opcodes,
        layout: &Layout,
        usdt: bool,
    ) -> Result<Draft, Lacks> {
        let table = HandlerTable::find(self.elf, opcodes).ok_or(Lack::HandlerTable)?;
        let handlers = Handlers { table, opcodes };
        let mut lacks = Lacks::default();
        let ends = if self.version.minor < FIRST_WITH_FRAME_CLEAR {
            self.ends_of_3_11(&handlers, layout, usdt)
        } else {
            self.ends(&handlers, layout)
        };
        let ends = lacks.note(ends);
        let starts = opcodes.starts.iter().map(|opcode| lacks.note(self.start(&handlers, opcode, layout)));
        let starts: Vec<_> = starts.collect();
        let raises = self.raises(handlers.table.handlers());
        lacks.note(if raises.is_empty() { Err(Lack::Raise) } else { Ok(()) });
        match ends {
            Some(Ends { source, unseen, sites }) if lacks.is_empty() => {
                let sites = sites.into_iter().chain(starts.into_iter().flatten()).chain(raises).collect();
                Ok(Draft { source, unseen, resume_opcodes: opcodes.resumes(), sites })
            }
            _ => Err(lacks),
        }
    }

    fn start(&self, handlers: &Handlers, opcode: &Opcode, layout: &Layout) -> Result<ProbeSite, Lack> {
        let hook = eval_sites::after_store(self.elf, handlers.table.handler(opcode.number), layout);
        let site = self.site(Meaning::Start, hook, &handler(opcode)).ok_or(Lack::Handler(opcode.name))?;
        Ok(ProbeSite { opcodes: opcode.accepts, form: opcode.form, ..site })
    }

    /// All ends, by one function, and the suspensions that have a handler with a cheap place.
    fn ends(&self, handlers: &Handlers, layout: &Layout) -> Result<Ends, Lack> {
        let end = function_sites::frame_clear(
            self.elf,
            handlers.table.handler(handlers.opcodes.return_value),
            layout,
        );
        let end = self.site(Meaning::End, end, "_PyEval_FrameClearAndPop").ok_or(Lack::FrameClear)?;
        let yields = handlers.opcodes.yields.iter().map(|opcode| self.suspension(handlers, opcode, layout));
        let mut sites: Vec<_> = yields.flatten().collect();
        let unseen =
            if sites.len() < handlers.opcodes.yields.len() { Unseen::Suspensions } else { Unseen::Nothing };
        sites.push(end);
        Ok(Ends { source: Source::Eval, unseen, sites })
    }

    fn ends_of_3_11(&self, handlers: &Handlers, layout: &Layout, usdt: bool) -> Result<Ends, Lack> {
        if usdt && let Some(sites) = self.usdt_ends(handlers.table.handlers(), layout) {
            return Ok(Ends { source: Source::EvalUsdt, unseen: Unseen::Nothing, sites });
        }
        let yields = handlers
            .opcodes
            .yields
            .iter()
            .map(|opcode| self.suspension(handlers, opcode, layout).ok_or(Lack::Handler(opcode.name)));
        let mut sites = yields.collect::<Result<Vec<_>, _>>()?;
        let return_value = handlers.table.handler(handlers.opcodes.return_value);
        let end = eval_sites::after_store(self.elf, return_value, layout).map(without_instruction);
        let end =
            self.site(Meaning::End, end, "RETURN_VALUE handler").ok_or(Lack::Handler("RETURN_VALUE"))?;
        sites.push(end);
        Ok(Ends { source: Source::Eval, unseen: Unseen::Unwinds, sites })
    }

    fn suspension(&self, handlers: &Handlers, opcode: &Opcode, layout: &Layout) -> Option<ProbeSite> {
        let address = handlers.table.handler(opcode.number);
        let hook = eval_sites::after_store(self.elf, address, layout)
            .or_else(|| eval_sites::after_unlink(self.elf, address, layout));
        let site = self.site(Meaning::Yield, hook.map(without_instruction), &handler(opcode));
        let slow = || {
            let hook = eval_sites::right_after_store(self.elf, address, layout);
            let site = self.site(Meaning::Yield, hook, &handler(opcode))?;
            Some(ProbeSite { emulated: false, ..site })
        };
        site.or_else(|| self.exact_yields.then(slow).flatten())
    }
}

fn handler(opcode: &Opcode) -> String {
    format!("{} handler", opcode.name)
}

/// Where a frame is left, the stored pointer may be ahead of the opcode already: nothing is to rely on it.
fn without_instruction(hook: Hook) -> Hook {
    Hook { instruction: None, ..hook }
}
