//! pprof's profile: a sample for each call path, with all measures, gzipped.
//!
//! It is written piece by piece: messages of Protocol Buffers that follow each other are read as one, whose lists go on.

mod profile;

use std::io::{self, Write};

use anyhow::Result;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use prost::Message as _;
use rustc_hash::FxHashMap;

use self::profile::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use super::notes::notes;
use super::{Export, Measure, uncharged};
use crate::analysis::Source;
use crate::analysis::source::Summary;
use crate::analysis::tree::PathSums;
use crate::functions::Row;
use crate::report::{Account, Report, UNNAMED};
use crate::text::shown;

/// What a sample holds: name, unit and what it is.
const VALUES: [(&str, &str, Value); 8] = [
    ("samples", "count", Value::Samples),
    ("calls", "count", Value::Of(Measure::Calls)),
    ("resumed", "count", Value::Resumes),
    ("rss_grew", "bytes", Value::Of(Measure::RssGrew)),
    ("rss_shrank", "bytes", Value::Of(Measure::RssShrank)),
    ("faults", "count", Value::Of(Measure::Faults)),
    ("cpu", "nanoseconds", Value::Of(Measure::Cpu)),
    ("wall", "nanoseconds", Value::Of(Measure::Wall)),
];

#[derive(Clone, Copy)]
enum Value {
    Of(Measure),
    Resumes,
    Samples,
}

impl Value {
    /// Can a recording with this account tell it?
    fn is_known(self, account: &Account) -> bool {
        match self {
            Self::Of(measure) => measure.is_known(account),
            Self::Resumes => Measure::Calls.is_known(account),
            Self::Samples => account.sampling.is_some(),
        }
    }

    fn of(self, sums: &PathSums) -> u64 {
        match self {
            Self::Of(measure) => measure.of(sums),
            Self::Resumes => sums.sums.resumes,
            Self::Samples => sums.sums.samples.cpu + sums.sums.samples.off_cpu,
        }
    }
}

/// All functions are of one mapping, which says that they have their names: readers don't look for symbols then.
const MAPPING: u64 = 1;

/// The format.
pub(super) struct Pprof;

impl Export for Pprof {
    fn write(&self, source: &mut Source, _: Measure, out: &mut dyn Write) -> Result<()> {
        let summary = source.summary(|_, _| {});
        // No time and no name in gzip's header: the same recording gives the same bytes.
        let out = GzBuilder::new().write(out, Compression::default());
        let mut pieces = Pieces::new(out, &summary.report.account);
        pieces.describe(source, &summary.report)?;
        pieces.paths(source, &summary)?;
        pieces.uncharged(&summary.report)?;
        pieces.out.finish()?;
        Ok(())
    }
}

/// What has been written, by the numbers that stand for it.
struct Pieces<'a> {
    out: GzEncoder<&'a mut dyn Write>,
    strings: FxHashMap<String, i64>,
    functions: FxHashMap<Row, u64>,
    locations: u64,
    values: Vec<(&'static str, &'static str, Value)>,
}

impl<'a> Pieces<'a> {
    fn new(out: GzEncoder<&'a mut dyn Write>, account: &Account) -> Self {
        let values = VALUES.into_iter().filter(|(.., value)| value.is_known(account)).collect();
        Self { out, strings: FxHashMap::default(), functions: FxHashMap::default(), locations: 0, values }
    }

    fn put(&mut self, piece: &Profile) -> io::Result<()> {
        self.out.write_all(&piece.encode_to_vec())
    }

    /// The number of a text.
    fn text(&mut self, text: &str) -> io::Result<i64> {
        let text = shown(text);
        if let Some(&number) = self.strings.get(&*text) {
            return Ok(number);
        }
        let number = self.strings.len() as i64;
        self.strings.insert(text.clone().into_owned(), number);
        self.put(&Profile { string_table: vec![text.into_owned()], ..Profile::default() })?;
        Ok(number)
    }

    fn describe(&mut self, source: &Source, report: &Report) -> io::Result<()> {
        // The first text is the empty one.
        self.text("")?;
        let mut about = Profile {
            default_sample_type: self.text("wall")?,
            time_nanos: report.window.start_unix_ns as i64,
            duration_nanos: report.window.duration_ns as i64,
            ..Profile::default()
        };
        for (name, unit, _) in self.values.clone() {
            about.sample_type.push(ValueType { kind: self.text(name)?, unit: self.text(unit)? });
        }
        for note in notes(source, report) {
            about.comment.push(self.text(&note)?);
        }
        let command = report.processes.first().and_then(|process| process.command.as_deref());
        let filename = self.text(command.unwrap_or("python"))?;
        about.mapping.push(Mapping { id: MAPPING, filename, has_functions: true, has_filenames: true });
        self.put(&about)
    }

