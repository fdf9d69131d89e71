//! `chrome`.

use std::collections::BTreeMap;

use serde_json::Value;
use tracer::export::Format;

use super::{Scope, Sums, assert_golden, export, json, parts, report, reported, small_part};

fn events<'a>(file: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    file["traceEvents"].as_array().unwrap().iter().filter(move |event| event["ph"] == kind)
}

/// Nanoseconds of a time in microseconds.
fn ns(time: &Value) -> u64 {
    let text = time.to_string();
    let (whole, fraction) = text.split_once('.').unwrap();
    assert!(fraction.len() <= 3, "{text}");
    format!("{whole}{fraction:0<3}").parse().unwrap()
}

/// What its complete events come to: each lies in those of its thread that are open when it begins.
pub(super) fn sums(file: &Value) -> Sums {
    let mut sums = Sums::new();
    let mut open: BTreeMap<u64, Vec<(u64, String)>> = BTreeMap::new();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for event in events(file, "X") {
        let (start, length, tid) = (ns(&event["ts"]), ns(&event["dur"]), event["tid"].as_u64().unwrap());
        assert!(last.insert(tid, start).is_none_or(|last| last <= start));
        let function = event["args"]["function"].as_str().unwrap().to_owned();
        let open = open.entry(tid).or_default();
        while open.pop_if(|(end, _)| *end <= start).is_some() {}
        if let Some((end, caller)) = open.last() {
            assert!(start + length <= *end);
            sums.get_mut(caller).unwrap().1 -= length;
        }
        let sum = sums.entry(function.clone()).or_default();
        *sum = (sum.0 + 1, sum.1 + length);
        open.push((start + length, function));
    }
    sums
}

#[test]
fn sums_are_those_of_the_report() {
    for part in parts() {
        let file = json(Format::Chrome, part.clone());
        assert_eq!(sums(&file), reported(&report(part)));
    }
}

#[test]
fn memory_begins_and_ends_as_in_the_report_and_no_change_is_left_out() {
    for part in parts() {
        let file = json(Format::Chrome, part.clone());
        let process = &report(part).processes[0];
        let of = |name| events(&file, "C").filter(move |event| event["name"] == name);
        let resident: Vec<_> =
            of("resident memory").map(|event| event["args"]["bytes"].as_i64().unwrap()).collect();
        let (last, rest) = resident.split_last().unwrap();
        assert_eq!((resident[0], *last), (process.rss_start_bytes, process.rss_end_bytes));
        assert_eq!(rest.last(), Some(last), "the change before the end leads to it");
        let kinds = ["anonymous", "file", "shared"].map(|kind| format!("{kind} memory gained"));
        let gained: i64 = kinds.iter().filter_map(|kind| of(kind).last()?["args"]["bytes"].as_i64()).sum();
        assert_eq!(gained, process.rss_end_bytes - process.rss_start_bytes);
        let times: Vec<_> = of("resident memory").map(|event| ns(&event["ts"])).collect();
        assert!(times.is_sorted());
    }
}

#[test]
fn steps_and_cut_calls_are_marked() {
    let file = json(Format::Chrome, parts()[1].clone());
    let cut = events(&file, "X").filter(|event| event["args"]["cut_at"] != Value::Null).count() as u64;
    let open = portrait_cut(parts()[1].clone());
    assert!(cut > 0 && cut == open, "{cut} of {open}");
    let whole = json(Format::Chrome, Scope::default());
    let resumed = events(&whole, "X").filter(|event| event["args"]["resumed"] == true).count() as u64;
    assert_eq!(resumed, report(Scope::default()).functions.iter().map(|row| row.resumes).sum::<u64>());
    let tied: Vec<_> = events(&whole, "X").filter(|event| event["name"] == "fetch").collect();
    assert_eq!(tied.len(), 6);
    assert!(tied.iter().all(|event| event["flow_out"] == true));
    let goes_on = |event: &&&Value| event["flow_in"] == true;
    assert_eq!(tied.iter().filter(goes_on).count(), 3);
    assert!(
        tied.iter()
            .filter(goes_on)
            .all(|event| { tied.iter().filter(|other| other["bind_id"] == event["bind_id"]).count() == 2 })
    );
}

fn portrait_cut(part: Scope) -> u64 {
    let mut source = super::portrait(part);
    source.calls(|_, _| {});
    source.cut()
}

#[test]
fn a_part_is_what_it_was() {
    assert_golden("portrait.chrome.json", &export(Format::Chrome, small_part()));
}
