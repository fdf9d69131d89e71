//! The functions of the page: each has a number, by which everything else tells of it.

use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};

use crate::analysis::Source;
use crate::event::Function;
use crate::functions::Row;
use crate::report::{FunctionReport, Report, SampledFunction, UNNAMED, merge};
use crate::text::shown;

/// Rows of the table.
const MOST: usize = 4000;

/// Number of a function in the page.
pub(super) type Number = u32;

/// The functions that are spoken of, over all processes: by name, file and line.
#[derive(Default, Serialize)]
pub(super) struct Names {
    files: Vec<String>,
    /// Name, number of the file, line.
    functions: Vec<(String, u32, u32)>,
    #[serde(skip)]
    known_files: FxHashMap<String, u32>,
    #[serde(skip)]
    known: FxHashMap<(String, u32, u32), Number>,
}

impl Names {
    /// The number of a function.
    pub(super) fn number(&mut self, name: &str, file: &str, line: u32) -> Number {
        let next = self.files.len() as u32;
        let file = *self.known_files.entry(file.to_owned()).or_insert_with(|| {
            self.files.push(shown(file).into_owned());
            next
        });
        let next = self.functions.len() as Number;
        *self.known.entry((name.to_owned(), file, line)).or_insert_with(|| {
            self.functions.push((shown(name).into_owned(), file, line));
            next
        })
    }

    /// The number of a function of a log.
    pub(super) fn of_row(&mut self, source: &Source, row: Row) -> Number {
        match &source.names().get(row).function {
            Some(Function { name, file, line }) => self.number(name, file, *line),
            None => self.number(UNNAMED, "", 0),
        }
    }

    fn of_report(&mut self, row: &FunctionReport) -> Number {
        self.number(&row.function, &row.file, row.line)
    }
}

/// What the table shows.
#[derive(Serialize)]
pub(super) struct FunctionTable {
    /// Those with the largest self time.
    rows: Vec<Line>,
    /// All of them, with those that are left out.
    total: Line,
    left_out: usize,
}

/// A row: function, self and cum (wall), self and cum (CPU), self and cum (resident memory), and whether it is a function.
/// Then, of calls, their number, resumptions, calls open at attach, page faults, and whether times are upper bounds; of
/// samples, their number running and waiting, the share of all that ran with its interval, and the parts of CPU time in the
/// interpreter, in other code and in the kernel.
struct Line(Option<Number>, FunctionReport);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(number, row) = self;
        if let Some(of) = &row.sampled {
            return (
                number,
                (row.self_wall_ns, row.cum_wall_ns),
                (row.self_cpu_ns, row.cum_cpu_ns),
                (row.self_rss_bytes, row.cum_rss_bytes),
                row.is_function(),
                of.samples,
                of.off_cpu_samples,
                (of.cpu_share, of.cpu_share_low, of.cpu_share_high),
                (of.self_python_ns, of.self_native_ns, of.self_system_ns),
            )
                .serialize(serializer);
        }
        (
            number,
            (row.self_wall_ns, row.cum_wall_ns),
            (row.self_cpu_ns, row.cum_cpu_ns),
            (row.self_rss_bytes, row.cum_rss_bytes),
            row.is_function(),
            row.calls,
            row.resumes,
            row.open_at_attach,
            row.page_faults,
            row.late_ends > 0,
        )
            .serialize(serializer)
    }
}

impl FunctionTable {
    pub(super) fn new(report: &Report, names: &mut Names) -> Self {
        // All samples are all of them.
        let all = SampledFunction { cpu_share: 1.0, ..SampledFunction::default() };
        let sampled = report.account.sampling.map(|_| all);
        let mut total = FunctionReport { sampled, ..FunctionReport::default() };
        for row in &report.functions {
            merge(&mut total, row);
        }
        let shown = report.functions.iter().enumerate().filter(|(at, row)| *at < MOST || !row.is_function());
        let rows: Vec<_> = shown.map(|(_, row)| Line(Some(names.of_report(row)), row.clone())).collect();
        Self { left_out: report.functions.len() - rows.len(), rows, total: Line(None, total) }
    }
}
