use super::*;
use crate::report::{Account, OwnCost, ProcessReport, Status, Sums, Window};

fn report() -> Report {
    let function = |name: &str, file: &str, calls, wall: u64| FunctionReport {
        process: Some(0),
        pid: 4711,
        function: name.into(),
        file: file.into(),
        line: 12,
        sums: Sums {
            calls,
            resumes: calls / 4,
            self_wall_ns: wall,
            cum_wall_ns: wall * 3,
            self_cpu_ns: wall / 2,
            cum_cpu_ns: wall,
            self_rss_bytes: 4096,
            cum_rss_bytes: -1_310_720,
            page_faults: 17,
        },
        open_at_attach: 0,
        activations: calls.max(1),
        ends: calls,
        late_ends: 0,
        calls_made: 0,
        sampled: None,
        call_share: None,
        untraced: None,
    };
    let status = Status {
        window: Window { start_unix_ns: 1_700_000_000_000_000_000, duration_ns: 12_000_000_000 },
        processes: vec![ProcessReport {
            pid: 4711,
            version: Some("3.11.2".into()),
            source: Some("eval loop".into()),
            rss_start_bytes: 50 << 20,
            rss_end_bytes: (50 << 20) + 4096 * 2,
            rss_peak_bytes: 51 << 20,
            outside_rss_bytes: -4096,
            ..ProcessReport::default()
        }],
        account: Account {
            events: 2_469_134,
            lost: 3,
            probe_hits: 1_234_567,
            probe_cost_ns: 532_098_377,
            own: Some(OwnCost { cpu_ns: 120_000_000, peak_rss_bytes: 96 << 20 }),
            notes: vec!["a \x1b[31mnote".into()],
            ..Account::default()
        },
    };
    let rows = [
        function("Order.total", "/shop/orders.py", 1_234, 5_000_000_000),
        function(
            "create_app.<locals>.handle_the_request.<locals>.inner",
            "/srv/shop/a/very/long/path/to/handlers/cart.py",
            7,
            1_000,
        ),
        function("evil\x1b[2Jname\n", "ev\u{202e}il.py", 0, 10),
    ];
    Report::new(status, rows)
}

fn text(width: Option<u16>, limit: usize) -> String {
    render(&report(), &TableOptions { sort: Sort::Own, limit, width, colour: false })
}

#[test]
fn fits_a_terminal_of_80_and_of_120_columns() {
    for width in [80, 120] {
        let text = text(Some(width), 0);
        let table = text.split("\n\n").nth(1).unwrap();
        for line in table.lines() {
            assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
        }
        assert!(table.contains("Order.total") && table.contains("/shop/orders.py:12"), "{table}");
        assert!(
            table.contains("5.00 s") && table.contains("15.0 s") && table.contains("-1.25 MiB"),
            "{table}"
        );
    }
}

