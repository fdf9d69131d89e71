//! `pytracer ps`: which Python processes there are, who they are, and how each of them can be traced.

mod entry;
mod explain;
mod listing;

use std::io::Write;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use self::entry::{Entry, Look};
use super::select::SelectorArguments;
use crate::discover::{self, Identity};
use crate::terminal;

/// Version of the JSON form.
const SCHEMA: u32 = 1;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pytracer ps
  pytracer ps --name 'gunicorn*' --uid www-data  what `record` would take by the same options
  pytracer ps --json
  pytracer ps --explain 4242                    version, build, every place that would be hooked, or why none is

Columns: ADDED is an estimate of what tracing adds to a call. VERDICT is
  exact       every call is counted
  incomplete  some calls can't be seen; what is seen is true
  untested    the places are found, but counts were not compared with the interpreter's own on this version
  no          can't be traced; the reason is below")]
pub(super) struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Show how one process would be traced: version, build, sites, instructions
    #[arg(long, value_name = "PID", conflicts_with = "SelectorArguments")]
    explain: Option<u32>,
    #[command(flatten)]
    selectors: SelectorArguments,
}

/// The list, as the JSON form has it.
#[derive(Serialize)]
struct Listing {
    schema: u32,
    processes: Vec<Entry>,
}

impl Arguments {
    /// Lists the Python processes of the machine, or explains one.
    ///
    /// # Errors
    /// If the one can't be looked at, or the answer can't be written.
    pub(super) fn run(&self, out: &mut impl Write) -> Result<()> {
        if let Some(pid) = self.explain {
            return explain::run(pid, self.json, out);
        }
        let selectors = self.selectors.selectors()?;
        let everyone = selectors.is_empty() && self.selectors.pid.is_empty();
        let mut look = Look::default();
        let mut processes = Vec::new();
        for (pid, found) in discover::processes() {
            // One that has ended meanwhile is left out.
            let Ok(who) = Identity::of(pid) else { continue };
            if everyone || self.selectors.pid.contains(&pid) || selectors.matches(&who) {
                processes.push(look.entry(who, &found));
            }
        }
        if self.json {
            write_json(&Listing { schema: SCHEMA, processes }, out)
        } else if processes.is_empty() && !everyone {
            writeln!(out, "no Python process matches: `pytracer ps` lists all").context("write the list")
        } else {
            listing::write(&processes, terminal::width(), out).context("write the list")
        }
    }
}

fn write_json(value: &impl Serialize, out: &mut impl Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).context("write the answer")?;
    writeln!(out).context("write the answer")
}
