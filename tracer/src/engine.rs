//! The thread on which events are decoded, put together and kept: from chunks of bytes to a report.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use log::debug;

use crate::{
    aggregate::Aggregate,
    attach::monotonic_ns,
    decode::decode,
    event::{Event, ProcessIndex, Slot},
    mix::ClosedWindow,
    pipeline::{CallSink, Ending, NoSink, Pipeline, PipelineOptions, ProcessAbout, ProcessTotals},
    privileges::{self, Need},
    receive::records,
    report::Report,
};

/// Chunks that may wait to be decoded; the ring buffer fills when there are more, and counts what it loses.
const WAITING_CHUNKS: usize = 32;
/// How often the event log is told of the time, when no events come.
const TICK: Duration = Duration::from_millis(250);

/// What the engine is told.
#[derive(Debug)]
pub enum Message {
    /// Records from the ring buffer.
    Records(Bytes),
    /// Something that the loader itself knows, in the form of an event.
    Event(Event),
    /// A process that runs Python, by index and process id.
    Process(ProcessIndex, u32, ProcessAbout),
    /// A process that does not run Python, or not any more, by index and process id.
    LetGo(ProcessIndex, u32),
    /// What a thread is called.
    ThreadName {
        /// Index of its process.
        process: ProcessIndex,
        /// Process id.
        pid: u32,
        /// Thread id.
        tid: u32,
        /// Its name; escape where shown.
        name: String,
    },
    /// What was counted in a window. Its functions were announced by records handed over before.
    Window(ClosedWindow),
    /// What was counted of a process that is not followed any more.
    ProcessTotals(ProcessTotals),
    /// What the kernel side has added up by itself.
    Aggregate(Aggregate),
    /// The window ends at this time: later events are not part of it.
    Until(u64),
    /// The last message: close what is open and report.
    Finish(Ending),
}

/// What the engine asks for.
#[derive(Debug)]
pub enum Request {
    /// Thread slots that may be handed out again.
    Free(Vec<Slot>),
    /// A process has ended, and all that came from it was taken in: index and process id.
    End(ProcessIndex, u32),
}

/// How far the engine is, readable at any time.
#[derive(Debug, Default)]
pub struct Progress {
    events: AtomicU64,
    aggregated: AtomicU64,
    lost: AtomicU64,
    undecodable: AtomicU64,
}

impl Progress {
    /// Events seen.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed).max(self.aggregated.load(Ordering::Relaxed))
    }

    /// So many events were added up by the kernel side.
    pub fn set_aggregated(&self, events: u64) {
        self.aggregated.store(events, Ordering::Relaxed);
    }

    /// Events lost, as far as known.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The engine's other end.
pub struct Engine {
    messages: SyncSender<Message>,
    requests: Receiver<Request>,
    progress: Arc<Progress>,
    thread: JoinHandle<Report>,
}