#[test]
fn is_one_line_for_each_function_in_a_pipe() {
    let text = text(None, 0);
    let line = text.lines().find(|line| line.contains("inner")).unwrap();
    for part in [
        "create_app.<locals>.handle_the_request.<locals>.inner  /srv/shop/a/very/long/path/to/handlers/cart.py:12",
        "1.00 us",
        "3.00 us",
    ] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn times_of_late_ends_are_marked_as_bounds() {
    let mut report = report();
    report.functions[0].late_ends = 3;
    report.account.late_ends = 3;
    let text = render(&report, &TableOptions { sort: Sort::Own, limit: 0, width: None, colour: false });
    let marked: Vec<_> = text.lines().filter(|line| line.contains('≤')).collect();
    assert_eq!(marked.len(), 2, "{text}");
    assert!(marked[0].starts_with("Order.total") && marked[0].matches('≤').count() == 4, "{text}");
    assert!(marked[1].contains("  3 ends came out only at the thread's next event"), "{text}");
}

#[test]
fn rows_of_calls_open_at_attach_are_marked() {
    const LEGEND: &str = "\n  +N open: calls open at attach, timed from then on, not counted as calls\n";
    let mut report = report();
    report.functions[0].open_at_attach = 12;
    report.account.open_at_attach = 12;
    let text = |report: &Report, width| {
        render(report, &TableOptions { sort: Sort::Own, limit: 0, width, colour: false })
    };
    let line_of = |text: &str, words| text.lines().position(|line| line.contains(words)).expect(words);
    for (width, lines_below) in [(None, 0), (Some(120), 1), (Some(80), 2)] {
        let text = text(&report, width);
        assert_eq!((text.matches("+12 open").count(), text.matches(LEGEND).count()), (1, 1), "{text}");
        assert_eq!(line_of(&text, "+12 open"), line_of(&text, "Order.total") + lines_below, "{text}");
        let columns = text.lines().map(|line| line.chars().count()).max().expect("there are lines");
        assert!(width.is_none_or(|width| columns <= usize::from(width)), "{columns}: {text}");
    }
    report.functions[0].sums.resumes = 0;
    let narrow = text(&report, Some(80));
    assert_eq!(line_of(&narrow, "+12 open"), line_of(&narrow, "Order.total") + 1, "{narrow}");
    assert!(!text(&self::report(), None).contains(" open: "), "only where there are any");
}

#[test]
fn says_how_many_functions_it_hides() {
    let text = text(Some(80), 1);
    assert!(
        text.contains("2 more functions with 1.01 us of self time are not shown (--limit 0 shows all)"),
        "{text}"
    );
    assert!(!text.contains("inner"));
    assert!(text.contains("<outside>"), "memory charged to no function is always shown\n{text}");
}

#[test]
fn ends_with_totals_cost_and_account() {
    let text = text(None, 0);
    let wanted = "\
3 functions, 1 241 calls, 309 resumed, self time 5.00 s, on CPU 2.50 s, 51 faults
resident memory 50 MiB -> 50.0 MiB (+8 KiB), peak 51 MiB

times include the probes' own cost: 1 234 567 hits x 431 ns = 532 ms, 4.4 % of the window
pytracer itself: 120 ms of processor time, 96 MiB of memory at most
account: 2 469 134 events, 3 lost, 0 repaired; calls open at attach 0, at detach 0
  a \\x1b[31mnote
";
    assert!(text.ends_with(wanted), "{text}");
}

#[test]
fn the_cost_of_the_whole_is_no_share_of_a_part() {
    let mut report = report();
    report.account.of_whole_recording = true;
    let text = render(&report, &TableOptions { sort: Sort::Own, limit: 0, width: None, colour: false });
    assert!(text.contains("1 234 567 hits x 431 ns = 532 ms, in the whole recording\n"), "{text}");
}

#[test]
fn shows_no_control_characters_of_the_traced_process() {
    for width in [None, Some(80), Some(120)] {
        let text = text(width, 0);
        assert!(text.contains("evil\\x1b[2Jname\\x0a") && text.contains("ev\\u{202e}il.py:12"), "{text}");
        assert!(!text.contains(['\x1b', '\u{202e}']));
    }
}

#[test]
fn colours_only_where_asked() {
    let coloured =
        render(&report(), &TableOptions { sort: Sort::Own, limit: 0, width: Some(80), colour: true });
    assert!(coloured.contains("\x1b[1;31m3 lost\x1b[0m"));
}

#[test]
fn sorts_by_what_was_asked() {
    let first = |sort| {
        let text = render(&report(), &TableOptions { sort, limit: 1, width: None, colour: false });
        text.lines().nth(4).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(first(Sort::Own), "Order.total");
    assert_eq!(first(Sort::Calls), "Order.total");
    assert_eq!(Sort::default(), Sort::Own);
}

#[test]
fn an_empty_report_says_that_nothing_ran() {
    let text = render(
        &Report::new(Status::default(), []),
        &TableOptions { sort: Sort::Own, limit: 0, width: Some(80), colour: false },
    );
    assert!(text.contains("no Python function ran") && text.contains("account: 0 events"), "{text}");
}

/// Three functions of one process, of which another one, forked by the first, has run two as well.
fn two_processes() -> Report {
    let mut report = report();
    report.processes[0].command = Some("python3 shop.py".into());
    let (process, pid, parent) = (1, 4712, Some(4711));
    report.processes.push(ProcessReport { process, pid, parent, ..ProcessReport::default() });
    let rows: Vec<_> = report.functions.iter().filter(|row| row.is_function()).take(2).cloned().collect();
    let of_child = rows.into_iter().map(|row| FunctionReport {
        process: Some(process),
        pid,
        sums: Sums { self_wall_ns: row.self_wall_ns / 2, ..row.sums },
        ..row
    });
    report.functions.extend(of_child);
    report
}

#[test]
fn several_processes_have_a_table_each() {
    let options = TableOptions { sort: Sort::Own, limit: 0, width: None, colour: false };
    let text = render(&two_processes(), &options);
    let parts: Vec<_> = text.match_indices("\nprocess ").map(|(at, _)| at).collect();
    let [first, second] = parts[..] else { panic!("{text}") };
    let (first, second) = (&text[first..second], &text[second..]);
    assert!(first.starts_with("\nprocess 4711, CPython 3.11.2 (eval loop): python3 shop.py\n"), "{text}");
    assert!(first.contains("3 functions, 1 241 calls") && first.contains("5.00 s"), "{text}");
    assert!(second.starts_with("\nprocess 4712, forked by 4711\n"), "{text}");
    assert!(second.contains("2 functions, 1 241 calls") && second.contains("2.50 s"), "{text}");
}

#[test]
fn the_busiest_processes_come_first_and_the_rest_is_counted() {
    let mut report = two_processes();
    report.functions.iter_mut().filter(|row| row.pid == 4712).for_each(|row| row.sums.self_wall_ns *= 8);
    let options = TableOptions { sort: Sort::Own, limit: 1, width: None, colour: false };
    let text = render(&report, &options);
    assert!(text.contains("\nprocess 4712") && !text.contains("\nprocess 4711"), "{text}");
    assert!(text.contains("1 more processes with 5.00 s of self time are not shown"), "{text}");
}

#[test]
fn merged_there_is_one_row_for_each_function() {
    let options = TableOptions { sort: Sort::Own, limit: 0, width: None, colour: false };
    let text = render(&two_processes().merged(), &options);
    assert_eq!(text.matches("Order.total").count(), 1, "{text}");
    assert!(text.contains("3 functions, 2 482 calls") && text.contains("7.50 s"), "{text}");
    assert!(text.contains("\nprocess 4711") && text.contains("\nprocess 4712"), "{text}");
}

#[test]
fn memory_that_nobody_has_followed_is_no_number() {
    let mut report = report();
    report.account.memory_unknown = true;
    for width in [None, Some(80), Some(120)] {
        let text = render(&report, &TableOptions { sort: Sort::Own, limit: 0, width, colour: false });
        let row = text.lines().position(|line| line.starts_with("Order.total")).expect("its row");
        let row = text.lines().skip(row).take(2).collect::<Vec<_>>().join(" ");
        assert!(row.contains(" -  ") && !row.contains("KiB") && !row.contains("17"), "{text}");
        assert!(text.replace("\n    ", " ").contains("faults not known"), "{text}");
    }
}
