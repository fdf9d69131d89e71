//! From ring buffer bytes to [`Event`]s. Bytes of an unknown kind or a wrong length are an error, never a guess.

use thiserror::Error;
use tracer_common::{
    limits::{FILE_BYTES, NAME_BYTES},
    record::{
        CalledRecord, CountersRecord, FrameRecord, FunctionRecord, Header, LossRecord, RssBaseRecord,
        RssRecord, SampleRecord, TaskRecord, flag, kind,
    },
    sample::origin,
};
use zerocopy::FromBytes;

use crate::{
    aggregate::PAGE_BYTES,
    event::{Cause, Event, FrameEvent, Function, Member, Origin, Sample, SampledStack, UnseenEnd},
};

/// Why a record can't be decoded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than its kind asks for.
    #[error("a record of kind {kind} has {length} bytes, too few")]
    Short {
        /// Its kind; 0: not even a header.
        kind: u8,
        /// Its length.
        length: usize,
    },
    /// A kind or member that this version does not know.
    #[error("unknown record: kind {kind}, value {value}")]
    Unknown {
        /// Its kind.
        kind: u8,
        /// What is unknown about it.
        value: u32,
    },
}

/// More than the kernel ever counts, of bytes, nanoseconds or events: a larger number is damage, and sums are not to overflow.
const MOST: u64 = 1 << 52;

/// Decodes one record.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let header: Header = record(bytes, 0)?;
    let (time_ns, thread) = (header.time_ns, header.thread);
    Ok(match header.kind {
        kind::START | kind::END | kind::YIELD | kind::RAISE | kind::HELD => {
            frame(&record(bytes, header.kind)?)
        }
        kind::CALLED | kind::THROWN => called(&record(bytes, header.kind)?),
        kind::COUNTERS => {
            let counters: CountersRecord = record(bytes, header.kind)?;
            Event::Counters {
                time_ns,
                thread,
                off_cpu_ns: counters.off_cpu_ns.min(MOST),
                faults: counters.faults.min(MOST),
            }
        }
        kind::LOSS => {
            let loss: LossRecord = record(bytes, header.kind)?;
            Event::Loss { time_ns, thread, lost: loss.lost.min(MOST) }
        }
        kind::RSS => rss(&record(bytes, header.kind)?)?,
        kind::RSS_BASE => {
            let base: RssBaseRecord = record(bytes, header.kind)?;
            let most = (MOST as i64) / PAGE_BYTES;
            let bytes = base.pages.map(|pages| pages.clamp(-most, most) * PAGE_BYTES);
            Event::RssBase { time_ns, process: header.value, bytes }
        }
        kind::FUNCTION => function(&record(bytes, header.kind)?),
        kind::THREAD..=kind::FORK => task(&record(bytes, header.kind)?),
        kind::SAMPLE => sample(bytes)?,
        kind => return Err(DecodeError::Unknown { kind, value: header.value }),
    })
}

/// What a record is about, one of [`kind`]: cheaper than to decode it. `None`: not even a header.
pub fn kind_of(bytes: &[u8]) -> Option<u8> {
    const KIND_AT: usize = std::mem::offset_of!(Header, kind);
    bytes.get(KIND_AT).copied()
}

/// A copy, so that the bytes need no alignment.
#[inline]
fn record<T: FromBytes>(bytes: &[u8], kind: u8) -> Result<T, DecodeError> {
    match T::read_from_prefix(bytes) {
        Ok((record, _)) => Ok(record),
        Err(_) => Err(DecodeError::Short { kind, length: bytes.len() }),
    }
}

fn frame(record: &FrameRecord) -> Event {
    let Header { time_ns, value: function, thread, kind, flags } = record.header;
    let what = match kind {
        kind::START => FrameEvent::Start { resumed: flags & flag::RESUMED != 0, function },
        kind::END => FrameEvent::End,
        kind::YIELD => FrameEvent::Yield,
        kind::RAISE => FrameEvent::Raise { function },
        _ if flags & (flag::OUTERMOST | flag::TRUNCATED) != 0 => {
            return Event::HeldEnd { time_ns, thread, complete: flags & flag::OUTERMOST != 0 };
        }
        _ => FrameEvent::Held { function },
    };
    Event::Frame { time_ns, thread, frame: record.frame, what }
}

fn called(record: &CalledRecord) -> Event {
    let Header { time_ns, value: function, thread, kind, flags } = record.header;
    let (frame, caller, resumed) = (record.frame, record.caller, flags & flag::RESUMED != 0);
    let unseen = if flags & flag::SUSPENDED_UNSEEN != 0 { UnseenEnd::Suspended } else { UnseenEnd::Raised };
    let what = if kind == kind::CALLED {
        FrameEvent::Called { resumed, function, caller, unseen }
    } else {
        FrameEvent::Thrown { suspended: resumed, function, caller, unseen }
    };
    Event::Frame { time_ns, thread, frame, what }
}

