//! What works on which kernel: in a virtual machine of each, what pytracer's own checks find, and the tests that see
//! what differs between kernels. Writes the table of `docs/supported.md`.

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Deserialize;

use crate::{
    build,
    command::step,
    document, setup,
    tally::Tally,
    test,
    vm::{self, Kernel},
};

/// Seconds that the checks may take.
const CHECK_SECONDS: u64 = 120;

/// What `pytracer doctor --json` says.
#[derive(Debug, Deserialize)]
struct Report {
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    status: String,
    found: String,
}

/// A kernel and what came out.
struct Row {
    kernel: Kernel,
    report: Report,
    tests: Tally,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Only these: 6.1, 6.12, or sid for Debian's newest. The rows of others stay as they are
    kernels: Vec<String>,
}

/// Runs everything and writes the table; true if no test failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let chosen: Vec<Kernel> = match &options.kernels[..] {
        [] => Kernel::ALL.into(),
        names => names.iter().map(|name| Kernel::named(name)).collect::<Result<_>>()?,
    };
    setup::all()?;
    let pytracer = build::release()?.display().to_string();
    let mut rows = Vec::new();
    for kernel in chosen {
        let doctor = [pytracer.clone(), "doctor".into(), "--json".into()];
        let said = vm::capture(kernel, &doctor, CHECK_SECONDS)?;
        let report = serde_json::from_str(&said).context("read what pytracer found")?;
        let row = Row { kernel, report, tests: test::vm_tests(kernel)? };
        step(&row.line());
        rows.push(row);
    }
    let old = document::read("docs/supported.md", "kernels")?;
    document::write("docs/supported.md", "kernels", &table(&rows, &old))?;
    for row in &rows {
        println!("{}", row.line());
    }
    Ok(rows.iter().all(|row| row.tests.failed == 0))
}

impl Row {
    /// What was found of a thing, and whether it is as it should be.
    fn found(&self, name: &str) -> (&str, bool) {
        let check = self.report.checks.iter().find(|check| check.name == name);
        check.map_or(("-", false), |check| (&check.found, check.status == "ok"))
    }

    fn passed(&self) -> String {
        format!("{} of {}", self.tests.passed, self.tests.passed + self.tests.failed)
    }

    /// A line of the table.
    fn cells(&self) -> String {
        let release = self.found("kernel").0.trim_start_matches("Linux ");
        let memory = if self.found("memory counters").1 { "yes" } else { "left out" };
        let probes = if self.found("uprobe-multi links").1 { "uprobe-multi links" } else { "perf events" };
        format!("| {release} {} {} | {memory} | {probes} |", suite_cell(self.kernel), self.passed())
    }

    /// A line for people.
    fn line(&self) -> String {
        format!("{}: {} tests passed", self.found("kernel").0, self.passed())
    }
}

/// What stands in the row of a kernel, and in no other.
fn suite_cell(kernel: Kernel) -> String {
    format!("| {} |", kernel.suite)
}

/// The table, with the lines of the old one for kernels that were not run.
fn table(rows: &[Row], old: &str) -> String {
    let head = "| Linux | Debian | Tests | Memory | Probes |\n|---|---|---|---|---|\n";
    let lines = Kernel::ALL.iter().filter_map(|&kernel| {
        let new = rows.iter().find(|row| row.kernel == kernel).map(Row::cells);
        new.or_else(|| old.lines().find(|line| line.contains(&suite_cell(kernel))).map(str::to_owned))
    });
    let lines: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
    [head, &lines].concat()
}

#[cfg(test)]
mod tests {
    use super::{Report, Row, Tally, table};
    use crate::vm::Kernel;

    #[test]
    fn rows_have_what_was_found_and_others_stay() {
        let report: Report = serde_json::from_str(
            r#"{"checks": [
                {"name": "kernel", "status": "ok", "found": "Linux 6.1.0-1-amd64 on x86_64"},
                {"name": "memory counters", "status": "warn", "found": "late"},
                {"name": "uprobe-multi links", "status": "warn", "found": "not supported"}
            ]}"#,
        )
        .expect("a report");
        let tests = Tally { passed: 3, failed: 1, skipped: 7 };
        let row = Row { kernel: Kernel::named("6.1").expect("a kernel"), report, tests };
        let old = "| old | bookworm | 0 of 4 | yes | - |\n| 7.2 | sid | 4 of 4 | yes | - |\n";
        let table = table(&[row], old);
        let lines: Vec<_> = table.lines().skip(2).collect();
        let new = "| 6.1.0-1-amd64 on x86_64 | bookworm | 3 of 4 | left out | perf events |";
        assert_eq!(lines, [new, "| 7.2 | sid | 4 of 4 | yes | - |"]);
    }
}