impl Engine {
    /// Starts the thread. With `apart` the report is of what the kernel side adds up by itself, and events of frames and
    /// memory, which come as well, are for the sink only.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start<S: CallSink + Send + 'static>(
        options: PipelineOptions,
        sink: S,
        apart: bool,
    ) -> std::io::Result<Self> {
        let (messages, inbox) = mpsc::sync_channel(WAITING_CHUNKS);
        let (outbox, requests) = mpsc::channel();
        let progress = Arc::new(Progress::default());
        let worker = Worker {
            apart: apart.then(|| Pipeline::new(options.clone(), NoSink)),
            pipeline: Pipeline::new(options, sink),
            outbox,
            progress: Arc::clone(&progress),
            until_ns: u64::MAX,
        };
        let thread = std::thread::Builder::new().name("pytracer-engine".into()).spawn(move || {
            privileges::keep_only(Need::Nothing);
            worker.run(&inbox)
        })?;
        Ok(Self { messages, requests, progress, thread })
    }

    /// Hands over a message, waiting for room.
    pub fn tell(&self, message: Message) {
        // The thread ends only after `Finish`, or by a panic that `finish` passes on.
        let _ = self.messages.send(message);
    }

    /// Hands over records if there is room; gives them back if there is none.
    pub fn offer(&self, chunk: Bytes) -> Option<Bytes> {
        match self.messages.try_send(Message::Records(chunk)) {
            Err(TrySendError::Full(Message::Records(chunk))) => Some(chunk),
            _ => None,
        }
    }

    /// What the engine asks for, as far as it has asked.
    pub fn requests(&self) -> impl Iterator<Item = Request> {
        self.requests.try_iter()
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Ends the thread and returns what it found.
    pub fn finish(self, ending: Ending) -> Report {
        self.tell(Message::Finish(ending));
        match self.thread.join() {
            Ok(report) => report,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Worker<S> {
    pipeline: Pipeline<S>,
    /// What makes the report, if that is not of the events.
    apart: Option<Pipeline>,
    outbox: mpsc::Sender<Request>,
    progress: Arc<Progress>,
    until_ns: u64,
}

impl<S: CallSink> Worker<S> {
    fn run(mut self, inbox: &Receiver<Message>) -> Report {
        loop {
            match inbox.recv_timeout(TICK) {
                Ok(Message::Records(chunk)) => self.chunk(&chunk),
                Ok(Message::Event(event)) => self.own_event(&event),
                Ok(Message::Process(index, pid, about)) => {
                    self.apart.iter_mut().for_each(|apart| apart.process(index, pid, about.clone()));
                    self.pipeline.process(index, pid, about);
                }
                Ok(Message::LetGo(index, pid)) => {
                    self.apart.iter_mut().for_each(|apart| apart.let_go(index, pid));
                    self.pipeline.let_go(index, pid);
                }
                Ok(Message::ThreadName { process, pid, tid, name }) => {
                    self.pipeline.thread_name(process, pid, tid, &name);
                }
                Ok(Message::Window(window)) => self.pipeline.window(&window),
                Ok(Message::ProcessTotals(totals)) => {
                    self.apart.iter_mut().for_each(|apart| apart.process_totals(&totals));
                    self.pipeline.process_totals(&totals);
                }
                Ok(Message::Aggregate(aggregate)) => match &mut self.apart {
                    Some(apart) => apart.aggregate(&aggregate),
                    None => self.pipeline.aggregate(&aggregate),
                },
                Ok(Message::Until(end_ns)) => self.until_ns = end_ns,
                Ok(Message::Finish(ending)) => return self.finish(ending),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.finish(Ending::default()),
            }
            let freed = self.pipeline.take_freed_slots();
            if !freed.is_empty() {
                self.ask(Request::Free(freed));
            }
            self.pipeline.tick(monotonic_ns());
        }
    }

    fn chunk(&mut self, chunk: &Bytes) {
        for record in records(chunk) {
            match decode(record) {
                Ok(event) => self.event(&event),
                Err(error) => {
                    debug!("{error}");
                    self.progress.undecodable.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.progress.events.store(self.pipeline.counts().events, Ordering::Relaxed);
    }

    #[inline]
    fn event(&mut self, event: &Event) {
        match event {
            Event::Frame { time_ns, .. }
            | Event::HeldEnd { time_ns, .. }
            | Event::Counters { time_ns, .. }
            | Event::Rss { time_ns, .. }
                if *time_ns > self.until_ns =>
            {
                return;
            }
            Event::Sample(sample) if sample.time_ns > self.until_ns => return,
            Event::Loss { lost, .. } => {
                self.progress.lost.fetch_add(*lost, Ordering::Relaxed);
            }
            Event::Exit { process, pid, .. } => self.ask(Request::End(*process, *pid)),
            _ => {}
        }
        if let Some(apart) = &mut self.apart
            && !is_added_up(event)
        {
            apart.apply(event);
        }
        self.pipeline.apply(event);
    }

    /// An event that the loader has made: the kernel side has not added it up.
    fn own_event(&mut self, event: &Event) {
        match &mut self.apart {
            // Its thread's memory: as an event it has come before.
            Some(apart) if matches!(event, Event::Rss { .. }) => apart.apply(event),
            Some(apart) if is_added_up(event) => {
                apart.apply(event);
                self.pipeline.apply(event);
            }
            _ => self.event(event),
        }
    }

    fn ask(&self, request: Request) {
        // Nobody listens any more once the recording has ended.
        let _ = self.outbox.send(request);
    }

    fn finish(mut self, mut ending: Ending) -> Report {
        let undecodable = self.progress.undecodable.load(Ordering::Relaxed);
        if undecodable > 0 {
            ending.notes.push(format!("{undecodable} records could not be decoded"));
        }
        self.pipeline.finish(&ending);
        let report = self.pipeline.report();
        let Some(mut apart) = self.apart else { return report };
        apart.finish(&ending);
        let mut summed = apart.report();
        // They say what became of the log.
        summed.account.notes = report.account.notes;
        summed
    }
}

/// Is an event of the kernel side part of what it adds up by itself?
fn is_added_up(event: &Event) -> bool {
    matches!(
        event,
        Event::Frame { .. }
            | Event::HeldEnd { .. }
            | Event::Counters { .. }
            | Event::Loss { .. }
            | Event::Rss { .. }
    )
}
