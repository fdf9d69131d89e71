//! What ends a recording early.

use clap::Args;

use crate::{cli::values, record::Limits};

#[derive(Args, Debug)]
#[expect(clippy::struct_field_names, reason = "they are what the options are called")]
#[command(next_help_heading = "Ending early, with the report of what was recorded and exit status 4")]
pub(super) struct StopArguments {
    /// If probes take more than this share of one processor's time for 3 s: 50% (the last lines of the report have it;
    /// 0: never)
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0")]
    stop_at_cost: f64,
    /// If there are more events per second than this for 3 s: 500k, 2M (0: never)
    #[arg(long, value_name = "EVENTS", value_parser = rate, default_value = "0")]
    stop_at_rate: u64,
    /// If more than this share of the events is lost for 10 s (0: never)
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "50%")]
    stop_at_loss: f64,
}

impl StopArguments {
    pub(super) fn limits(&self) -> Limits {
        let share = |share: f64| (share > 0.0).then_some(share);
        Limits {
            rate: (self.stop_at_rate > 0).then_some(self.stop_at_rate),
            cost: share(self.stop_at_cost),
            loss: share(self.stop_at_loss),
        }
    }
}

/// A share of 1.
fn share(text: &str) -> Result<f64, String> {
    values::percent(text).ok_or_else(|| "not a share: write 50% or 0".into())
}

fn rate(text: &str) -> Result<u64, String> {
    values::count(text).ok_or_else(|| "not a number of events: write 500000, 500k or 2M".into())
}
