//! What is kept of a recording: the event log, and which of its rows.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, error::ErrorKind};

use super::{duration, values};
use crate::{
    log::{LogKind, LogOptions},
    report::Thinning,
};

#[derive(Args, Debug)]
#[command(next_help_heading = "Event log")]
pub(super) struct LogArguments {
    /// Keep the event log in this folder, which must not exist or be empty
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// What it holds: one row per finished call, one per entry and return, or sums by function and caller only
    #[arg(long, value_name = "ROWS", default_value = "calls", requires = "output")]
    log: LogKind,
    /// Only calls and changes of memory that changed resident memory by so much or more: 4096, 64K. The others are in
    /// sums, so the report is the same; with --min-duration a call is kept for either
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "output")]
    min_rss: Option<u64>,
    /// With each call that is kept, the one of its thread that ended before it
    #[arg(long, requires = "min_rss")]
    with_previous: bool,
    /// Only calls that took so long or longer, with all that they called: 1ms, 50us. The others are in sums
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "output")]
    min_duration: Option<Duration>,
    /// Keep the log within this size: the oldest rows go, and the report says which: 500M, 2GB
    #[arg(long, value_name = "SIZE", value_parser = max_size, requires = "output")]
    max_size: Option<u64>,
}

impl LogArguments {
    /// The folder and what it is to hold; `None`: no log is asked for. `sampled`: there will be samples, no calls.
    pub(super) fn options(self, sampled: bool) -> Result<Option<(PathBuf, LogOptions)>, clap::Error> {
        let thinning = Thinning {
            min_rss_bytes: self.min_rss,
            with_previous: self.with_previous,
            min_duration_ns: self.min_duration.map(|time| time.as_nanos() as u64),
        };
        let thinning = (thinning != Thinning::default()).then_some(thinning);
        if thinning.is_some() && self.log != LogKind::Calls {
            return Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "--min-rss and --min-duration choose rows of --log calls: leave --log away\n",
            ));
        }
        if sampled && (thinning.is_some() || self.log != LogKind::Calls) {
            return Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "--log, --min-rss and --min-duration choose rows of calls, and samples tell of none: leave them away\n",
            ));
        }
        let arguments = std::env::args().collect();
        let kind = if sampled { LogKind::Samples } else { self.log };
        let options = LogOptions { kind, thinning, max_bytes: self.max_size, arguments };
        Ok(self.output.map(|output| (output, options)))
    }
}

fn size(text: &str) -> Result<u64, String> {
    values::bytes(text).filter(|&bytes| bytes > 0).ok_or_else(|| "not a size: write 4096, 64K or 1M".into())
}

/// Much less than a few segments would keep nothing.
fn max_size(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 1 << 20;
    values::bytes(text).filter(|&bytes| bytes >= LEAST).ok_or_else(|| "not a size of 1M or more".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        log: LogArguments,
    }

    fn thinning(arguments: &[&str]) -> Result<Option<Thinning>, ErrorKind> {
        let words = ["record", "-o", "rec"].iter().chain(arguments);
        let command = Command::try_parse_from(words).map_err(|error| error.kind())?;
        let options = command.log.options(false).map_err(|error| error.kind())?;
        Ok(options.and_then(|(_, options)| options.thinning))
    }

    #[test]
    fn what_is_kept_is_told_by_memory_and_by_time() {
        assert_eq!(thinning(&[]), Ok(None));
        let kept = thinning(&["--min-rss", "4K", "--with-previous", "--min-duration", "1ms"]).unwrap();
        let all =
            Thinning { min_rss_bytes: Some(4096), with_previous: true, min_duration_ns: Some(1_000_000) };
        assert_eq!(kept, Some(all));
        assert_eq!(thinning(&["--with-previous"]), Err(ErrorKind::MissingRequiredArgument));
        for bad in [
            ["--max-size", "1K"],
            ["--max-size", "much"],
            ["--min-rss", "0"],
            ["--min-rss", "big"],
            ["--min-duration", "0s"],
        ] {
            assert_eq!(thinning(&bad), Err(ErrorKind::ValueValidation), "{bad:?}");
        }
    }

    #[test]
    fn only_rows_of_calls_can_be_chosen() {
        for log in ["events", "totals"] {
            assert_eq!(thinning(&["--log", log, "--min-rss", "1"]), Err(ErrorKind::ArgumentConflict));
            assert_eq!(thinning(&["--log", log]), Ok(None));
        }
    }
}