    fn paths(&mut self, source: &Source, Summary { tree, .. }: &Summary) -> io::Result<()> {
        for (path, _, sums) in tree.calls() {
            let rows = tree.paths.outward(path).filter_map(|path| tree.paths.row(path));
            let stack = rows.map(|row| self.function(source, row)).collect::<io::Result<_>>()?;
            let (pid, tid) =
                tree.paths.thread_of(path).map_or((0, 0), |thread| source.threads()[thread as usize]);
            self.sample(stack, sums, &[("pid", pid), ("tid", tid)])?;
        }
        Ok(())
    }

    fn uncharged(&mut self, report: &Report) -> io::Result<()> {
        uncharged(report).try_for_each(|(pid, name, sums)| {
            let stack = vec![self.location(name, "", 0)?];
            self.sample(stack, &sums, &[("pid", pid)])
        })
    }

    fn sample(&mut self, location_id: Vec<u64>, sums: &PathSums, labels: &[(&str, u32)]) -> io::Result<()> {
        let value: Vec<i64> = self.values.iter().map(|(.., value)| value.of(sums) as i64).collect();
        if value.iter().all(|&value| value == 0) {
            return Ok(());
        }
        let labels = labels
            .iter()
            .map(|(key, id)| Ok(Label { key: self.text(key)?, str: self.text(&id.to_string())? }));
        let label = labels.collect::<io::Result<_>>()?;
        self.put(&Profile { sample: vec![Sample { location_id, value, label }], ..Profile::default() })
    }

    /// The location of a function.
    fn function(&mut self, source: &Source, row: Row) -> io::Result<u64> {
        if let Some(&location) = self.functions.get(&row) {
            return Ok(location);
        }
        let named = source.names().get(row).function.as_ref();
        let (name, file, line) = named.map_or((UNNAMED, "", 0), |of| (&*of.name, &*of.file, of.line));
        let location = self.location(name, file, line)?;
        self.functions.insert(row, location);
        Ok(location)
    }

    fn location(&mut self, name: &str, file: &str, line: u32) -> io::Result<u64> {
        self.locations += 1;
        let id = self.locations;
        let (name, filename, line) = (self.text(name)?, self.text(file)?, i64::from(line));
        self.put(&Profile {
            function: vec![Function { id, name, filename, start_line: line }],
            location: vec![Location { id, mapping_id: MAPPING, line: vec![Line { function_id: id, line }] }],
            ..Profile::default()
        })?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;

    use super::*;
    use crate::analysis::scope::Scope;

    #[test]
    fn its_sums_are_those_of_the_report() {
        let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/portrait");
        let mut source = Source::open(&recording, Scope::default()).unwrap();
        let mut zipped = Vec::new();
        Pprof.write(&mut source, Measure::Wall, &mut zipped).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut bytes).unwrap();
        let profile = Profile::decode(&bytes[..]).unwrap();

        let report = source.summary(|_, _| {}).report;
        let sum = |name: &str| -> i64 {
            let text = |number: i64| profile.string_table[number as usize].as_str();
            let at = profile.sample_type.iter().position(|kind| text(kind.kind) == name).unwrap();
            profile.sample.iter().map(|sample| sample.value[at]).sum()
        };
        let total = |value: fn(&crate::report::FunctionReport) -> i64| -> i64 {
            report.functions.iter().map(value).sum()
        };
        assert_eq!(sum("wall"), total(|row| row.self_wall_ns as i64));
        assert_eq!(sum("cpu"), total(|row| row.self_cpu_ns as i64));
        assert_eq!(sum("calls"), total(|row| row.calls as i64));
        assert_eq!(sum("resumed"), total(|row| row.resumes as i64));
        assert_eq!(sum("faults"), total(|row| row.page_faults as i64));
        assert_eq!(sum("rss_grew") - sum("rss_shrank"), total(|row| row.self_rss_bytes));
        assert_eq!((&*profile.string_table[0], profile.mapping.len()), ("", 1));
    }
}
