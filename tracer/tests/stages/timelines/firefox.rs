//! `firefox`.

use serde_json::Value;
use tracer::export::Format;

use super::{Sums, assert_golden, export, json, parts, report, reported, small_part};

fn list<'a>(value: &'a Value, keys: &[&str]) -> &'a Vec<Value> {
    keys.iter().fold(value, |value, key| &value[key]).as_array().unwrap()
}

/// The function of a stack of a thread.
fn function(thread: &Value, stack: &Value) -> String {
    let at = |table: &str, column: &str, row: &Value| {
        thread[table][column][row.as_u64().unwrap() as usize].clone()
    };
    let name = at("funcTable", "name", &at("frameTable", "func", &at("stackTable", "frame", stack)));
    thread["stringArray"][name.as_u64().unwrap() as usize].as_str().unwrap().to_owned()
}

/// Self time by the weights of the samples, calls by the markers.
pub(super) fn sums(profile: &Value) -> Sums {
    let mut sums = Sums::new();
    for thread in list(profile, &["threads"]) {
        let weights = list(thread, &["samples", "weight"]);
        for (stack, weight) in list(thread, &["samples", "stack"]).iter().zip(weights) {
            let weight = weight.as_u64().unwrap();
            if stack.is_null() {
                assert_eq!(weight, 0);
            } else {
                sums.entry(function(thread, stack)).or_default().1 += weight;
            }
        }
        for (data, name) in list(thread, &["markers", "data"]).iter().zip(list(thread, &["markers", "name"]))
        {
            if data["type"] == "call" {
                let name = thread["stringArray"][name.as_u64().unwrap() as usize].as_str().unwrap();
                assert_eq!(function(thread, &data["cause"]["stack"]), name);
                sums.entry(name.to_owned()).or_default().0 += 1;
            }
        }
    }
    sums
}

#[test]
fn sums_are_those_of_the_report() {
    for part in parts() {
        let profile = json(Format::Firefox, part.clone());
        assert_eq!(sums(&profile), reported(&report(part)));
    }
}

#[test]
fn memory_and_cpu_time_are_those_of_the_report() {
    for part in parts() {
        let profile = json(Format::Firefox, part.clone());
        let report = report(part);
        let counts = list(&profile, &["counters"])[0]["samples"]["count"].as_array().unwrap().clone();
        let counts: Vec<_> = counts.iter().map(|count| count.as_f64().unwrap() as i64).collect();
        let process = &report.processes[0];
        assert_eq!(counts[0], process.rss_start_bytes);
        assert_eq!(counts.iter().sum::<i64>(), process.rss_end_bytes);
        let mut own_us = 0;
        let mut steps = 0;
        for thread in list(&profile, &["threads"]) {
            let deltas = list(thread, &["samples", "threadCPUDelta"]);
            own_us += deltas.iter().map(|delta| delta.as_u64().unwrap()).sum::<u64>();
            steps += deltas.len() as u64;
        }
        let reported_ns: u64 = report.functions.iter().map(|row| row.self_cpu_ns).sum();
        // Less than a nanosecond goes with each sample, less than a microsecond with each thread.
        let (least, most) = ((reported_ns - steps) / 1000 - 3, reported_ns / 1000);
        assert!((least..=most).contains(&own_us), "{own_us} of {reported_ns} ns");
    }
}

#[test]
fn it_says_of_what_it_is() {
    let profile = json(Format::Firefox, super::Scope::default());
    assert_eq!(profile["meta"]["product"], format!("pytracer {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(profile["meta"]["startTime"], 1_795_184_531_865.958);
    let thread = &profile["threads"][0];
    assert_eq!(thread["processName"], "/usr/bin/python3.11 portrait.py");
    let about = list(thread, &["markers", "data"]).iter().find(|data| data["type"] == "recording").unwrap();
    let account = thread["stringArray"][about["account"].as_u64().unwrap() as usize].as_str().unwrap();
    assert!(account.contains("\"lost\":0"), "{account}");
}

#[test]
fn a_part_is_what_it_was() {
    let profile: Value = serde_json::from_slice(&export(Format::Firefox, small_part())).unwrap();
    assert_golden("portrait.firefox.json", serde_json::to_string_pretty(&profile).unwrap().as_bytes());
}
