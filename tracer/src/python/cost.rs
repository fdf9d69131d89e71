//! What a call would cost the traced thread, as an estimate: measured figures need a running kernel side.

use super::plan::{Meaning, Plan};

/// One hit at an instruction that the kernel emulates, in nanoseconds: 0.6 to 0.7 us where it was measured
/// (docs/overhead.md).
const EMULATED_NS: u64 = 650;
/// One hit at an instruction that the kernel has to single-step: 9.0 to 9.4 us on the same virtual machine; bare metal
/// is faster.
const SINGLE_STEPPED_NS: u64 = 9_200;

impl Plan {
    /// Estimate of what tracing adds to one call of a function that is not a generator, in nanoseconds: the call hits
    /// one place where frames start and one where they end. Of several the dearest counts.
    pub fn call_cost_ns(&self) -> u64 {
        [Meaning::Start, Meaning::End].into_iter().map(|meaning| self.hit_cost_ns(meaning)).sum()
    }

    fn hit_cost_ns(&self, meaning: Meaning) -> u64 {
        let sites = self.sites.iter().filter(|site| site.meaning == meaning);
        let costs = sites.map(|site| if site.emulated { EMULATED_NS } else { SINGLE_STEPPED_NS });
        costs.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_start_and_an_end() {
        let mut plan = crate::python::plan("/usr/bin/python3.11".as_ref()).expect("CPython 3.11");
        assert_eq!(plan.call_cost_ns(), 2 * EMULATED_NS);
        let end = plan.sites.iter_mut().find(|site| site.meaning == Meaning::End).expect("an end");
        end.emulated = false;
        assert_eq!(plan.call_cost_ns(), EMULATED_NS + SINGLE_STEPPED_NS);
    }
}
