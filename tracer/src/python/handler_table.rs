//! Finds the interpreter's table of opcode handlers: 256 code addresses in a row, also in a stripped file.
//!
//! The undefined opcodes of a version share one handler that nothing else uses. That pattern occurs once in a file
//! (tried on ten binaries of CPython 3.10 to 3.15, GCC and clang); it is absent where the interpreter was built
//! without computed gotos.

use std::iter;

use super::{elf::Elf, opcodes::Opcodes};

/// CPython 3.15 has a second table of the same pattern in which nearly all entries are the same; real tables have
/// 180 and more different handlers.
const MIN_HANDLERS: usize = 100;

/// Address of the handler of each opcode.
#[derive(Debug, PartialEq, Eq)]
pub struct HandlerTable(Vec<u64>);

impl HandlerTable {
    /// Finds the table of a version.
    pub fn find(elf: &Elf, opcodes: &Opcodes) -> Option<Self> {
        let undefined = positions(opcodes);
        let runs = if elf.position_independent() { relocated_runs(elf) } else { stored_runs(elf) };
        runs.iter()
            .flat_map(|run| run.windows(256))
            .find(|w| matches(w, &undefined))
            .map(|w| Self(w.to_vec()))
    }

    /// Address of an opcode's handler.
    pub fn handler(&self, opcode: u8) -> u64 {
        self.0.get(usize::from(opcode)).copied().unwrap_or_default()
    }

    /// All handlers.
    pub fn handlers(&self) -> &[u64] {
        &self.0
    }
}

/// For each opcode: is it undefined?
fn positions(opcodes: &Opcodes) -> Vec<bool> {
    (0..=255).map(|n| opcodes.undefined.iter().any(|r| r.contains(&n))).collect()
}

fn matches(window: &[u64], undefined: &[bool]) -> bool {
    let Some(first) = undefined.iter().position(|&u| u) else { return false };
    let shared = window[first];
    if !iter::zip(window, undefined).all(|(&target, &undefined)| (target == shared) == undefined) {
        return false;
    }
    let mut distinct = window.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() > MIN_HANDLERS
}

/// Runs of code addresses in a file loaded at a fixed address.
fn stored_runs(elf: &Elf) -> Vec<Vec<u64>> {
    let mut runs = Vec::new();
    for segment in elf.segments() {
        let Some(bytes) = elf.segment_bytes(segment) else { continue };
        let skip = (segment.address.wrapping_neg() % 8) as usize;
        let words = bytes.get(skip..).unwrap_or_default().chunks_exact(8);
        let words = words.filter_map(|w| w.try_into().ok()).map(u64::from_le_bytes);
        collect_runs(words.map(|target| (true, target)), elf, &mut runs);
    }
    runs
}

/// Runs of code addresses that relocation puts next to each other.
fn relocated_runs(elf: &Elf) -> Vec<Vec<u64>> {
    let mut runs = Vec::new();
    let mut previous = None;
    let slots = elf.relative_relocations().iter().map(|&(slot, target)| {
        let follows = previous.is_some_and(|p: u64| p.checked_add(8) == Some(slot));
        previous = Some(slot);
        (follows, target)
    });
    collect_runs(slots, elf, &mut runs);
    runs
}

/// Splits a sequence of (stands right after the one before, address) into runs of at least a table's length.
fn collect_runs(words: impl Iterator<Item = (bool, u64)>, elf: &Elf, runs: &mut Vec<Vec<u64>>) {
    let mut run = Vec::new();
    for (follows, target) in words {
        let code = elf.is_code(target);
        if !(follows && code) {
            keep(&mut run, runs);
        }
        if code {
            run.push(target);
        }
    }
    keep(&mut run, runs);
}

fn keep(run: &mut Vec<u64>, runs: &mut Vec<Vec<u64>>) {
    if run.len() >= 256 {
        runs.push(std::mem::take(run));
    } else {
        run.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::versions;

    #[test]
    fn pattern_of_undefined_opcodes() {
        for minor in 11..=15 {
            let undefined =
                positions(versions::of(minor).and_then(|table| table.opcodes.as_ref()).expect("a table"));
            let good: Vec<u64> = (0..256).map(|i| if undefined[i] { 7 } else { 1000 + i as u64 }).collect();
            assert!(matches(&good, &undefined), "3.{minor}");
            let mut shared = good.clone();
            shared[33] = 7;
            assert!(!matches(&shared, &undefined), "a defined opcode shares the handler");
            let flat: Vec<u64> = undefined.iter().map(|&u| u64::from(u)).collect();
            assert!(!matches(&flat, &undefined), "only two different handlers");
        }
    }
}
