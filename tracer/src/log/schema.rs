//! The tables of the log, their columns, and what the codes in them mean. All columns are required, `INT32`, `INT64`
//! or text; times are nanoseconds of the monotonic clock.

use std::fs::File;

use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::reader::RowGroupReader;
use parquet::file::writer::SerializedRowGroupWriter;

use super::table::{Column, Encoding, Rows, physical, read_column, table, write_column};

table! {
    /// Names of a function id.
    FunctionRows of FunctionRow in "functions" {
        /// Its id. Several ids may have the same names.
        function_id: i32 = Dictionary,
        /// Its process, by its number in the recording's description.
        process: i32 = Dictionary,
        /// Process id.
        pid: i32 = Dictionary,
        /// Qualified name.
        function: ByteArray = Dictionary,
        /// File.
        file: ByteArray = Dictionary,
        /// First line of the definition.
        line: i32 = Dictionary,
        /// `co_flags`.
        code_flags: i32 = Dictionary,
    }
}

table! {
    /// Name of a thread. One that was given another has another row, the latest last.
    ThreadRows of ThreadRow in "threads" {
        /// Its process, by its number in the recording's description.
        process: i32 = Dictionary,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id.
        tid: i32 = Dictionary,
        /// What it is called.
        name: ByteArray = Dictionary,
    }
}

table! {
    /// A finished call.
    CallRows of CallRow in "calls" {
        /// When it ended.
        end_ns: i64 = Delta,
        /// How long it took.
        duration_ns: i64 = Plain,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id.
        tid: i32 = Dictionary,
        /// Which function.
        function_id: i32 = Dictionary,
        /// The function it was called from; 0: none that is traced.
        caller_id: i32 = Dictionary,
        /// Calls open further out.
        depth: i32 = Dictionary,
        /// Part of the duration not on a CPU.
        off_cpu_ns: i64 = Dictionary,
        /// Change of resident memory in bytes, by this thread.
        rss_delta: i64 = Dictionary,
        /// Page faults.
        faults: i64 = Dictionary,
        /// How it began: 0 called, 1 resumed, 2 open at attach, 3 unseen.
        began: i32 = Dictionary,
        /// How it ended: 0 returned, 1 raised, 2 still open at the end, 3 suspended, 4 unseen, 5 with its thread.
        ended: i32 = Dictionary,
        /// 1: the same function is open further out.
        recursive: i32 = Dictionary,
        /// Which generator or coroutine this is a step of; 0: of none.
        instance: i64 = Dictionary,
    }
}

table! {
    /// The beginning or the end of a call.
    EventRows of EventRow in "events" {
        /// When.
        time_ns: i64 = Delta,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id.
        tid: i32 = Dictionary,
        /// A beginning: the code of `began`. An end: 10 and the code of `ended`.
        kind: i32 = Dictionary,
        /// Which function.
        function_id: i32 = Dictionary,
        /// Calls open further out.
        depth: i32 = Dictionary,
        /// Of an end: time not on a CPU in this call.
        off_cpu_ns: i64 = Dictionary,
        /// Of an end: change of resident memory in bytes in this call.
        rss_delta: i64 = Dictionary,
        /// Of an end: page faults in this call.
        faults: i64 = Dictionary,
        /// 1: the same function is open further out.
        recursive: i32 = Dictionary,
        /// Which generator or coroutine this is a step of; 0: of none.
        instance: i64 = Dictionary,
    }
}

table! {
    /// A change of resident memory.
    RssRows of RssRow in "rss" {
        /// When.
        time_ns: i64 = Delta,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread that caused it; 0: another task.
        tid: i32 = Dictionary,
        /// Function on top of that thread; 0: none.
        function_id: i32 = Dictionary,
        /// 0 file, 1 anonymous, 2 swap (not part of resident memory), 3 shared.
        member: i32 = Dictionary,
        /// Change in bytes.
        delta: i64 = Dictionary,
        /// Resident memory of the process after it; of a swap change, what is swapped out.
        total: i64 = Delta,
    }
}

table! {
    /// A call path of samples: a function, and the path that it was called from.
    PathRows of PathRow in "paths" {
        /// Its number; larger than that of the path it goes on from.
        path_id: i32 = Delta,
        /// The path that it goes on from; 0: this is the outermost function.
        from_path: i32 = Dictionary,
        /// Which function.
        function_id: i32 = Dictionary,
    }
}

table! {
    /// One sample, or several of the same stack; or a change of resident memory with its stack.
    SampleRows of SampleRow in "samples" {
        /// When; of several samples, the last one's time.
        time_ns: i64 = Delta,
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id.
        tid: i32 = Dictionary,
        /// What the thread was doing: 0 Python, 1 native code, 2 in the kernel, 3 not running, 4 a change of memory.
        kind: i32 = Dictionary,
        /// Its call path; 0: it ran no Python function.
        path_id: i32 = Dictionary,
        /// How many samples; 0 of a change of memory.
        samples: i64 = Dictionary,
        /// The time that they stand for.
        weight_ns: i64 = Dictionary,
        /// Of a change of memory: bytes.
        rss_delta: i64 = Dictionary,
    }
}

table! {
    /// Sums of rows that were left out, by thread, function and caller. To be added up.
    ThinnedRows of ThinnedRow in "thinned" {
        /// Process id.
        pid: i32 = Dictionary,
        /// Thread id; of changes of memory as in [`RssRow`].
        tid: i32 = Dictionary,
        /// Which function; 0: none.
        function_id: i32 = Dictionary,
        /// The function it was called from; 0: none that is traced.
        caller_id: i32 = Dictionary,
        /// 0: of calls and changes that were left out. 1: of calls that were kept, what is to be added to the amounts
        /// that they seem to have taken themselves, because calls that they made were left out.
        kept: i32 = Dictionary,
        /// Calls.
        calls: i64 = Dictionary,
        /// Resumptions.
        resumes: i64 = Dictionary,
        /// Calls open at attach.
        open_at_attach: i64 = Dictionary,
        /// All of these, and calls found open after a loss.
        activations: i64 = Dictionary,
        /// How often they returned, raised or were suspended.
        ends: i64 = Dictionary,
        /// Those of them that came out late.
        late_ends: i64 = Dictionary,
        /// Calls and resumptions made directly by them.
        calls_made: i64 = Dictionary,
        /// Wall time without what they called.
        own_ns: i64 = Dictionary,
        /// Part of that not on a CPU.
        own_off_cpu_ns: i64 = Dictionary,
        /// Change of resident memory without what they called.
        own_rss: i64 = Dictionary,
        /// Page faults without what they called.
        own_faults: i64 = Dictionary,
        /// Wall time with all that they called; recursion counted once.
        cum_ns: i64 = Dictionary,
        /// Part of that not on a CPU.
        cum_off_cpu_ns: i64 = Dictionary,
        /// Change of resident memory with all that they called.
        cum_rss: i64 = Dictionary,
        /// Page faults with all that they called.
        cum_faults: i64 = Dictionary,
        /// Changes of resident memory while the function was on top.
        rss_changes: i64 = Dictionary,
        /// What these came to in bytes.
        rss_delta: i64 = Dictionary,
    }
}
