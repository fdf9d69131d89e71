//! Samples of the targets while no probe is in place: a short recording of its own, before and after the one that is
//! asked for.

use std::time::Duration;

use anyhow::Result;
use log::debug;

use super::{Options, Outcome, Targets, note, session::Session, stop::Stop};
use crate::{
    log::recording::Recording,
    python::plan::{SourceChoice, Wanted},
    report::{Report, Untraced},
    text::one_line,
    units,
};

/// Samples a second and CPU. No multiple of what programs do often, nor of what the kernel does.
const RATE: u32 = 1999;

/// Samples the targets for as long as the options say. `None`: that is not asked for or can't be done, which is no reason
/// not to trace.
pub(super) async fn sample(options: &Options, stop: &mut Stop) -> Option<Report> {
    let duration = options.untraced;
    if duration.is_zero() || stop.was_asked || !are_there(&options.targets) {
        return None;
    }
    let sampled = Options {
        wanted: Wanted { source: SourceChoice::Sample, ..Wanted::default() },
        sample_rate: Some(RATE),
        sample_memory: false,
        duration: Some(duration),
        untraced: Duration::ZERO,
        log: None,
        aggregate: None,
        ..options.clone()
    };
    let session = Session::start(&sampled, None).map_err(|error| debug!("{}", one_line(&error))).ok()?.0;
    note(&format!("sampling without probes for {}", units::duration(duration.as_nanos() as u64)));
    session.run(stop, None, sampled.duration).await.ok().map(|outcome| outcome.report)
}

/// Processes named one by one: of others it is not known yet which there will be, and a command has not begun.
fn are_there(targets: &Targets) -> bool {
    matches!(targets, Targets::Selected(selection) if selection.selectors.is_empty())
}

/// Adds what was sampled to a recording's report and log.
pub(super) fn add(
    before: Option<&Report>,
    after: Option<&Report>,
    options: &Options,
    outcome: &mut Outcome,
) -> Result<()> {
    let Some(untraced) = Untraced::of(before, after) else { return Ok(()) };
    if let Some((log, _)) = options.log.as_ref().filter(|_| !outcome.incomplete) {
        Recording::add_untraced(log, &untraced)?;
    }
    outcome.report.add_untraced(untraced);
    Ok(())
}
