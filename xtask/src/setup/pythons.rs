//! The interpreters of the tests, as the table of `tests/pythons` has them.

mod compiled;
mod package;
mod stripped_copy;

use anyhow::{Result, anyhow};
use pythons::{Python, Source};

use super::python_3_11;
use crate::command::step;

/// Gets every build that can be had here, and says which can't. Their tests are then left out, and counted.
pub(super) fn ensure() {
    for python in Python::ALL {
        if let Err(why) = get(&python) {
            step(&format!("there is no {python} here: {why:#}"));
        }
    }
}

/// Gets the builds that stand for all.
pub(super) fn ensure_representative() -> Result<()> {
    Python::REPRESENTATIVE.iter().try_for_each(get)
}

/// Gets one build by the first way that leads to it.
fn get(python: &Python) -> Result<()> {
    let mut reasons = Vec::new();
    for source in python.sources() {
        match get_by(python, source) {
            Ok(()) => return Ok(()),
            Err(why) => reasons.push(format!("{why:#}")),
        }
    }
    Err(anyhow!(reasons.join("; ")))
}

fn get_by(python: &Python, source: &Source) -> Result<()> {
    match *source {
        Source::Installed(_) => python_3_11::ensure(),
        Source::Package { suite, package } => package::ensure(python, suite, package),
        Source::Compiled { suite, package, options } => compiled::ensure(python, suite, package, options),
        Source::StrippedCopy(original) => stripped_copy::ensure(python, original),
        // They come from elsewhere: there is only to look.
        Source::Pyenv | Source::Same(_) => {
            python.locate().map(drop).map_err(|missing| anyhow!(missing.why()))
        }
    }
}
