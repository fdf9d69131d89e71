//! `pytracer doctor`: can this machine trace, and if not, what to do.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    doctor::{self, Check, Status},
    text::shown,
};

/// Version of the JSON form.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    passed: bool,
    checks: &'a [Check],
}

/// Makes all checks and writes them; true: tracing will work.
///
/// # Errors
/// If the result can't be written.
pub fn run(json: bool, out: &mut impl Write) -> Result<bool> {
    let checks = doctor::checks();
    let passed = doctor::passed(&checks);
    if json {
        serde_json::to_writer_pretty(&mut *out, &Report { schema: SCHEMA, passed, checks: &checks })
            .context("write the checks")?;
        writeln!(out).context("write the checks")?;
    } else {
        listing(&checks, out).context("write the checks")?;
    }
    Ok(passed)
}

fn listing(checks: &[Check], out: &mut impl Write) -> io::Result<()> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for check in checks {
        let mark = match check.status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        writeln!(out, "{mark}  {:width$}  {}", check.name, shown(&check.found))?;
        if let Some(fix) = check.fix {
            writeln!(out, "      {:width$}  fix: {fix}", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixes_stand_below_what_was_found() {
        let checks = [
            Check { name: "kernel", status: Status::Ok, found: "Linux 6.18".to_owned(), fix: None },
            Check { name: "jit", status: Status::Fail, found: "off".to_owned(), fix: Some("switch it on") },
        ];
        let mut out = Vec::new();
        listing(&checks, &mut out).expect("a buffer");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "ok    kernel  Linux 6.18\nFAIL  jit     off\n              fix: switch it on\n");
    }

    #[test]
    fn json_says_what_text_says() {
        let mut out = Vec::new();
        let passed = run(true, &mut out).expect("a buffer");
        let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!((json["schema"].as_u64(), json["passed"].as_bool()), (Some(1), Some(passed)));
        assert!(json["checks"].as_array().is_some_and(|checks| checks.len() > 10));
    }
}
