//! What was not seen because the kernel has left out runs of our programs.

use crate::units::{count, counted};

/// What is said of them, by tracepoint: of one, and of several.
const UNSEEN: [(&str, &str, &str); 7] = [
    ("page_fault_user", "page fault", "page faults"),
    ("page_fault_kernel", "page fault within the kernel", "page faults within the kernel"),
    ("rss_stat", "change of memory (charged with the next)", "changes of memory (charged with the next)"),
    ("sched_wakeup_new", "fork (the child is not traced)", "forks (the children are not traced)"),
    ("sched_process_exec", "exec", "execs"),
    ("sched_process_exit", "end of a thread (found later)", "ends of threads (found later)"),
    ("sched_switch", "switch of threads", "switches of threads"),
];

/// What the report's reader should know of runs that were left out.
pub(super) fn note(skipped: &[(&'static str, u64)]) -> Option<String> {
    let unseen: Vec<_> = skipped
        .iter()
        .map(|&(name, runs)| match UNSEEN.iter().find(|(of, ..)| *of == name) {
            Some((_, one, _)) if runs == 1 => format!("1 {one}"),
            Some((_, _, many)) => format!("{} {many}", count(runs)),
            None => counted(runs, name),
        })
        .collect();
    let why = "the kernel leaves a program out while it is under way for another thread on the same CPU";
    (!unseen.is_empty()).then(|| format!("not seen: {}; {why}", unseen.join(", ")))
}

/// The same of switches to traced threads that were not reported to any program. `arrivals`: does the kernel say when a
/// thread came to its CPU?
pub(super) fn note_of_switches(unreported: u64, arrivals: bool) -> Option<String> {
    let times = counted(unreported, "time");
    let until = if arrivals {
        "its wait is taken from the scheduler's notes"
    } else {
        "its wait is taken to last until its next event, which may be too long"
    };
    (unreported > 0).then(|| {
        format!(
            "{times} the kernel did not report that a thread came to its CPU (kernels of some hosted machines hide switches \
             away from processes of their own); {until}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_not_seen() {
        assert_eq!(note(&[]), None);
        let note = note(&[("page_fault_user", 1200), ("sched_process_exit", 1)]).expect("there is one");
        assert!(note.starts_with("not seen: 1 200 page faults, 1 end of a thread (found later); "), "{note}");
    }

    #[test]
    fn it_says_how_switches_were_made_up_for() {
        assert_eq!(note_of_switches(0, true), None);
        let once = note_of_switches(1, true).expect("there is one");
        assert!(once.ends_with("taken from the scheduler's notes"), "{once}");
        let guessed = note_of_switches(2, false).expect("there are two");
        assert!(guessed.ends_with("which may be too long"), "{guessed}");
        assert!(once.starts_with("1 time the kernel did not report that a thread came to its CPU"), "{once}");
    }
}
