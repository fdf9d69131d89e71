//! What was written, read back: its sums are those of the report, and of a small part it is what it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

use super::schema::{COUNTER, SLICE_BEGIN, SLICE_END};
use super::*;
use crate::analysis::scope::Scope;
use crate::filter::FunctionFilter;

fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

fn source(scope: Scope) -> Source {
    Source::open(&recordings().join("portrait"), scope).unwrap()
}

/// The packets of an export.
fn packets(scope: Scope) -> Vec<Packet> {
    let mut out = Vec::new();
    Perfetto.write(&mut source(scope), Measure::Wall, &mut out).unwrap();
    let mut rest = out.as_slice();
    let mut packets = Vec::new();
    while let Some((&key, behind)) = rest.split_first() {
        assert_eq!(key, 0x0a);
        rest = behind;
        let length = prost::decode_length_delimiter(&mut rest).unwrap();
        let (packet, behind) = rest.split_at(length);
        packets.push(Packet::decode(packet).unwrap());
        rest = behind;
    }
    packets
}

fn events(packets: &[Packet]) -> impl Iterator<Item = (u64, &Event)> {
    packets.iter().filter_map(|packet| Some((packet.timestamp?, packet.track_event.as_ref()?)))
}

/// Calls and self time by name and line; events are balanced, nested and in order on their tracks.
fn sums(packets: &[Packet]) -> BTreeMap<(String, u32), (u64, u64)> {
    let interned = || packets.iter().filter_map(|packet| packet.interned_data.as_ref());
    let places: BTreeMap<_, _> = interned()
        .flat_map(|data| &data.source_locations)
        .map(|place| (place.iid, (place.function_name.clone().unwrap(), place.line_number.unwrap())))
        .collect();
    let mut sums: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    let mut open: BTreeMap<u64, (u64, Vec<Option<u64>>)> = BTreeMap::new();
    for (time, event) in events(packets) {
        let kind = event.kind.unwrap();
        if ![SLICE_BEGIN, SLICE_END].contains(&kind) {
            continue;
        }
        let (now, stack) = open.entry(event.track_uuid.unwrap()).or_default();
        assert!(time >= *now);
        if let Some(top) = stack.last() {
            sums.get_mut(&places[top]).unwrap().1 += time - *now;
        }
        *now = time;
        if kind == SLICE_BEGIN {
            sums.entry(places[&event.source_location_iid].clone()).or_default().0 += 1;
            stack.push(event.source_location_iid);
        } else {
            assert!(stack.pop().is_some());
        }
    }
    assert!(open.values().all(|(_, stack)| stack.is_empty()));
    sums
}

#[test]
fn sums_and_memory_are_those_of_the_report() {
    let cut = Scope { time_ns: 120_000_000..150_000_000, ..Scope::default() };
    for scope in [Scope::default(), cut] {
        let packets = packets(scope.clone());
        let report = source(scope).summary(|_, _| {}).report;
        let mut expected: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for row in report.functions.iter().filter(|row| row.activations > 0) {
            let sum = expected.entry((row.function.clone(), row.line)).or_default();
            *sum = (sum.0 + row.activations, sum.1 + row.self_wall_ns);
        }
        assert_eq!(sums(&packets), expected);
        let resident = counter_track((20_457, Counter::Resident));
        let values: Vec<_> = events(&packets)
            .filter(|(_, event)| event.kind == Some(COUNTER) && event.track_uuid == Some(resident))
            .map(|(_, event)| event.counter_value.unwrap())
            .collect();
        let process = &report.processes[0];
        assert_eq!((values[0], *values.last().unwrap()), (process.rss_start_bytes, process.rss_end_bytes));
        assert_eq!(values[values.len() - 2], process.rss_end_bytes);
    }
}

#[test]
fn a_part_is_what_it_was() {
    let names = ["main", "fetch", "sleep", "gather", "*script*"].map(str::to_owned);
    let functions = FunctionFilter::new(&names, &[]).unwrap();
    let scope = Scope { time_ns: 176_400_000..178_000_000, functions, ..Scope::default() };
    let mut found = String::new();
    for packet in packets(scope) {
        writeln!(found, "{packet:?}").unwrap();
    }
    let version = format!("pytracer {}", env!("CARGO_PKG_VERSION"));
    let found = found.replace(&version, "pytracer VERSION");
    let path = recordings().join("golden/portrait.perfetto.txt");
    if std::env::var_os("PYTRACER_WRITE_GOLDEN").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert!(found == fs::read_to_string(&path).unwrap(), "{} differs from\n{found}", path.display());
}
