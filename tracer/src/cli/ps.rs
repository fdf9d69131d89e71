//! `pytracer ps`: which Python processes there are, and which of them can be traced.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use comfy_table::{ContentArrangement, Row, Table, presets};
use serde::Serialize;

use crate::{
    discover::{self, NotTraceable, PlanCache, PythonProcess},
    python::plan::{Plan, ProbeSite},
    text::shown,
};

/// Version of the JSON form.
const SCHEMA: u32 = 1;

/// One process, as the JSON form has it.
#[derive(Debug, Serialize)]
struct Entry {
    pid: u32,
    command: String,
    version: Option<String>,
    interpreter: Option<String>,
    /// Null: can't be traced.
    source: Option<String>,
    exact: bool,
    /// Why it can't be traced.
    reason: Option<String>,
}

#[derive(Serialize)]
struct Listing {
    schema: u32,
    processes: Vec<Entry>,
}

/// Lists the Python processes of the machine.
///
/// # Errors
/// If the list can't be written.
pub fn run(json: bool, out: &mut impl Write) -> Result<()> {
    let mut plans = PlanCache::default();
    let processes: Vec<_> =
        discover::processes().into_iter().map(|(pid, p)| entry(pid, p, &mut plans)).collect();
    if json {
        serde_json::to_writer_pretty(&mut *out, &Listing { schema: SCHEMA, processes })
            .context("write the list")?;
        return writeln!(out).context("write the list");
    }
    listing(&processes, None, out).context("write the list")
}

/// Says of one process how it would be traced: every site, and what is at it.
///
/// # Errors
/// If it can't be traced, or the answer can't be written.
pub fn explain(pid: u32, out: &mut impl Write) -> Result<()> {
    let process = discover::inspect(pid)?;
    let planned = PlanCache::default().plan(&process.image);
    let plan = planned.as_ref().as_ref().map_err(|refusal| anyhow::anyhow!("process {pid}: {refusal}"))?;
    explanation(&process, plan, out).context("write the explanation")
}

fn entry(pid: u32, process: Result<PythonProcess, NotTraceable>, plans: &mut PlanCache) -> Entry {
    let process = match process {
        Ok(process) => process,
        Err(why) => {
            let (command, reason) = (discover::command(pid), Some(why.to_string()));
            return Entry {
                pid,
                command,
                version: None,
                interpreter: None,
                source: None,
                exact: false,
                reason,
            };
        }
    };
    let planned = plans.plan(&process.image);
    let interpreter = Some(process.image.shown_path.to_string_lossy().into_owned());
    let (version, source, exact, reason) = match planned.as_ref() {
        Ok(plan) => (Some(plan.version.to_string()), Some(plan.source.to_string()), plan.exact, None),
        Err(refusal) => (refusal.version(), None, false, Some(refusal.to_string())),
    };
    Entry { pid, command: process.command, version, interpreter, source, exact, reason }
}

/// The table, then a line for each reason. `width` in columns; `None`: the terminal's, or as wide as it takes.
fn listing(processes: &[Entry], width: Option<u16>, out: &mut impl Write) -> io::Result<()> {
    if processes.is_empty() {
        return writeln!(out, "no Python processes found");
    }
    let mut table = table(&["PID", "VERSION", "SOURCE", "VERDICT", "INTERPRETER", "COMMAND"], width);
    for entry in processes {
        let or_dash = |text: &Option<String>| text.as_deref().map_or("-".into(), shown).into_owned();
        let verdict = match (&entry.source, entry.exact) {
            (Some(_), true) => "exact",
            (Some(_), false) => "untested",
            (None, _) => "no",
        };
        let cells = [
            entry.pid.to_string(),
            or_dash(&entry.version),
            or_dash(&entry.source),
            verdict.to_owned(),
            or_dash(&entry.interpreter),
            shown(&entry.command).into_owned(),
        ];
        table.add_row(one_line(cells));
    }
    write_table(&table, out)?;
    for entry in processes {
        if let Some(reason) = &entry.reason {
            writeln!(out, "{}: {}", entry.pid, shown(reason))?;
        }
    }
    Ok(())
}

