//! One function for each kind of bytes that pytracer takes from others, to be fed with anything: it returns, whatever they
//! are. `fuzz/` and `tests/mutated.rs` do that.

use bytes::Bytes;

use crate::{
    btf::Btf,
    decode::decode,
    discover,
    log::{
        self,
        recording::Recording,
        schema::{CallRows, EventRows, FunctionRows, PathRows, RssRows, SampleRows, ThinnedRows, ThreadRows},
        table::Rows,
    },
    pipeline::{Ending, NoSink, Pipeline, PipelineOptions},
    python::{
        elf::Elf,
        plan::{SourceChoice, Wanted},
        planner,
    },
    receive,
    report::table::{Sort, TableOptions, render},
};

/// A file that a process has mapped, as an interpreter. Returns what it is refused for.
pub fn interpreter(bytes: &[u8]) -> Option<String> {
    let elf = match Elf::parse(bytes.to_vec()) {
        Ok(elf) => elf,
        Err(error) => return Some(error.to_string()),
    };
    let wanted = Wanted { source: SourceChoice::Auto, exact_yields: true };
    planner::plan_elf(&elf, "python3", wanted).err().map(|refusal| refusal.to_string())
}

/// A chunk of the rings of events, up to the report of it. Returns how many records were none.
pub fn records(chunk: &[u8]) -> usize {
    let chunk = Bytes::copy_from_slice(chunk);
    let mut pipeline = Pipeline::new(PipelineOptions::default(), NoSink);
    let mut undecodable = 0;
    for record in receive::records(&chunk) {
        match decode(record) {
            Ok(event) => pipeline.apply(&event),
            Err(_) => undecodable += 1,
        }
    }
    pipeline.finish(&Ending { end_ns: u64::MAX, ..Ending::default() });
    render(&pipeline.report(), &TableOptions { sort: Sort::Own, limit: 0, width: Some(80), colour: false });
    undecodable
}

/// A segment of a log, as one of each table. Returns why it is none of the first table that it is none of.
pub fn segment(bytes: &[u8]) -> Option<String> {
    let bytes = Bytes::copy_from_slice(bytes);
    let refusals = [
        refusal::<CallRows>(&bytes),
        refusal::<EventRows>(&bytes),
        refusal::<FunctionRows>(&bytes),
        refusal::<PathRows>(&bytes),
        refusal::<RssRows>(&bytes),
        refusal::<SampleRows>(&bytes),
        refusal::<ThinnedRows>(&bytes),
        refusal::<ThreadRows>(&bytes),
    ];
    refusals.into_iter().flatten().next()
}

fn refusal<R: Rows>(bytes: &Bytes) -> Option<String> {
    log::segment::parse::<R>(bytes.clone()).err().map(|error| error.to_string())
}

/// The description of a log.
pub fn description(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Recording>(bytes).is_ok()
}

/// The kernel's description of its types.
pub fn kernel_types(bytes: &[u8]) -> bool {
    Btf::parse(bytes).is_ok_and(|btf| btf.member_offset("task_struct", "pid").is_some())
}

/// A text of `/proc/PID/maps`, which has names of files in it. Returns how many files it has.
pub fn mappings(text: &[u8]) -> usize {
    discover::maps::parse(text).len()
}
