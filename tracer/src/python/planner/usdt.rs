//! Builds with dtrace: `function__entry` and `function__return`, where they tell of every frame.

use tracer_common::site::Unseen;

use super::{Draft, Image};
use crate::python::{
    function_sites,
    handler_table::HandlerTable,
    opcodes::{self, Opcodes},
    plan::{Meaning, ProbeSite, Source},
    refusal::Lack,
};

impl Image<'_> {
    pub(super) fn usdt(&self) -> Result<Draft, Lack> {
        // 3.11 passes its entry probe only where C calls Python; 3.12 to 3.14 have none of the two.
        if self.version.minor == 11 {
            return Err(Lack::UsdtEntry);
        }
        let entry = self.usdt_site(Meaning::Start, "function__entry").ok_or(Lack::Usdt)?;
        let end = self.usdt_end().ok_or(Lack::Usdt)?;
        let mut sites = vec![entry, end];
        let opcodes = opcodes::of(self.version.minor);
        let table = opcodes.and_then(|opcodes| HandlerTable::find(self.elf, opcodes));
        sites.extend(self.raises(table.as_ref().map_or(&[], HandlerTable::handlers)));
        let resume_opcodes = opcodes.map(Opcodes::resumes).unwrap_or_default();
        Ok(Draft { source: Source::Usdt, unseen: Unseen::Nothing, resume_opcodes, sites })
    }

    pub(super) fn usdt_end(&self) -> Option<ProbeSite> {
        self.usdt_site(Meaning::End, "function__return")
    }

    fn usdt_site(&self, meaning: Meaning, name: &str) -> Option<ProbeSite> {
        let note = self.note(name)?;
        let semaphore_offset = note.semaphore.and_then(|address| self.elf.file_offset(address));
        let hook = function_sites::probe_function(self.elf, &self.functions, note.address);
        let site = self.site(meaning, hook, &format!("USDT {name}"))?;
        Some(ProbeSite { semaphore_offset, ..site })
    }
}
