//! Builds with dtrace: `function__entry` and `function__return`, where they tell of every frame.

use tracer_common::{layout::Layout, site::Unseen};

use super::{Draft, Image, Lacks};
use crate::python::{
    handler_table::HandlerTable,
    machine::function_sites,
    opcodes::Opcodes,
    plan::{Meaning, ProbeSite, Source},
    refusal::Lack,
};

impl Image<'_> {
    pub(super) fn usdt(&self, layout: &Layout) -> Result<Draft, Lacks> {
        // 3.11 passes its entry probe only where C calls Python; 3.12 to 3.14 have none of the two.
        if self.version.minor == 11 {
            return Err(Lack::UsdtEntry.into());
        }
        let entry = self.usdt_site(Meaning::Start, "function__entry", layout).ok_or(Lack::Usdt)?;
        let end = self.usdt_end(layout).ok_or(Lack::Usdt)?;
        let mut sites = vec![entry, end];
        let opcodes = self.table.opcodes.as_ref();
        let table = opcodes.and_then(|opcodes| HandlerTable::find(self.elf, opcodes));
        sites.extend(self.raises(table.as_ref().map_or(&[], HandlerTable::handlers)));
        let resume_opcodes = opcodes.map(Opcodes::resumes).unwrap_or_default();
        Ok(Draft { source: Source::Usdt, unseen: Unseen::Nothing, resume_opcodes, sites })
    }

    pub(super) fn usdt_end(&self, layout: &Layout) -> Option<ProbeSite> {
        self.usdt_site(Meaning::End, "function__return", layout)
    }

    fn usdt_site(&self, meaning: Meaning, name: &str, layout: &Layout) -> Option<ProbeSite> {
        let note = self.note(name)?;
        let semaphore_offset = note.semaphore.and_then(|address| self.elf.file_offset(address));
        let hook = if layout.frame_last_index == 0 {
            function_sites::probe_function(self.elf, &self.functions, note.address)
        } else {
            function_sites::probe_inlined(self.elf, &self.functions, note.address, layout)
        };
        let site = self.site(meaning, hook, &format!("USDT {name}"))?;
        Some(ProbeSite { semaphore_offset, ..site })
    }
}
