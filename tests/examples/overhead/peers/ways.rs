//! The ways in which a program is run: one line for each.

/// A row of the tables.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) how: How,
}

/// What watches the program.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// Something that the program itself turns on: a tool of `tests/programs/compared.py`.
    Inside(&'static str),
    /// `pytracer record` with these options, attached.
    Pytracer(&'static [&'static str]),
    /// The same with an event log.
    PytracerWithLog(&'static [&'static str]),
    /// py-spy, attached.
    PySpy,
    /// The bpftrace script of `bpftrace.rs`, attached.
    Bpftrace,
    /// `scalene run`.
    Scalene,
}

impl How {
    pub(super) fn comes_in(self) -> &'static str {
        match self {
            Self::Inside("nothing") => "",
            Self::Inside(_) => "a change of the program",
            Self::Pytracer(_) | Self::PytracerWithLog(_) | Self::PySpy | Self::Bpftrace => "attaches",
            Self::Scalene => "starts it",
        }
    }
}

pub(super) const EVERY_EVENT: &str = "pytracer, `--log events`";
pub(super) const EVERY_EVENT_OF_PYMEMTRACE: &str = "pymemtrace `Profile`, all events";

/// The first is what the others are held against.
pub(super) const WAYS: &[Way] = &[
    Way { name: "untraced", how: How::Inside("nothing") },
    Way { name: "pytracer, report", how: How::Pytracer(&[]) },
    Way {
        name: "pytracer, report of samples, 199 Hz",
        how: How::Pytracer(&["--source", "sample", "--rate", "199"]),
    },
    Way { name: "pytracer, `--log calls`", how: How::PytracerWithLog(&["--log", "calls"]) },
    Way { name: EVERY_EVENT, how: How::PytracerWithLog(&["--log", "events"]) },
    Way {
        name: "pytracer, changes of a page and more",
        how: How::PytracerWithLog(&["--min-rss", "4096", "--with-previous"]),
    },
    Way { name: "pymemtrace `process`, 0.1 s", how: How::Inside("pymemtrace-process") },
    Way {
        name: "pymemtrace `Profile`, changes of a page and more",
        how: How::Inside("pymemtrace-profile-pages"),
    },
    Way { name: EVERY_EVENT_OF_PYMEMTRACE, how: How::Inside("pymemtrace-profile-all") },
    Way {
        name: "pymemtrace `Trace`, changes of a page and more",
        how: How::Inside("pymemtrace-trace-pages"),
    },
    Way { name: "pymemtrace `Trace`, all events", how: How::Inside("pymemtrace-trace-all") },
    Way { name: "pymemtrace `TraceMalloc`", how: How::Inside("pymemtrace-trace-malloc") },
    Way { name: "pymemtrace `debug_malloc_stats`", how: How::Inside("pymemtrace-debug-malloc-stats") },
    Way { name: "cProfile", how: How::Inside("cprofile") },
    Way { name: "yappi", how: How::Inside("yappi") },
    Way { name: "VizTracer", how: How::Inside("viztracer") },
    Way { name: "memray", how: How::Inside("memray") },
    Way { name: "scalene", how: How::Scalene },
    Way { name: "py-spy, 100 Hz", how: How::PySpy },
    Way { name: "bpftrace script", how: How::Bpftrace },
];
