//! The list for people: a row for each process, below it where it runs and what is to be known of it.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Row, Table, presets};

use super::entry::Entry;
use crate::{
    report::{fit::cut_middle, lines::folded},
    text::shown,
    units,
};

/// Before the lines below a row.
const INDENT: &str = "    ";
/// Digits of a container's id that are shown: as many as its engine shows.
const ID_DIGITS: usize = 12;

/// Writes the list.
///
/// # Errors
/// If it can't be written.
pub(super) fn write(entries: &[Entry], width: Option<u16>, out: &mut impl Write) -> io::Result<()> {
    if entries.is_empty() {
        return writeln!(out, "no Python processes found");
    }
    let mut table = table(&["PID", "USER", "VERSION", "SOURCE", "VERDICT", "ADDED", "COMMAND"], width);
    for entry in entries {
        table.add_row(one_line(cells(entry)));
    }
    // Every row is one line: those that say more of it stand between.
    for (number, line) in table.lines().enumerate() {
        writeln!(out, "{}", line.trim_end())?;
        let Some(entry) = number.checked_sub(1).and_then(|number| entries.get(number)) else { continue };
        if let Some(place) = place(entry) {
            let room = width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(INDENT.len()));
            writeln!(out, "{INDENT}{}", cut_middle(&place, room))?;
        }
        let limits = entry.limits.iter().filter(|_| !entry.exact);
        for said in entry.reason.iter().chain(limits) {
            let line = format!("{INDENT}{}\n", shown(said));
            let lines = width.map(|width| folded(&line, width.into()));
            write!(out, "{}", lines.unwrap_or(line))?;
        }
    }
    Ok(())
}

fn cells(entry: &Entry) -> [String; 7] {
    let or_dash = |text: &Option<String>| text.as_deref().map_or("-".into(), shown).into_owned();
    [
        pid(entry),
        user(entry),
        or_dash(&entry.version),
        or_dash(&entry.source),
        entry.verdict().to_owned(),
        entry.call_cost_ns.map_or("-".to_owned(), |ns| format!("~{}", units::duration(ns))),
        shown(without_folder(&entry.command)).into_owned(),
    ]
}

/// A command line without the folder of its program: the line below has it, and what follows says more.
fn without_folder(command: &str) -> &str {
    let program = command.split(' ').next().unwrap_or_default();
    program.rfind('/').map_or(command, |slash| &command[slash + 1..])
}

/// As pytracer sees it, and as it sees itself: `4242 (7)`.
fn pid(entry: &Entry) -> String {
    match entry.inner_pids.last() {
        Some(inner) => format!("{} ({inner})", entry.pid),
        None => entry.pid.to_string(),
    }
}

/// The effective user: by that it acts.
pub(super) fn user(entry: &Entry) -> String {
    match (&entry.effective_user, entry.effective_uid) {
        (Some(user), _) => shown(user).into_owned(),
        (None, Some(uid)) => uid.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// Interpreter and build, container or unit.
fn place(entry: &Entry) -> Option<String> {
    let interpreter = entry.interpreter.as_deref().map(|path| {
        let words = entry.build.as_ref().map(|build| build.words.join(", ")).unwrap_or_default();
        format!("{} ({words})", shown(path))
    });
    let parts: Vec<_> =
        [interpreter, container(entry), entry.unit.as_deref().map(|unit| shown(unit).into_owned())]
            .into_iter()
            .flatten()
            .collect();
    (!parts.is_empty()).then(|| parts.join("  "))
}

/// `docker web 3f2a9c0d1e5b`.
pub(super) fn container(entry: &Entry) -> Option<String> {
    let container = entry.container.as_ref()?;
    let name = container.name.as_deref().filter(|name| *name != container.id).unwrap_or_default();
    let engine = if container.engine.is_empty() { "container" } else { container.engine };
    // The id is hexadecimal, or a name that is shown whole.
    let id = if container.engine == "machine" || container.engine == "lxc" {
        container.id.as_str()
    } else {
        container.id.get(..ID_DIGITS).unwrap_or(&container.id)
    };
    let words: Vec<_> = [engine, name, id].into_iter().filter(|word| !word.is_empty()).map(shown).collect();
    Some(words.join(" "))
}

pub(super) fn table(header: &[&str], width: Option<u16>) -> Table {
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
pub(super) fn one_line<const N: usize>(cells: [String; N]) -> Row {
    let mut row = Row::from(cells);
    row.max_height(1);
    row
}

#[cfg(test)]
mod tests {
    use super::{super::entry::ContainerEntry, *};

    fn entry(command: &str, source: Option<&str>) -> Entry {
        Entry {
            pid: 4711,
            command: command.to_owned(),
            version: Some("3.11.2".to_owned()),
            interpreter: Some("/usr/bin/python3.11".to_owned()),
            source: source.map(ToOwned::to_owned),
            exact: source.is_some(),
            reason: source.is_none().then(|| "CPython 3.11.2 (...) is not supported yet".to_owned()),
            effective_user: Some("root".to_owned()),
            call_cost_ns: source.map(|_| 1300),
            ..Entry::default()
        }
    }

    fn text(entries: &[Entry], width: Option<u16>) -> String {
        let mut out = Vec::new();
        write(entries, width, &mut out).expect("a buffer");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_listing_fits_80_columns_and_hides_controls() {
        let long = format!("python3.11 \x1b]0;x\x07 {}", "argument ".repeat(40));
        let mut entries = [entry(&long, Some("eval+usdt")), entry("/usr/bin/python3 a.py", None)];
        entries[1].reason =
            Some("CPython 3.11.2 (...) is not supported yet, ".to_owned() + &"why ".repeat(20));
        entries[0].interpreter = Some(format!("/opt/\x1b{}python3.11", "long/".repeat(30)));
        let text = text(&entries, Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(!text.contains('\x1b') && text.contains("\n    CPython 3.11.2 (...)"), "{text}");
        assert!(text.contains("  python3 a.py\n"), "{text}");
        assert!(text.contains("~1.30 us"), "{text}");
    }

    #[test]
    fn an_empty_listing_says_so() {
        assert_eq!(text(&[], None), "no Python processes found\n");
    }

    #[test]
    fn containers_and_units_are_named() {
        let id = "3f2a9c0d1e5b4a7788990011223344556677889900aabbccddeeff0011223344".to_owned();
        let mut one = entry("python3 app.py", Some("eval"));
        one.inner_pids = vec![12, 1];
        one.container = Some(ContainerEntry { id, name: Some("web".into()), engine: "docker" });
        let mut other = entry("python3 app.py", Some("eval"));
        other.unit = Some("web.service".into());
        let text = text(&[one, other], None);
        assert!(text.contains("4711 (1)") && text.contains("docker web 3f2a9c0d1e5b\n"), "{text}");
        assert!(text.contains("  web.service\n"), "{text}");
    }

    #[test]
    fn limits_are_shown_of_what_is_not_exact() {
        let mut jit = entry("python3 app.py", Some("eval"));
        (jit.exact, jit.jit) = (false, Some("on"));
        jit.limits = vec!["its JIT compiler is on".to_owned()];
        let text = text(&[jit], None);
        assert!(text.contains("incomplete") && text.contains("\n    its JIT compiler is on\n"), "{text}");
    }
}
