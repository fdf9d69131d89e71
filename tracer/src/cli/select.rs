//! The options that say which processes are meant, the same for every command.

use anyhow::Result;
use clap::{Args, builder::NonEmptyStringValueParser};

use crate::{
    discover::{cgroup, user_id},
    select::Selectors,
};

#[derive(Args, Debug, Default)]
pub(super) struct SelectorArguments {
    /// Process (repeatable)
    #[arg(short, long = "pid", value_name = "PID")]
    pub(super) pid: Vec<u32>,
    /// Processes by name: of the process, of its program's file, of its script or module (repeatable)
    #[arg(long, value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
    name: Vec<String>,
    /// Processes of a control group and those below it: /system.slice/web.service (repeatable)
    #[arg(long, value_name = "PATH", value_parser = NonEmptyStringValueParser::new())]
    cgroup: Vec<String>,
    /// Processes of a container, by its name or the first 4 or more digits of its id (repeatable)
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    container: Vec<String>,
    /// Processes of a user, by name or number (repeatable)
    #[arg(long, value_name = "USER", value_parser = user)]
    uid: Vec<u32>,
}

impl SelectorArguments {
    /// The selectors apart from process ids.
    ///
    /// # Errors
    /// If a glob can't be read.
    pub(super) fn selectors(&self) -> Result<Selectors> {
        let cgroups = self.cgroup.iter().map(|path| cgroup::named(path)).collect();
        Ok(Selectors::new(&self.name, cgroups, self.container.clone(), self.uid.clone())?)
    }
}

fn user(text: &str) -> Result<u32, String> {
    user_id(text).ok_or_else(|| "there is no such user".to_owned())
}