fn rss(record: &RssRecord) -> Result<Event, DecodeError> {
    let Header { time_ns, value: process, thread, kind, flags } = record.header;
    let member = match record.member {
        0 => Member::File,
        1 => Member::Anon,
        2 => Member::Swap,
        3 => Member::Shmem,
        value => return Err(DecodeError::Unknown { kind, value }),
    };
    let cause = match thread {
        _ if flags & flag::OUTSIDE != 0 => Cause::Outside,
        0 => Cause::Unfollowed,
        thread => Cause::Thread(thread),
    };
    let delta_bytes = i64::from(record.delta_pages) * PAGE_BYTES;
    Ok(Event::Rss { time_ns, process, cause, member, delta_bytes })
}

/// The ids of the functions stand behind the record.
fn sample(bytes: &[u8]) -> Result<Event, DecodeError> {
    let short = DecodeError::Short { kind: kind::SAMPLE, length: bytes.len() };
    let (record, rest) = SampleRecord::read_from_prefix(bytes).map_err(|_| short)?;
    let Header { time_ns, thread, kind, flags, .. } = record.header;
    let origin = match record.origin {
        origin::PYTHON => Origin::Python,
        origin::NATIVE => Origin::Native,
        origin::SYSTEM => Origin::System,
        origin::MEMORY => Origin::Memory,
        value => return Err(DecodeError::Unknown { kind, value }),
    };
    let stack = if flags & flag::UNKNOWN_THREAD != 0 {
        SampledStack::UnknownThread
    } else if flags & flag::UNREADABLE != 0 {
        SampledStack::Unreadable
    } else {
        let ids = rest.get(..4 * record.functions as usize).ok_or(short)?;
        let functions = ids.as_chunks().0.iter().map(|&id| u32::from_ne_bytes(id)).collect();
        SampledStack::Functions { functions, cut: flags & flag::STACK_CUT != 0 }
    };
    Ok(Event::Sample(Sample { time_ns, thread, origin, samples: 1, weight_ns: None, stack }))
}

fn task(record: &TaskRecord) -> Event {
    let Header { time_ns, value: process, thread, kind, flags } = record.header;
    let pid = record.pid;
    match kind {
        kind::THREAD => Event::Thread { time_ns, thread, process, pid, tid: record.other },
        kind::THREAD_EXIT => Event::ThreadExit { time_ns, thread },
        kind::PROCESS => Event::Process { time_ns, process, pid },
        kind::EXEC => Event::Exec {
            time_ns,
            process: (process != 0).then_some(process),
            pid,
            by_thread: record.other != pid,
        },
        kind::EXIT => Event::Exit { time_ns, process, pid },
        _ => {
            let shared_memory = flags & flag::SHARED_MEMORY != 0;
            Event::Fork { time_ns, process, pid, parent: record.other, shared_memory }
        }
    }
}

/// The event of a function's record.
pub fn function(record: &FunctionRecord) -> Event {
    let name = record.name.get(..usize::from(record.name_bytes).min(NAME_BYTES)).unwrap_or_default();
    let file = record.file.get(..usize::from(record.file_bytes).min(FILE_BYTES)).unwrap_or_default();
    let mut name = text(name, record.name_width);
    let mut file = text(file, record.file_width);
    if record.header.flags & flag::NAME_CUT != 0 {
        name.push('…');
    }
    if record.header.flags & flag::FILE_CUT != 0 {
        file.insert(0, '…');
    }
    if name.is_empty() {
        name.push_str("<unreadable>");
    }
    Event::Function {
        id: record.header.value,
        process: record.process,
        function: Function { name, file, line: record.first_line },
        code: record.code,
        code_flags: record.code_flags,
    }
}

