//! Can this machine trace? Each check says what it found and, where something is missing, what to do about it.

mod kernel;
mod privileges;

use serde::Serialize;

use crate::{
    btf::Btf,
    discover::{self, PlanCache},
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As needed.
    Ok,
    /// Tracing works, with less.
    Warn,
    /// Tracing does not work.
    Fail,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do, where it is not [`Status::Ok`].
    pub fix: Option<&'static str>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), fix: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: &'static str) -> Self {
        Self { name, status: Status::Warn, found: found.into(), fix: Some(fix) }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: &'static str) -> Self {
        Self { name, status: Status::Fail, found: found.into(), fix: Some(fix) }
    }
}

/// Makes all checks.
pub fn checks() -> Vec<Check> {
    let btf = Btf::of_kernel();
    let mut checks = vec![kernel::version(btf.as_ref().ok()), kernel::type_information(&btf)];
    if let Ok(btf) = &btf {
        checks.extend([
            kernel::tracepoints(btf),
            kernel::memory_counters(btf),
            kernel::ring_buffer(btf),
            kernel::links(btf),
        ]);
    }
    checks.extend([
        kernel::uprobes(),
        kernel::jit(),
        kernel::lockdown(),
        kernel::tracefs(),
        kernel::locked_memory(),
    ]);
    checks.extend(privileges::checks(btf.as_ref().ok()));
    checks.push(pythons());
    checks
}

/// Do all checks pass that tracing needs?
pub fn passed(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.status != Status::Fail)
}

/// The Python processes of the machine, by verdict.
fn pythons() -> Check {
    const NAME: &str = "python processes";
    let mut plans = PlanCache::default();
    let (mut exact, mut untested, mut refused) = (0, 0, 0);
    for (_, process) in discover::processes() {
        let planned = process.ok().map(|p| plans.plan(&p.image));
        match planned.as_ref().and_then(|p| p.as_ref().as_ref().ok()) {
            Some(plan) if plan.exact => exact += 1,
            Some(_) => untested += 1,
            None => refused += 1,
        }
    }
    let found = format!("{exact} can be traced exactly, {untested} are untested, {refused} can't be traced");
    match refused + untested {
        0 => Check::ok(NAME, found),
        _ => Check::warn(NAME, found, "run `pytracer ps` for the reasons"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_fix() {
        for check in checks() {
            assert_eq!(check.status == Status::Ok, check.fix.is_none(), "{check:?}");
            assert!(!check.found.is_empty() && !check.found.contains('\n'), "{check:?}");
        }
    }

    #[test]
    fn warnings_do_not_fail() {
        let warned = [Check::ok("a", "b"), Check::warn("c", "d", "e")];
        assert!(passed(&warned));
        assert!(!passed(&[Check::fail("a", "b", "c")]));
    }
}
