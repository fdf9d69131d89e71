//! The results as tables of Markdown.

use std::fmt::Write as _;

use pythons::{Python, Trait};

use super::measured::{Build, Cost};
use crate::tally::Tally;

/// A build and what came out.
pub(super) struct Row {
    pub(super) python: Python,
    pub(super) state: State,
}

/// What came out.
pub(super) enum State {
    /// It is not on this machine, and why.
    Missing(String),
    /// Its tests ran.
    Tested {
        /// Its plan and cost, if it could be measured.
        build: Option<Build>,
        counts: Tally,
        hard_cases: Tally,
    },
}

impl Row {
    /// Did a test fail?
    pub(super) fn fails(&self) -> bool {
        matches!(self.state, State::Tested { counts, hard_cases, .. } if counts.failed + hard_cases.failed > 0)
    }

    /// A line for people.
    pub(super) fn summary(&self) -> String {
        let tests = match &self.state {
            State::Missing(_) => String::new(),
            State::Tested { counts, hard_cases, .. } => {
                format!("; counts {}, hard cases {}", passed(*counts), passed(*hard_cases))
            }
        };
        format!("{}: {}{tests}", self.python.name(), self.result())
    }

    fn result(&self) -> &'static str {
        match &self.state {
            State::Missing(_) => "untested",
            State::Tested { .. } if self.fails() => "**fails**",
            State::Tested { build: Some(Build { plan: Some(plan), .. }), .. } => {
                match (self.python.has(Trait::Jit), plan.exact) {
                    (true, _) => "incomplete",
                    (_, true) => "exact",
                    (_, false) => "untested",
                }
            }
            State::Tested { .. } => "no",
        }
    }

    fn build(&self) -> Option<&Build> {
        match &self.state {
            State::Tested { build, .. } => build.as_ref(),
            State::Missing(_) => None,
        }
    }

    /// The version, with the patch where it is known.
    fn version(&self) -> &str {
        let plan = self.build().and_then(|build| build.plan.as_ref());
        plan.map_or(self.python.version(), |plan| &plan.version)
    }

    fn source(&self) -> String {
        let plan = self.build().and_then(|build| build.plan.as_ref());
        plan.map_or("-".into(), |plan| format!("`{}`, {} sites", plan.source, plan.sites))
    }

    fn cost(&self, show: fn(&Cost) -> String) -> String {
        self.build().and_then(|build| build.cost.as_ref()).map_or("-".into(), show)
    }

    /// What is not as one would wish.
    fn remarks(&self) -> String {
        let build = match &self.state {
            State::Missing(why) => return format!("not on the machine of this run: {why}"),
            State::Tested { build, .. } => build.as_ref(),
        };
        let mut remarks = Vec::new();
        if self.python.has(Trait::Jit) {
            remarks.push("calls in compiled code are not seen, and the report says so");
        }
        if let Some(build) = build {
            remarks.extend(build.refusal.as_deref());
            remarks.extend(build.plan.iter().flat_map(|plan| plan.limits.iter().map(String::as_str)));
        }
        remarks.join("; ").replace('|', "\\|")
    }
}

fn passed(tally: Tally) -> String {
    let all = tally.passed + tally.failed;
    if all == 0 { "-".into() } else { format!("{} of {all}", tally.passed) }
}

/// With all there is to say.
pub(super) fn detailed(rows: &[Row]) -> String {
    let mut text = String::from(
        "| CPython | Build | Result | Source | Counts | Hard cases | Added to a call | Of empty probes | Limits |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let (counts, hard_cases) = match row.state {
            State::Missing(_) => ("-".into(), "-".into()),
            State::Tested { counts, hard_cases, .. } => (passed(counts), passed(hard_cases)),
        };
        let (version, name, build, result) =
            (row.version(), row.python.name(), row.python.build(), row.result());
        let (source, remarks) = (row.source(), row.remarks());
        let (added, ratio) = (
            row.cost(|cost| format!("{:.0} ns", cost.added_ns)),
            row.cost(|cost| format!("{:.2}", cost.of_empty)),
        );
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| {version} | `{name}`: {build} | {result} | {source} | {counts} | {hard_cases} | {added} | {ratio} | {remarks} |"
        );
    }
    text
}

/// For a first look.
pub(super) fn short(rows: &[Row]) -> String {
    let mut text = String::from("| CPython | Build | Result | Added to a call |\n|---|---|---|---|\n");
    for row in rows {
        let (version, build, result) = (row.version(), row.python.build(), row.result());
        let cost = row.cost(|cost| format!("{:.0} ns", cost.added_ns));
        let _ = writeln!(text, "| {version} | {build} | {result} | {cost} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use pythons::Python;

    use super::{Row, State, detailed, short};
    use crate::{
        pythons::measured::{Build, Cost, Plan},
        tally::Tally,
    };

    fn row(python: Python, failed: u64) -> Row {
        let plan = Plan {
            version: format!("{}.2", python.version()),
            source: "eval".into(),
            sites: 6,
            exact: true,
            limits: vec!["a limit".into(), "another".into()],
        };
        let cost = Cost { added_ns: 1234.4, of_empty: 1.187 };
        let build = Build { name: python.name().into(), refusal: None, plan: Some(plan), cost: Some(cost) };
        let counts = Tally { passed: 17 - failed, failed, skipped: 40 };
        State::Tested { build: Some(build), counts, hard_cases: Tally::default() }.of(python)
    }

    impl State {
        fn of(self, python: Python) -> Row {
            Row { python, state: self }
        }
    }

    fn last_line(text: &str) -> &str {
        text.lines().last().unwrap()
    }

    #[test]
    fn a_build_has_a_row_in_each_table() {
        let rows = [row(Python::DEBIAN_3_11, 0)];
        assert_eq!(
            last_line(&detailed(&rows)),
            "| 3.11.2 | `3.11-debian`: program, dtrace, stripped | exact | `eval`, 6 sites | 17 of 17 | - | 1234 ns \
             | 1.19 | a limit; another |"
        );
        assert_eq!(last_line(&short(&rows)), "| 3.11.2 | program, dtrace, stripped | exact | 1234 ns |");
    }

    #[test]
    fn what_fails_is_not_hidden() {
        let row = row(Python::SID_3_14, 2);
        assert!(row.fails());
        assert_eq!(row.summary(), "3.14-sid: **fails**; counts 15 of 17, hard cases -");
    }

    #[test]
    fn a_build_that_is_not_here_is_untested() {
        let row = State::Missing("there is no such file".into()).of(Python::SHARED_3_8);
        assert!(!row.fails());
        assert_eq!(
            last_line(&detailed(&[row])),
            "| 3.8 | `3.8-shared`: shared library, without dtrace | untested | - | - | - | - | - | not on the machine \
             of this run: there is no such file |"
        );
    }

    #[test]
    fn compiled_code_is_incomplete_whatever_passes() {
        assert_eq!(row(Python::JIT_3_14, 0).result(), "incomplete");
    }
}
