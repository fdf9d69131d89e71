//! Whether the probes of an image see what its plan promises. If they don't, the plan is wrong for this build: its
//! processes are let go, rather than counted wrongly.

use tracer_common::state;

use super::{Followed, images::ImageKey};
use crate::{engine::Engine, event::ProcessIndex, record::note};

/// So many hits that fail their check may be chance: a frame that is changed while it is looked at.
const CHANCE: u64 = 20;
/// More than one hit in so many that fails its check is none.
const ONE_IN: u64 = 100;

impl Followed {
    /// Lets go of the images whose probes have failed their checks.
    pub(super) fn let_go_of_the_distrusted(&mut self, engine: &Engine) {
        let failing: Vec<_> = self
            .processes
            .iter()
            .filter_map(|(&index, process)| {
                let state = self.kernel.process(index).ok()?;
                let fails = state.mismatches > CHANCE
                    && state.mismatches.saturating_mul(ONE_IN) > self.hits_of(index, &state);
                fails.then_some((process.image, process.pid, state))
            })
            .collect();
        for (key, pid, state) in failing {
            self.distrust(key, pid, &state, engine);
        }
    }

    /// Did that happen?
    pub(in crate::record) fn has_distrusted(&self) -> bool {
        self.images.values().any(|image| image.distrusted)
    }

    fn hits_of(&self, index: ProcessIndex, state: &state::Process) -> u64 {
        let threads = self.kernel.live_threads();
        let own = threads.iter().filter(|(_, thread)| thread.process == index);
        state.hits + own.map(|(_, thread)| thread.hits).sum::<u64>()
    }

    fn distrust(&mut self, key: ImageKey, pid: u32, state: &state::Process, engine: &Engine) {
        let Some(image) = self.images.get_mut(&key).filter(|image| !image.distrusted) else { return };
        image.distrusted = true;
        let hooks = image.hooks.take();
        let Some(plan) = image.plan() else { return };
        let site = plan.sites.iter().find(|site| site.cookie(0, plan.unseen) == state.mismatch_site & !0xff);
        let site =
            site.map_or_else(|| "a place".to_owned(), |site| format!("{} at {:#x}", site.what, site.address));
        let said = format!(
            "process {pid} is traced no more: {site} does not hold what CPython {} has there ({} hits were not as \
             expected and are not counted); what was counted before is not to be relied on",
            plan.version, state.mismatches
        );
        note(&said);
        self.notes.push(said);
        let all = self.processes.iter().filter(|(_, process)| process.image == key);
        for (index, pid) in all.map(|(&index, process)| (index, process.pid)).collect::<Vec<_>>() {
            self.abandon(index, pid, engine);
        }
        self.in_background(move || drop(hooks));
    }
}
