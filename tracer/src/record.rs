//! A recording, from the first look at its targets to the report: who is traced, for how long, and what is done
//! about processes that come and go meanwhile.

mod command;
mod followed;
mod fuse;
mod options;
mod own;
mod session;
mod status_line;
mod stop;
mod untraced;
mod windows;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use crate::{
    privileges::{self, Need},
    report::Report,
};
use session::Session;
use stop::Stop;

pub use fuse::Limits;
pub use options::{Options, Selection, Targets};

/// What a recording came to.
#[derive(Debug)]
pub struct Outcome {
    /// The numbers.
    pub report: Report,
    /// Exit code of the traced command, if there was one.
    pub exit_code: Option<u8>,
    /// It came to more than its limits allow, and was ended early. The report says why.
    pub stopped: bool,
    /// Not all was done that was asked for: the event log stopped before the recording did, or a process could not be
    /// traced to the end. The report says why.
    pub incomplete: bool,
}

/// Records. Notes of what happens go to standard error.
///
/// # Errors
/// If nothing can be traced; the message says why and what to do.
pub fn record(options: &Options) -> Result<Outcome> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start tokio")?;
    runtime.block_on(async {
        // From here on a signal ends the recording, not the program.
        let mut stop = Stop::new()?;
        let held = command::hold(&options.targets)?;
        // After the command has been started, which is to have the usual limit.
        own::raise_file_limit();
        privileges::keep_only(Need::Record);
        let before = untraced::sample(options, &mut stop).await;
        let (session, child) = Session::start(options, held)?;
        if !options.mode().hooks() {
            privileges::keep_only(Need::Sample);
        }
        session.attached.iter().for_each(|line| note(line));
        let begin = Instant::now();
        let mut outcome = session.run(&mut stop, child, options.duration).await?;
        // Whoever ends a recording by hand wants the report.
        let expired = options.duration.is_some_and(|duration| begin.elapsed() >= duration);
        let after = if expired { untraced::sample(options, &mut stop).await } else { None };
        privileges::keep_only(Need::Files);
        untraced::add(before.as_ref(), after.as_ref(), options, &mut outcome)?;
        Ok(outcome)
    })
}

/// One line to standard error; a closed one is no reason to stop.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
