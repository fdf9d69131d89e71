//! From calls to rows and back, and the codes on the way. A code, once given, keeps its meaning.

use parquet::data_type::ByteArray;

use super::schema::{CallRow, EventRow, FunctionRow, PathRow, RssRow, SampleRow, ThreadRow};
use crate::charge::{Began, BegunCall, Cost, Ended, FinishedCall, RssChange};
use crate::event::{Function, FunctionId, Member, Origin};
use crate::pipeline::{SampledPath, TakenSample};

/// What an end has on top in `kind` of an event row.
const END: i32 = 10;

/// The code of a beginning.
fn began_code(began: Began) -> i32 {
    match began {
        Began::Call => 0,
        Began::Resumed => 1,
        Began::OpenAtAttach => 2,
        Began::Unseen => 3,
    }
}

/// The beginning of a code.
pub(crate) fn began(code: i32) -> Option<Began> {
    let all = [Began::Call, Began::Resumed, Began::OpenAtAttach, Began::Unseen];
    all.into_iter().find(|&began| began_code(began) == code)
}

/// The code of an end.
fn ended_code(ended: Ended) -> i32 {
    match ended {
        Ended::Returned => 0,
        Ended::Raised => 1,
        Ended::OpenAtDetach => 2,
        Ended::Suspended => 3,
        Ended::Unseen => 4,
        Ended::WithThread => 5,
        Ended::SuspendedUnseen => 6,
        Ended::RaisedUnseen => 7,
    }
}

/// The end of a code.
fn ended(code: i32) -> Option<Ended> {
    let all = [
        Ended::Returned,
        Ended::Raised,
        Ended::OpenAtDetach,
        Ended::Suspended,
        Ended::Unseen,
        Ended::WithThread,
        Ended::SuspendedUnseen,
        Ended::RaisedUnseen,
    ];
    all.into_iter().find(|&ended| ended_code(ended) == code)
}

/// The kind of memory of a code.
pub(crate) fn member(code: i32) -> Option<Member> {
    [Member::File, Member::Anon, Member::Swap, Member::Shmem]
        .into_iter()
        .find(|&member| member as i32 == code)
}

/// A finished call.
pub(super) fn call_row(call: &FinishedCall) -> CallRow {
    CallRow {
        end_ns: call.end_ns as i64,
        duration_ns: call.total.wall_ns as i64,
        pid: call.pid as i32,
        tid: call.tid as i32,
        function_id: call.function as i32,
        caller_id: call.caller.unwrap_or(0) as i32,
        depth: call.depth as i32,
        off_cpu_ns: call.total.off_cpu_ns as i64,
        rss_delta: call.total.rss_bytes,
        faults: call.total.faults as i64,
        began: began_code(call.began),
        ended: ended_code(call.ended),
        recursive: i32::from(call.recursive),
        instance: call.instance as i64,
    }
}

/// The beginning of a call.
pub(super) fn begin_row(call: &BegunCall) -> EventRow {
    EventRow {
        time_ns: call.time_ns as i64,
        pid: call.pid as i32,
        tid: call.tid as i32,
        kind: began_code(call.began),
        function_id: call.function as i32,
        depth: call.depth as i32,
        recursive: i32::from(call.recursive),
        instance: call.instance as i64,
        ..EventRow::default()
    }
}

/// The end of a call.
pub(super) fn end_row(call: &FinishedCall) -> EventRow {
    EventRow {
        time_ns: call.end_ns as i64,
        pid: call.pid as i32,
        tid: call.tid as i32,
        kind: END + ended_code(call.ended),
        function_id: call.function as i32,
        depth: call.depth as i32,
        off_cpu_ns: call.total.off_cpu_ns as i64,
        rss_delta: call.total.rss_bytes,
        faults: call.total.faults as i64,
        recursive: i32::from(call.recursive),
        instance: call.instance as i64,
    }
}

/// A change of resident memory.
pub(super) fn rss_row(change: &RssChange) -> RssRow {
    RssRow {
        time_ns: change.time_ns as i64,
        pid: change.pid as i32,
        tid: change.tid as i32,
        function_id: change.function.unwrap_or(0) as i32,
        member: change.member as i32,
        delta: change.delta_bytes,
        total: change.total_bytes,
    }
}

/// The code of what a thread was doing.
fn origin_code(origin: Origin) -> i32 {
    match origin {
        Origin::Python => 0,
        Origin::Native => 1,
        Origin::System => 2,
        Origin::OffCpu => 3,
        Origin::Memory => 4,
    }
}

/// What a thread was doing by this code.
pub(crate) fn origin(code: i32) -> Option<Origin> {
    let all = [Origin::Python, Origin::Native, Origin::System, Origin::OffCpu, Origin::Memory];
    all.into_iter().find(|&origin| origin_code(origin) == code)
}

/// A call path of samples.
pub(super) fn path_row(path: &SampledPath) -> PathRow {
    PathRow { path_id: path.path as i32, from_path: path.caller as i32, function_id: path.function as i32 }
}

/// A sample.
pub(super) fn sample_row(sample: &TakenSample) -> SampleRow {
    SampleRow {
        time_ns: sample.time_ns as i64,
        pid: sample.pid as i32,
        tid: sample.tid as i32,
        kind: origin_code(sample.origin),
        path_id: sample.path as i32,
        samples: sample.samples as i64,
        weight_ns: sample.weight_ns as i64,
        rss_delta: sample.rss_bytes,
    }
}

