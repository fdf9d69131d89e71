//! One set of probes for all processes of an interpreter file, where many of them are traced.
//!
//! A hit in a process passes the probes of all other processes of its file, some 25 ns each, and each set has to be put in
//! place and taken away. With one set for the file a hit costs the same for any number of processes. But then processes of
//! the file that are not traced have the probes too, so there must be next to none of those.

use std::collections::HashMap;

use super::{
    Followed,
    images::{ImageKey, image_key},
};
use crate::{
    discover::{Found, PythonProcess},
    text::shown,
    units::count,
};

/// From so many traced processes of one file on, they share their probes.
const CROWD: usize = 16;
/// For one process that is not traced there must be so many that are.
const TRACED_PER_OTHER: usize = 16;

/// Processes of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    traced: usize,
    others: usize,
}

impl Counts {
    fn is_shared(self) -> bool {
        self.traced >= CROWD && self.traced >= self.others * TRACED_PER_OTHER
    }
}

/// May so many processes make it worth looking?
pub(super) fn is_crowd(processes: usize) -> bool {
    processes >= CROWD
}

impl Followed {
    /// Decides which files get one set of probes. `there`: all Python processes; `is_wanted`: is this one to be traced?
    pub(super) fn share_probes(&mut self, there: &[Found], is_wanted: impl Fn(u32) -> bool) {
        let mut files: HashMap<ImageKey, Counts> = HashMap::new();
        for (pid, found) in there {
            let Ok(PythonProcess { image, .. }) = found else { continue };
            let counts = files.entry(image_key(image)).or_default();
            if is_wanted(*pid) {
                counts.traced += 1;
            } else {
                counts.others += 1;
            }
        }
        self.shared.extend(files.into_iter().filter(|(_, counts)| counts.is_shared()).map(|(key, _)| key));
    }

    /// What the report's reader should know of it. `stray_hits`: of processes that are not traced.
    pub(super) fn sharing_note(&self, stray_hits: u64) -> Option<String> {
        let shared =
            self.images.iter().filter(|(key, image)| self.shared.contains(key) && image.hooks.is_some());
        let paths: Vec<_> =
            shared.map(|(_, image)| shown(&image.shown_path.to_string_lossy()).into_owned()).collect();
        (!paths.is_empty()).then(|| {
            format!(
                "all processes of {} had the same probes, because so many were traced; those that were not traced hit \
                 them {} times",
                paths.join(", "),
                count(stray_hits)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_shared_by_many_if_next_to_nobody_else_pays() {
        let is_shared = |traced, others| Counts { traced, others }.is_shared();
        assert!(!is_shared(15, 0));
        assert!(is_shared(16, 0));
        assert!(is_shared(16, 1));
        assert!(!is_shared(31, 2));
        assert!(is_shared(200, 12));
    }
}
