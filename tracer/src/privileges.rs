//! Giving up privileges as soon as they are not needed any more: what is left can't be misused, whatever a traced process
//! makes of its names and memory.
//!
//! | Capability | For |
//! |---|---|
//! | `CAP_BPF`, `CAP_PERFMON` | to load programs and maps; to let them trace, and to put them in place |
//! | `CAP_SYS_ADMIN` | the same, where probes are perf events (before Linux 6.6) |
//! | `CAP_SYS_PTRACE` | to look at processes of others: their maps, interpreter and memory |
//! | `CAP_CHECKPOINT_RESTORE` | to open an interpreter that was deleted or replaced |
//! | `CAP_DAC_READ_SEARCH`, `CAP_DAC_OVERRIDE` | files and folders of others: an interpreter, and where a log is to be |
//! | `CAP_SYS_RESOURCE` | that those who take probes away are spared when memory runs out |
//!
//! Only the first line is needed in any case; nothing is taken that was not there.

use log::debug;
use rustix::thread::{
    CapabilitySet as Set, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

/// What there still is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To trace; how probes are put in place is not known yet.
    Record,
    /// To trace by uprobe-multi links.
    Trace,
    /// To go on with samples that have begun.
    Sample,
    /// To put probes in place, and to take them away.
    Probes,
    /// To read and write files.
    Files,
    /// To compute, and to write files of our own.
    Nothing,
}

impl Need {
    fn capabilities(self) -> Set {
        let files = Set::DAC_READ_SEARCH | Set::DAC_OVERRIDE;
        let sample = files | Set::BPF | Set::SYS_PTRACE | Set::CHECKPOINT_RESTORE | Set::SYS_RESOURCE;
        match self {
            Self::Record => sample | Set::PERFMON | Set::SYS_ADMIN,
            Self::Trace => sample | Set::PERFMON,
            Self::Sample => sample,
            Self::Probes => Set::BPF | Set::PERFMON,
            Self::Files => files,
            Self::Nothing => Set::empty(),
        }
    }
}

/// Gives up, for this thread and those that it starts, all that is not needed for this, for good. Makes system calls only.
///
/// # Errors
/// If a filter of system calls refuses it.
pub fn keep(need: Need) -> rustix::io::Result<()> {
    // Nothing that is executed from here on gets more than we have.
    set_no_new_privs(true)?;
    let held = capabilities(None)?;
    let kept = need.capabilities();
    set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective & kept,
            permitted: held.permitted & kept,
            inheritable: Set::empty(),
        },
    )
}

/// The same. Should it be refused, we go on with what we have.
pub fn keep_only(need: Need) {
    if let Err(error) = keep(need) {
        debug!("can't give up privileges: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_need_is_less_than_the_one_before() {
        let needs = [Need::Record, Need::Trace, Need::Sample, Need::Files, Need::Nothing];
        for pair in needs.windows(2) {
            let [more, less] = [pair[0].capabilities(), pair[1].capabilities()];
            assert!(more.contains(less) && more != less, "{pair:?}");
        }
        assert!(Need::Trace.capabilities().contains(Need::Probes.capabilities()));
    }

    /// In a thread of its own: it can't be undone.
    #[test]
    fn what_is_given_up_is_gone() {
        std::thread::spawn(|| {
            keep(Need::Nothing).unwrap();
            assert_eq!(capabilities(None).unwrap().permitted, Set::empty());
            assert!(rustix::thread::no_new_privs().unwrap());
            keep(Need::Record).unwrap();
            assert_eq!(capabilities(None).unwrap().effective, Set::empty());
        })
        .join()
        .unwrap();
    }
}
