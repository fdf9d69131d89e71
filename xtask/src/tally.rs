//! Adding up what test runners say.

use std::{fmt, ops::AddAssign};

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// Reads a line of cargo test or of nextest; `None` if it is no summary.
    pub(crate) fn read(line: &str) -> Option<Self> {
        // nextest indents the output of failed tests, which has such results in it.
        let counts = match line.trim_start().strip_prefix("Summary [") {
            Some(rest) => rest.split_once(" run: ")?.1,
            None => line.strip_prefix("test result: ")?.split_once(". ")?.1,
        };
        let mut tally = Self::default();
        for count in counts.split([';', ',']) {
            let mut words = count.split_whitespace();
            let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else {
                continue;
            };
            match what {
                "passed" => tally.passed += number,
                "failed" | "timed" | "exec" => tally.failed += number,
                "ignored" | "skipped" => tally.skipped += number,
                _ => {}
            }
        }
        Some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn reads_cargo_test() {
        let line =
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(Tally::read(line), Some(tally(5, 0, 1)));
        let line =
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(Tally::read(line), Some(tally(4, 2, 0)));
    }

    #[test]
    fn reads_nextest() {
        let line = "     Summary [   0.005s] 12 tests run: 12 passed, 0 skipped";
        assert_eq!(Tally::read(line), Some(tally(12, 0, 0)));
        let line = "     Summary [   9.1s] 5 tests run: 2 passed (1 slow), 1 failed, 2 timed out, 4 skipped";
        assert_eq!(Tally::read(line), Some(tally(2, 3, 4)));
        assert_eq!(
            Tally::read("     Summary [   0.1s] 1 test run: 1 passed, 0 skipped"),
            Some(tally(1, 0, 0))
        );
    }

    #[test]
    fn leaves_other_lines() {
        assert_eq!(Tally::read("running 3 tests"), None);
        assert_eq!(
            Tally::read("    test result: FAILED. 0 passed; 1 failed; 0 ignored; finished in 3s"),
            None
        );
        assert_eq!(Tally::read("test tally::reads ... ok"), None);
    }
}
