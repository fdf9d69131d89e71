//! `speedscope`.

use serde_json::Value;
use tracer::export::Format;

use super::{Sums, assert_golden, export, json, label, parts, report, reported, small_part};

/// What its events come to, which must be balanced, nested and in order.
pub(super) fn sums(file: &Value) -> Sums {
    let frames: Vec<String> = file["shared"]["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| {
            let text = |key: &str| frame[key].as_str().unwrap();
            label(text("name"), text("file"), frame["line"].as_u64().unwrap())
        })
        .collect();
    let mut sums: Sums = frames.iter().map(|frame| (frame.clone(), (0, 0))).collect();
    for profile in file["profiles"].as_array().unwrap() {
        assert_eq!((&profile["type"], &profile["unit"]), (&"evented".into(), &"nanoseconds".into()));
        let mut open = Vec::new();
        let mut now = profile["startValue"].as_u64().unwrap();
        for event in profile["events"].as_array().unwrap() {
            let (at, frame) = (event["at"].as_u64().unwrap(), event["frame"].as_u64().unwrap() as usize);
            assert!(at >= now);
            if let Some(&top) = open.last() {
                let top: &String = &frames[top];
                sums.get_mut(top).unwrap().1 += at - now;
            }
            now = at;
            if event["type"] == "O" {
                sums.get_mut(&frames[frame]).unwrap().0 += 1;
                open.push(frame);
            } else {
                assert_eq!((&event["type"], open.pop()), (&"C".into(), Some(frame)));
            }
        }
        assert!(open.is_empty() && now <= profile["endValue"].as_u64().unwrap());
    }
    sums
}

#[test]
fn sums_are_those_of_the_report() {
    for part in parts() {
        let file = json(Format::Speedscope, part.clone());
        assert_eq!(sums(&file), reported(&report(part)));
    }
}

#[test]
fn it_says_of_what_it_is() {
    let file = json(Format::Speedscope, super::Scope::default());
    let names: Vec<_> = file["profiles"].as_array().unwrap().iter().map(|profile| &profile["name"]).collect();
    let of = "of /usr/bin/python3.11 portrait.py";
    assert_eq!(
        names,
        [&*format!("main thread 20457 {of}"), &format!("thread 20482 {of}"), &format!("thread 20481 {of}")]
    );
    assert_eq!(file["name"], "pytracer, 2026-11-20T14:22:11.865957955Z");
    assert_eq!(file["pytracer"]["account"]["lost"], 0);
    assert_eq!(file["profiles"][0]["endValue"], 210_522_569);
}

#[test]
fn a_part_is_what_it_was() {
    assert_golden("portrait.speedscope.json", &export(Format::Speedscope, small_part()));
}
