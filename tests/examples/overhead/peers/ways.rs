//! The ways in which a program is run: one line for each.

/// A row of the tables.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) how: How,
    /// It adds little, or comes in now and then: the program does some seconds of work, so that this is seen.
    pub(super) light: bool,
}

impl Way {
    const fn new(name: &'static str, how: How) -> Self {
        Self { name, how, light: false }
    }

    const fn light(name: &'static str, how: How) -> Self {
        Self { name, how, light: true }
    }
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
    Way::light("untraced", How::Inside("nothing")),
    Way::new("pytracer, report: the kernel adds up", How::Pytracer(&[])),
    Way::new("pytracer, report of a stream", How::Pytracer(&["--aggregate", "stream"])),
    Way::new("pytracer, `--log calls`", How::PytracerWithLog(&["--log", "calls"])),
    Way::new(EVERY_EVENT, How::PytracerWithLog(&["--log", "events"])),
    Way::new(
        "pytracer, changes of a page and more",
        How::PytracerWithLog(&["--min-rss", "4096", "--with-previous"]),
    ),
    Way::light("pytracer, samples, 199 Hz", How::Pytracer(&["--source", "sample", "--rate", "199"])),
    Way::light("pytracer, `--max-overhead 5%`", How::Pytracer(&["--max-overhead", "5%"])),
    Way::light("pymemtrace `process`, 0.1 s", How::Inside("pymemtrace-process")),
    Way::new("pymemtrace `Profile`, changes of a page and more", How::Inside("pymemtrace-profile-pages")),
    Way::new(EVERY_EVENT_OF_PYMEMTRACE, How::Inside("pymemtrace-profile-all")),
    Way::new("pymemtrace `Trace`, changes of a page and more", How::Inside("pymemtrace-trace-pages")),
    Way::new("pymemtrace `Trace`, all events", How::Inside("pymemtrace-trace-all")),
    Way::new("pymemtrace `TraceMalloc`", How::Inside("pymemtrace-trace-malloc")),
    Way::light("pymemtrace `debug_malloc_stats`", How::Inside("pymemtrace-debug-malloc-stats")),
    Way::new("cProfile", How::Inside("cprofile")),
    Way::new("yappi", How::Inside("yappi")),
    Way::new("VizTracer", How::Inside("viztracer")),
    Way::new("memray", How::Inside("memray")),
    Way::new("scalene", How::Scalene),
    Way::light("py-spy, 100 Hz", How::PySpy),
    Way::new("bpftrace script", How::Bpftrace),
];