/// Names of a function id.
pub(super) fn function_row(
    id: FunctionId,
    (process, pid): (usize, u32),
    function: &Function,
    code_flags: u32,
) -> FunctionRow {
    FunctionRow {
        function_id: id as i32,
        process: process as i32,
        pid: pid as i32,
        function: ByteArray::from(function.name.as_str()),
        file: ByteArray::from(function.file.as_str()),
        line: function.line as i32,
        code_flags: code_flags as i32,
    }
}

/// Name of a thread.
pub(super) fn thread_row((process, pid): (usize, u32), tid: u32, name: &str) -> ThreadRow {
    ThreadRow { process: process as i32, pid: pid as i32, tid: tid as i32, name: ByteArray::from(name) }
}

/// The function of a row. Text that is not UTF-8 can only come of damage.
pub(crate) fn function_of(row: &FunctionRow) -> Function {
    Function { name: text(&row.function), file: text(&row.file), line: row.line as u32 }
}

/// Text of the log.
pub(crate) fn text(bytes: &ByteArray) -> String {
    String::from_utf8_lossy(bytes.data()).into_owned()
}

/// The call of a row, as far as one row tells. `None`: it holds a code that is not known.
pub(crate) fn call_of(row: &CallRow) -> Option<FinishedCall> {
    let end_ns = amount(row.end_ns);
    let wall_ns = amount(row.duration_ns);
    let total = Cost {
        wall_ns,
        off_cpu_ns: amount(row.off_cpu_ns),
        rss_bytes: row.rss_delta,
        faults: amount(row.faults),
    };
    Some(FinishedCall {
        pid: row.pid as u32,
        tid: row.tid as u32,
        function: row.function_id as u32,
        caller: (row.caller_id != 0).then_some(row.caller_id as u32),
        depth: row.depth as u32,
        start_ns: end_ns.saturating_sub(wall_ns),
        end_ns,
        total,
        own: total,
        calls_made: 0,
        began: began(row.began)?,
        ended: ended(row.ended)?,
        recursive: row.recursive != 0,
        instance: row.instance as u64,
    })
}

/// The call of an end, as if it had taken no time: that is known from its beginning. `None`: it holds a code that is
/// not known.
pub(crate) fn end_of(end: &EventRow) -> Option<FinishedCall> {
    call_of(&CallRow {
        end_ns: end.time_ns,
        duration_ns: 0,
        pid: end.pid,
        tid: end.tid,
        function_id: end.function_id,
        caller_id: 0,
        depth: end.depth,
        off_cpu_ns: end.off_cpu_ns,
        rss_delta: end.rss_delta,
        faults: end.faults,
        began: 0,
        ended: end.kind.checked_sub(END)?,
        recursive: end.recursive,
        instance: end.instance,
    })
}

/// A time or a count of the log; never negative in a sound one.
pub(crate) fn amount(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_meaning() {
        let beginnings = [Began::Call, Began::Resumed, Began::OpenAtAttach, Began::Unseen];
        assert_eq!([0, 1, 2, 3].map(began), beginnings.map(Some));
        let ends = [
            Ended::Returned,
            Ended::Raised,
            Ended::OpenAtDetach,
            Ended::Suspended,
            Ended::Unseen,
            Ended::WithThread,
            Ended::SuspendedUnseen,
            Ended::RaisedUnseen,
        ];
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(ended), ends.map(Some));
        assert_eq!(
            [0, 1, 2, 3].map(member),
            [Member::File, Member::Anon, Member::Swap, Member::Shmem].map(Some)
        );
        assert_eq!((began(4), ended(8), member(4)), (None, None, None));
        let origins = [Origin::Python, Origin::Native, Origin::System, Origin::OffCpu, Origin::Memory];
        assert_eq!([0, 1, 2, 3, 4].map(origin), origins.map(Some));
        assert_eq!(origin(5), None);
    }

    #[test]
    fn a_call_comes_back_from_its_row_and_from_its_two_halves() {
        let total = Cost { wall_ns: 70, off_cpu_ns: 30, rss_bytes: -4096, faults: 2 };
        let call = FinishedCall {
            pid: 1,
            tid: 2,
            function: u32::MAX,
            caller: None,
            depth: 3,
            start_ns: 1_000,
            end_ns: 1_070,
            total,
            own: total,
            calls_made: 0,
            began: Began::Resumed,
            ended: Ended::Suspended,
            recursive: true,
            instance: 7,
        };
        assert_eq!(call_of(&call_row(&call)), Some(call));
        let begun = BegunCall {
            time_ns: 1_000,
            pid: 1,
            tid: 2,
            function: u32::MAX,
            depth: 3,
            began: Began::Resumed,
            recursive: true,
            instance: 7,
        };
        assert_eq!(began(begin_row(&begun).kind), Some(Began::Resumed));
        let ended = end_of(&end_row(&call)).unwrap();
        let total = Cost { wall_ns: 0, ..total };
        let timeless = FinishedCall { start_ns: 1_070, total, own: total, began: Began::Call, ..call };
        assert_eq!(ended, timeless);
    }
}
