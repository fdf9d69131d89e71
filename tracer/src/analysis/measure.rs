//! What call paths can be weighed by.

use super::tree::PathSums;
use crate::report::Account;
use crate::units::{count, duration, size};

/// Why there is nothing to say of memory.
pub(crate) const MEMORY_UNKNOWN: &str =
    "the recording has neither resident memory nor page faults: its kernel was older than Linux 6.2";

/// What a call path can be weighed by. Each counts what its last function did itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// Wall time, nanoseconds
    #[default]
    Wall,
    /// CPU time, nanoseconds
    Cpu,
    /// Time off CPU, nanoseconds
    OffCpu,
    /// Calls
    Calls,
    /// Resident memory added, bytes; what was given back is not taken off
    #[value(alias = "rss")]
    RssGrew,
    /// Resident memory given back, bytes
    RssShrank,
    /// Page faults
    Faults,
}

impl Measure {
    /// What a path weighs.
    pub fn of(self, path: &PathSums) -> u64 {
        let own = path.sums.own;
        match self {
            Self::Wall => own.wall_ns,
            Self::Cpu => own.cpu_ns(),
            Self::OffCpu => own.off_cpu_ns,
            Self::Calls => path.sums.calls,
            Self::RssGrew => path.grew_bytes,
            Self::RssShrank => path.shrank_bytes,
            Self::Faults => own.faults,
        }
    }

    /// An amount of it, for people.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Wall | Self::Cpu | Self::OffCpu => duration(amount),
            Self::Calls | Self::Faults => count(amount),
            Self::RssGrew | Self::RssShrank => size(amount),
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "cpu",
            Self::OffCpu => "off-cpu",
            Self::Calls => "calls",
            Self::RssGrew => "rss-grew",
            Self::RssShrank => "rss-shrank",
            Self::Faults => "faults",
        }
    }

    /// Why a recording with this account can't tell it; `None`: it can.
    pub fn why_not(self, account: &Account) -> Option<&'static str> {
        if account.sampling.is_some() && matches!(self, Self::Calls | Self::Faults) {
            Some(
                "samples count neither calls nor page faults: record without --source sample, or take --of wall, cpu, off-cpu, rss-grew or rss-shrank",
            )
        } else if account.memory_unknown && (self.is_memory() || self == Self::Faults) {
            Some(MEMORY_UNKNOWN)
        } else {
            None
        }
    }

    /// Can a recording with this account tell it?
    pub fn is_known(self, account: &Account) -> bool {
        self.why_not(account).is_none()
    }

    /// Is it an amount of memory?
    pub fn is_memory(self) -> bool {
        matches!(self, Self::RssGrew | Self::RssShrank)
    }

    /// What it is counted in.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Wall | Self::Cpu | Self::OffCpu => "ns",
            Self::Calls => "calls",
            Self::Faults => "faults",
            Self::RssGrew | Self::RssShrank => "bytes",
        }
    }
}