fn explanation(process: &PythonProcess, plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let exact = if plan.exact { "exact" } else { "untested: counts may be off" };
    writeln!(out, "process      {} {}", process.pid, shown(&process.command))?;
    writeln!(out, "interpreter  {}", shown(&process.image.shown_path.to_string_lossy()))?;
    writeln!(out, "build id     {}", process.image.build_id())?;
    writeln!(out, "version      {} ({})", plan.version, plan.found_by)?;
    writeln!(out, "source       {} ({exact})", plan.source)?;
    writeln!(out, "load bias    {:#x}", process.bias)?;
    if discover::jit_active(process.pid) {
        writeln!(out, "warning      PYTHON_JIT is set: calls in compiled code are not seen")?;
    }
    writeln!(out)?;
    let mut table =
        table(&["ADDRESS", "MEANING", "FRAME", "POINTER", "EMULATED", "INSTRUCTION", "WHAT"], None);
    for site in &plan.sites {
        table.add_row(one_line(site_cells(site)));
    }
    write_table(&table, out)
}

fn site_cells(site: &ProbeSite) -> [String; 7] {
    let pointer = site.instruction.map_or("-".to_owned(), |(register, ahead)| match ahead {
        0 => format!("{register:?}"),
        ahead => format!("{register:?}{:+}", -i16::from(ahead)),
    });
    [
        format!("{:#x}", site.address),
        format!("{:?}", site.meaning),
        format!("{:?}", site.frame),
        pointer,
        if site.emulated { "yes" } else { "no" }.to_owned(),
        site.text.clone(),
        site.what.clone(),
    ]
}

fn table(header: &[&str], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    if let Some(width) = width {
        table.set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A row that is cut, not wrapped, where it is too wide.
fn one_line<const N: usize>(cells: [String; N]) -> Row {
    let mut row = Row::from(cells);
    row.max_height(1);
    row
}

fn write_table(table: &Table, out: &mut impl Write) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(command: &str, source: Option<&str>) -> Entry {
        Entry {
            pid: 4711,
            command: command.to_owned(),
            version: Some("3.11.2".to_owned()),
            interpreter: Some("/usr/bin/python3.11".to_owned()),
            source: source.map(ToOwned::to_owned),
            exact: source.is_some(),
            reason: source.is_none().then(|| "CPython 3.11.2 (...) is not supported yet".to_owned()),
        }
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("a buffer");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_listing_fits_80_columns_and_hides_controls() {
        let long = format!("python3.11 \x1b]0;x\x07 {}", "argument ".repeat(40));
        let entries = [entry(&long, Some("eval+usdt")), entry("python3 a.py", None)];
        let text = text(|out| listing(&entries, Some(80), out));
        assert!(text.lines().take(3).all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains('\x1b') && text.contains("4711: CPython 3.11.2"), "{text}");
    }

    #[test]
    fn an_empty_listing_says_so() {
        assert_eq!(text(|out| listing(&[], None, out)), "no Python processes found\n");
    }

    #[test]
    fn json_has_nulls_where_nothing_is_known() {
        let json = serde_json::to_value(Listing { schema: SCHEMA, processes: vec![entry("x", None)] });
        let json = json.expect("plain values");
        assert_eq!(json["schema"], 1);
        assert!(json["processes"][0]["source"].is_null() && json["processes"][0]["pid"] == 4711);
    }

    #[test]
    fn an_explanation_has_every_site() {
        let plan =
            crate::python::plan("/usr/bin/python3.11".as_ref(), Default::default()).expect("CPython 3.11");
        let process = PythonProcess {
            pid: 1,
            command: "python3.11".to_owned(),
            exe: "/usr/bin/python3.11".to_owned(),
            image: discover::ImageFile {
                open_path: "/usr/bin/python3.11".into(),
                shown_path: "/usr/bin/python3.11".into(),
                device: 0,
                inode: 0,
                modified_ns: 0,
                build_id: vec![0xab, 0x01],
            },
            bias: 0,
            start_ticks: 0,
        };
        let text = text(|out| explanation(&process, &plan, out));
        assert!(text.contains("build id     ab01\n"), "{text}");
        assert_eq!(text.lines().count(), 8 + plan.sites.len(), "{text}");
    }
}
