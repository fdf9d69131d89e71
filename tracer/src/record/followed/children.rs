//! What the report says of processes that came during the recording, by a fork or an exec: how many, and how soon their
//! probes were in place.

use crate::units::{count, duration};

/// How long it took each time, in nanoseconds.
#[derive(Debug, Default)]
struct Delays(Vec<u64>);

impl Delays {
    fn text(mut self) -> Option<String> {
        self.0.sort_unstable();
        let longest = *self.0.last()?;
        let median = self.0[(self.0.len() - 1) / 2];
        Some(format!(
            "probes in place after {} (median), {} (longest), calls before that are not counted",
            duration(median),
            duration(longest)
        ))
    }
}

/// Children of traced processes, and processes that called exec: traced ones, and others that are taken up.
#[derive(Debug, Default)]
pub(super) struct Children {
    forked: u64,
    ended_before: u64,
    after_fork: Delays,
    after_exec: Delays,
    taken_up: Delays,
    failed: u64,
    /// Why the first of those failed.
    failure: Option<String>,
}

impl Children {
    /// A process is followed from its fork on.
    pub(super) fn forked(&mut self) {
        self.forked += 1;
    }

    /// It had ended before its probes were in place.
    pub(super) fn ended_before(&mut self) {
        self.ended_before += 1;
    }

    /// Its probes are in place so long after its fork.
    pub(super) fn hooked_after_fork(&mut self, delay_ns: u64) {
        self.after_fork.0.push(delay_ns);
    }

    /// Its probes could not be put in place.
    pub(super) fn failed(&mut self, why: String) {
        self.failed += 1;
        self.failure.get_or_insert(why);
    }

    /// The probes of one that called exec are in place so long after that.
    pub(super) fn hooked_after_exec(&mut self, delay_ns: u64) {
        self.after_exec.0.push(delay_ns);
    }

    /// The probes of one that was not traced before are in place so long after its exec.
    pub(super) fn taken_up_after_exec(&mut self, delay_ns: u64) {
        self.taken_up.0.push(delay_ns);
    }

    /// Lines for the report. `missed`: children that the kernel side could not give an index.
    pub(super) fn notes(self, missed: u64) -> Vec<String> {
        let mut notes = Vec::new();
        if self.forked > 0 {
            let in_place = self.after_fork.text().map(|delays| format!("; {delays}")).unwrap_or_default();
            notes.push(format!("{} followed from their fork on{in_place}", were(self.forked)));
        }
        if self.ended_before > 0 {
            notes.push(format!("{} over before their probes were in place", were(self.ended_before)));
        }
        if let Some(why) = self.failure {
            notes.push(format!("{} not followed: {why}", were(self.failed)));
        }
        for (delays, how) in
            [(self.after_exec, "followed into another program"), (self.taken_up, "taken up after an exec")]
        {
            let execs = delays.0.len() as u64;
            if let Some(delays) = delays.text() {
                notes.push(format!("{} {how}; {delays}", were(execs)));
            }
        }
        if missed > 0 {
            notes.push(format!("{} not followed from their fork on: too many at once", were(missed)));
        }
        notes
    }
}

fn were(processes: u64) -> String {
    if processes == 1 { "1 process was".into() } else { format!("{} processes were", count(processes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_of_no_children() {
        assert!(Children::default().notes(0).is_empty());
    }

    #[test]
    fn delays_are_told_by_median_and_longest() {
        let mut children = Children::default();
        for delay_ns in [9_000_000, 1_000_000, 3_000_000] {
            children.forked();
            children.hooked_after_fork(delay_ns);
        }
        children.forked();
        children.ended_before();
        children.failed("first reason".into());
        children.failed("second reason".into());
        children.taken_up_after_exec(2_000_000);
        let notes = children.notes(2);
        let delays =
            "probes in place after 3.00 ms (median), 9.00 ms (longest), calls before that are not counted";
        assert_eq!(notes[0], format!("4 processes were followed from their fork on; {delays}"));
        assert_eq!(notes[1], "1 process was over before their probes were in place");
        assert_eq!(notes[2], "2 processes were not followed: first reason");
        let delays =
            "probes in place after 2.00 ms (median), 2.00 ms (longest), calls before that are not counted";
        assert_eq!(notes[3], format!("1 process was taken up after an exec; {delays}"));
        assert_eq!(notes[4], "2 processes were not followed from their fork on: too many at once");
    }
}
