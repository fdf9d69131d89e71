//! Builds with dtrace: `function__entry` and `function__return`, where they tell of every frame.

use tracer_common::{layout::Layout, site::Unseen};

use super::{Draft, Image, Lacks};
use crate::python::{
    handler_table::HandlerTable,
    machine::{
        counter_sites::{self, Counted},
        function_sites,
    },
    opcodes::Opcodes,
    plan::{Meaning, ProbeSite, Source},
    refusal::Lack,
    usdt_notes::UsdtNote,
};

impl Image<'_> {
    pub(super) fn usdt(&self, layout: &Layout) -> Result<Draft, Lacks> {
        // 3.11 passes its entry probe only where C calls Python; 3.12 to 3.14 have none of the two.
        if self.version.minor == 11 {
            return Err(Lack::UsdtEntry.into());
        }
        let opcodes = self.table.opcodes.as_ref();
        let table = opcodes.and_then(|opcodes| HandlerTable::find(self.elf, opcodes));
        let handlers = table.as_ref().map_or(&[][..], HandlerTable::handlers);
        let mut sites =
            self.usdt_sites(Meaning::Start, "function__entry", handlers, layout).ok_or(Lack::Usdt)?;
        sites.extend(self.usdt_ends(handlers, layout).ok_or(Lack::Usdt)?);
        sites.extend(self.raises(handlers));
        let resume_opcodes = opcodes.map(Opcodes::resumes).unwrap_or_default();
        Ok(Draft { source: Source::Usdt, unseen: Unseen::Nothing, resume_opcodes, sites })
    }

    /// `handlers`: all that is known to be in the eval loop.
    pub(super) fn usdt_ends(&self, handlers: &[u64], layout: &Layout) -> Option<Vec<ProbeSite>> {
        self.usdt_sites(Meaning::End, "function__return", handlers, layout)
    }

    /// Where the interpreter asks whether anybody listens at the probe, or else the probe.
    fn usdt_sites(
        &self,
        meaning: Meaning,
        name: &str,
        handlers: &[u64],
        layout: &Layout,
    ) -> Option<Vec<ProbeSite>> {
        let note = self.note(name)?;
        let counted = note.semaphore.map(|counter| Counted { probe: note.address, counter });
        let tests = counted
            .and_then(|counted| counter_sites::tests(self.elf, &self.functions, handlers, counted, layout));
        match tests {
            Some(hooks) => {
                let what = format!("before USDT {name}");
                hooks.into_iter().map(|hook| self.site(meaning, Some(hook), &what)).collect()
            }
            None => self.usdt_site(meaning, note, layout).map(|site| vec![site]),
        }
    }

    fn usdt_site(&self, meaning: Meaning, note: &UsdtNote, layout: &Layout) -> Option<ProbeSite> {
        let semaphore_offset = note.semaphore.and_then(|address| self.elf.file_offset(address));
        let hook = if layout.frame_last_index == 0 {
            function_sites::probe_function(self.elf, &self.functions, note.address)
        } else {
            function_sites::probe_inlined(self.elf, &self.functions, note.address, layout)
        };
        let site = self.site(meaning, hook, &format!("USDT {}", note.name))?;
        Some(ProbeSite { semaphore_offset, ..site })
    }
}