/// Characters as the interpreter stores them: Latin-1 (of which ASCII is a part), UTF-16 or UTF-32, without
/// surrogate pairs; a lone surrogate becomes U+FFFD.
fn text(bytes: &[u8], width: u8) -> String {
    let character = |code: u32| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    match width {
        2 => bytes.chunks_exact(2).map(|c| character(u32::from(u16::from_le_bytes([c[0], c[1]])))).collect(),
        4 => bytes.chunks_exact(4).map(|c| character(u32::from_le_bytes([c[0], c[1], c[2], c[3]]))).collect(),
        _ => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::{FromZeros as _, IntoBytes as _};

    use super::*;

    fn header(kind: u8, flags: u8) -> Header {
        Header { time_ns: 7, value: 5, thread: 3, kind, flags }
    }

    #[test]
    fn a_resumed_start_keeps_its_frame_and_function() {
        let record = FrameRecord { header: header(kind::START, flag::RESUMED), frame: 0x7f00_1234 };
        let what = FrameEvent::Start { resumed: true, function: 5 };
        let event = Event::Frame { time_ns: 7, thread: 3, frame: 0x7f00_1234, what };
        assert_eq!(decode(record.as_bytes()), Ok(event));
    }

    #[test]
    fn a_caller_comes_along_where_ends_are_not_seen() {
        let flags = flag::RESUMED | flag::SUSPENDED_UNSEEN;
        let record = CalledRecord { header: header(kind::THROWN, flags), frame: 1, caller: 2 };
        let unseen = UnseenEnd::Suspended;
        let what = FrameEvent::Thrown { suspended: true, function: 5, caller: 2, unseen };
        let event = Event::Frame { time_ns: 7, thread: 3, frame: 1, what };
        assert_eq!(decode(record.as_bytes()), Ok(event));
        let record = CalledRecord { header: header(kind::CALLED, 0), frame: 1, caller: 0 };
        let what = FrameEvent::Called { resumed: false, function: 5, caller: 0, unseen: UnseenEnd::Raised };
        let event = Event::Frame { time_ns: 7, thread: 3, frame: 1, what };
        assert_eq!(decode(record.as_bytes()), Ok(event));
    }

    #[test]
    fn a_held_run_ends_complete_or_cut() {
        let held = FrameRecord { header: header(kind::HELD, 0), frame: 1 };
        assert!(matches!(
            decode(held.as_bytes()),
            Ok(Event::Frame { what: FrameEvent::Held { function: 5 }, .. })
        ));
        let end = FrameRecord { header: header(kind::HELD, flag::OUTERMOST), frame: 0 };
        assert!(matches!(decode(end.as_bytes()), Ok(Event::HeldEnd { complete: true, .. })));
        let cut = FrameRecord { header: header(kind::HELD, flag::TRUNCATED), frame: 0 };
        assert!(matches!(decode(cut.as_bytes()), Ok(Event::HeldEnd { complete: false, .. })));
    }

    #[test]
    fn memory_is_in_bytes_and_signed() {
        let record = RssRecord { header: header(kind::RSS, 0), delta_pages: -512, member: 1 };
        let Ok(Event::Rss { delta_bytes, member, cause, .. }) = decode(record.as_bytes()) else { panic!() };
        assert_eq!((delta_bytes, member, cause), (-2 << 20, Member::Anon, Cause::Thread(3)));
    }

    #[test]
    fn memory_without_a_thread_is_another_tasks_only_if_that_is_said() {
        let cause = |thread, flags| {
            let header = Header { thread, ..header(kind::RSS, flags) };
            match decode(RssRecord { header, delta_pages: 1, member: 1 }.as_bytes()) {
                Ok(Event::Rss { cause, .. }) => cause,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((cause(0, 0), cause(0, flag::OUTSIDE)), (Cause::Unfollowed, Cause::Outside));
    }

    #[test]
    fn names_of_every_width() {
        let mut record = FunctionRecord::new_zeroed();
        record.header = header(kind::FUNCTION, flag::FILE_CUT);
        record.name[..4].copy_from_slice(&[0x41, 0x20, 0x00, 0xd8]);
        (record.name_bytes, record.name_width) = (4, 2);
        record.file[..3].copy_from_slice(b"a\xe9/");
        (record.file_bytes, record.file_width) = (3, 1);
        let Ok(Event::Function { function, .. }) = decode(record.as_bytes()) else { panic!() };
        assert_eq!(function.name, "\u{2041}\u{fffd}");
        assert_eq!(function.file, "…aé/");
    }

    #[test]
    fn short_and_unknown_records_are_errors() {
        assert_eq!(decode(&[0; 3]), Err(DecodeError::Short { kind: 0, length: 3 }));
        let record = FrameRecord { header: header(kind::START, 0), frame: 0 };
        assert_eq!(
            decode(&record.as_bytes()[..20]),
            Err(DecodeError::Short { kind: kind::START, length: 20 })
        );
        assert_eq!(decode(header(99, 0).as_bytes()), Err(DecodeError::Unknown { kind: 99, value: 5 }));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_without_panic(words in proptest::collection::vec(any::<u64>(), 0..120)) {
            let _ = decode(words.as_bytes());
        }
    }
}
