//! The processes that a recording is asked to take: by process id, or because they match, now or later.

use std::collections::HashSet;

use anyhow::{Result, bail};

use super::{Followed, Hooked, sharing::is_crowd};
use crate::{
    discover::{self, Found, Identity},
    record::Selection,
    text::shown,
};

/// Processes named in the error that none matches.
const NAMED: usize = 5;

impl Followed {
    /// Hooks the processes with these ids, and all that match; such ones that come later are then taken up.
    ///
    /// # Errors
    /// If one that was named can't be traced, or if there is nothing to trace.
    pub(in crate::record) fn hook_selected(&mut self, selection: &Selection) -> Result<Vec<Hooked>> {
        let selects = !selection.selectors.is_empty();
        self.selectors = selects.then(|| selection.selectors.clone());
        let there =
            if selects || is_crowd(selection.pids.len()) { discover::processes() } else { Vec::new() };
        let named: HashSet<_> = selection.pids.iter().copied().collect();
        let matching: HashSet<_> = there
            .iter()
            .map(|&(pid, _)| pid)
            .filter(|&pid| !named.contains(&pid) && self.is_selected(pid))
            .collect();
        self.share_probes(&there, |pid| named.contains(&pid) || matching.contains(&pid));
        let mut hooked: Vec<_> = selection.pids.iter().map(|&pid| self.hook(pid)).collect::<Result<_>>()?;
        if !selects {
            return Ok(hooked);
        }
        let there = there.into_iter().filter(|(pid, _)| !named.contains(pid));
        let (matching, others): (Vec<_>, Vec<_>) = there.partition(|(pid, _)| matching.contains(pid));
        let count = matching.len();
        hooked.extend(self.hook_each(matching));
        match count {
            _ if selection.wait || !hooked.is_empty() => Ok(hooked),
            0 => bail!("no Python process matches {}; --wait waits for one", inventory(&others)),
            _ => bail!("none of the matching processes can be traced ({count} left out)"),
        }
    }

    /// Does a process match the selectors?
    pub(super) fn is_selected(&self, pid: u32) -> bool {
        let who = Identity::of(pid).ok();
        self.selectors.as_ref().zip(who).is_some_and(|(selectors, who)| selectors.matches(&who))
    }
}

/// What there is instead of what was looked for: `(there is 4242 app.py, 4243 gunicorn)`.
fn inventory(others: &[Found]) -> String {
    if others.is_empty() {
        return "(there is none)".to_owned();
    }
    let named = others.iter().take(NAMED).filter_map(|&(pid, _)| {
        let who = Identity::of(pid).ok()?;
        let script = who.script.as_ref().map_or(who.name.as_str(), |script| script.name());
        Some(format!("{pid} {}", shown(script.rsplit('/').next().unwrap_or_default())))
    });
    let mut named: Vec<_> = named.collect();
    if others.len() > NAMED {
        named.push(format!("{} more", others.len() - NAMED));
    }
    format!("(there is {}; `pytracer ps` says what can be matched)", named.join(", "))
}
