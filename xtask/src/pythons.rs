//! What works with which CPython: runs the tests and the measurement of every build of the table, and writes what came
//! out into `docs/supported.md` and `README.md`.

mod measured;
mod table;

use anyhow::Result;
use pythons::Python;

use crate::{build, command::step, document, setup, tally::Tally, test};
use table::{Row, State};

/// The tests that compare counts with the interpreter's own.
const COUNTS: &str = "counts";

/// The tests of what is hard to follow.
const HARD_CASES: &str = "hard_cases";

/// Runs everything and writes the tables; true if no test failed.
pub(crate) fn run() -> Result<bool> {
    setup::all()?;
    build::release()?;
    let mut measured = measured::all()?;
    let mut rows = Vec::new();
    for python in Python::ALL {
        let state = match python.locate() {
            Err(missing) => State::Missing(missing.why()),
            Ok(_) => State::Tested {
                build: measured.remove(python.name()),
                counts: tests(&python, COUNTS)?,
                hard_cases: tests(&python, HARD_CASES)?,
            },
        };
        let row = Row { python, state };
        step(&row.summary());
        rows.push(row);
    }
    document::write("docs/supported.md", "pythons", &table::detailed(&rows))?;
    document::write("README.md", "pythons", &table::short(&rows))?;
    for row in &rows {
        println!("{}", row.summary());
    }
    Ok(rows.iter().all(|row| !row.fails()))
}

fn tests(python: &Python, file: &str) -> Result<Tally> {
    step(&format!("{}: {file}", python.name()));
    test::kernel_tests(file, &format!("{}::", python.test_module()))
}
