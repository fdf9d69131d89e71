//! One traced thread: its stack, its open calls, its meter. Carries out what [`Stack`] decides.

use crate::charge::{Activation, Began, BegunCall, Cost, Ended, FinishedCall, Meter, RssChange};
use crate::event::{FrameEvent, FunctionId, UnseenEnd};
use crate::functions::{Functions, Row};
use crate::pipeline::instances::Instances;
use crate::pipeline::{CallSink, Counts};
use crate::stacks::{HeldFrame, Stack, Step, Then};
use crate::summary::Summary;

/// Where a thread's calls go.
pub(super) struct Output<'a, S> {
    pub(super) summary: &'a mut Summary,
    pub(super) counts: &'a mut Counts,
    pub(super) instances: &'a mut Instances,
    pub(super) sink: &'a mut S,
}

/// A thread, from the time it got its slot.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    /// Number of its process.
    pub(super) process: usize,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) meter: Meter,
    stack: Stack,
    open: Vec<Activation>,
    /// The run of held frames being received, innermost first.
    held: Vec<HeldFrame<FunctionId>>,
    /// Something is known of its stack.
    synced: bool,
    /// What becomes of frames whose ends the source does not see; `None`: it sees all of them.
    unseen: Option<UnseenEnd>,
    /// Changes of memory from before that.
    postponed: Vec<RssChange>,
}

impl Thread {
    /// A thread of which nothing is known yet. Times count from `opened_ns`.
    pub(super) fn new(process: usize, pid: u32, tid: u32, opened_ns: u64) -> Self {
        Self {
            process,
            pid,
            tid,
            meter: Meter::new(opened_ns),
            stack: Stack::default(),
            open: Vec::new(),
            held: Vec::new(),
            synced: false,
            unseen: None,
            postponed: Vec::new(),
        }
    }

    /// The function on top.
    pub(super) fn top(&self) -> Option<FunctionId> {
        self.open.last().map(|call| call.function)
    }

    /// Is anything known of its stack?
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    /// Keeps a change of memory until the stack is known. Of very many the later ones become one for each kind.
    pub(super) fn postpone(&mut self, change: RssChange) {
        const SINGLE: usize = 4096;
        let same = |earlier: &&mut RssChange| earlier.member == change.member;
        match self.postponed.iter_mut().skip(SINGLE).find(same) {
            Some(earlier) => {
                let delta_bytes = earlier.delta_bytes.saturating_add(change.delta_bytes);
                *earlier = RssChange { delta_bytes, ..change };
            }
            None => self.postponed.push(change),
        }
    }

    /// The changes kept so far.
    pub(super) fn take_postponed(&mut self) -> Vec<RssChange> {
        std::mem::take(&mut self.postponed)
    }

    /// Records of this thread were lost: what follows is no longer its first word.
    pub(super) fn lost(&mut self) {
        self.synced = true;
        self.held.clear();
    }

    /// A frame event.
    pub(super) fn frame<S: CallSink>(
        &mut self,
        time_ns: u64,
        frame: u64,
        what: FrameEvent,
        functions: &mut Functions,
        out: &mut Output<'_, S>,
    ) {
        match what {
            FrameEvent::Start { resumed, function } => {
                let began = if resumed { Began::Resumed } else { Began::Call };
                let row = functions.row(function, self.process);
                let step = self.stack.start(frame, row);
                self.start(time_ns, (frame, row, function, began), step, out);
            }
            FrameEvent::Called { resumed, function, caller, unseen } => {
                self.unseen = Some(unseen);
                let began = if resumed { Began::Resumed } else { Began::Call };
                let row = functions.row(function, self.process);
                let step = self.stack.called(frame, caller, row);
                self.start(time_ns, (frame, row, function, began), step, out);
            }
            FrameEvent::End => self.end(time_ns, frame, None, out),
            FrameEvent::Yield => self.end(time_ns, frame, Some(Ended::Suspended), out),
            FrameEvent::Raise { function } => {
                let row = functions.row(function, self.process);
                let step = self.stack.raise(frame, row.is_some());
                self.raise(time_ns, (frame, row, function), step, out);
            }
            FrameEvent::Thrown { suspended, function, caller, unseen } => {
                self.unseen = Some(unseen);
                let row = functions.row(function, self.process);
                let step = self.stack.thrown(frame, caller, row, suspended);
                self.raise(time_ns, (frame, row, function), step, out);
            }
            FrameEvent::Held { function } => {
                if let Some(row) = functions.row(function, self.process) {
                    self.held.push(HeldFrame { frame, row, function });
                }
            }
        }
    }

    /// The stack as the interpreter has it is complete: this one becomes equal to it.
    pub(super) fn held_end<S: CallSink>(&mut self, time_ns: u64, complete: bool, out: &mut Output<'_, S>) {
        let mut truth = std::mem::take(&mut self.held);
        truth.reverse();
        let first = !std::mem::replace(&mut self.synced, true);
        if !first {
            self.meter.advance(time_ns);
        }
        let (keep, known) = self.stack.agreement(&truth, complete);
        self.close_unseen(self.stack.depth() - keep, out);
        let found = truth.get(known..).unwrap_or_default();
        let began = if first { Began::OpenAtAttach } else { Began::Unseen };
        for held in found {
            self.open(held.frame, held.row, held.function, began, out);
        }
        if first {
            // Nothing had come from this thread: these were open since its slot was opened, where the meter stands.
            out.counts.open_at_attach += found.len() as u64;
            self.meter.advance(time_ns);
        } else {
            out.counts.repaired += found.len() as u64;
        }
        truth.clear();
        self.held = truth;
    }

    /// Closes everything that is open.
    pub(super) fn close_all<S: CallSink>(
        &mut self,
        time_ns: u64,
        ended: Ended,
        out: &mut Output<'_, S>,
    ) -> usize {
        self.meter.advance(time_ns);
        let open = self.open.len();
        for _ in 0..open {
            self.close(ended, out);
        }
        self.held.clear();
        open
    }

    fn start<S: CallSink>(
        &mut self,
        time_ns: u64,
        (frame, row, function, began): (u64, Option<Row>, FunctionId, Began),
        step: Step,
        out: &mut Output<'_, S>,
    ) {
        self.on_event(time_ns);
        self.close_above(step.unseen, out);
        match (step.then, row) {
            (Then::Push, Some(row)) => self.open(frame, row, function, began, out),
            (Then::Duplicate, _) => out.counts.duplicates += 1,
            _ => {}
        }
    }

    fn end<S: CallSink>(&mut self, time_ns: u64, frame: u64, ended: Option<Ended>, out: &mut Output<'_, S>) {
        self.on_event(time_ns);
        let step = self.stack.end(frame);
        self.close_above(step.unseen, out);
        if step.then == Then::Close {
            let raised = self.open.last().is_some_and(|call| call.raised);
            self.close(ended.unwrap_or(if raised { Ended::Raised } else { Ended::Returned }), out);
        } else {
            out.counts.unmatched_ends += 1;
        }
    }

    fn raise<S: CallSink>(
        &mut self,
        time_ns: u64,
        (frame, row, function): (u64, Option<Row>, FunctionId),
        step: Step,
        out: &mut Output<'_, S>,
    ) {
        self.on_event(time_ns);
        self.close_above(step.unseen, out);
        if let (Then::Push, Some(row)) = (step.then, row) {
            self.open(frame, row, function, Began::Resumed, out);
        }
        if let (Then::Push | Then::Mark, Some(top)) = (step.then, self.open.last_mut()) {
            top.raised = true;
            top.raised_at = self.meter.now();
        }
    }

    fn on_event(&mut self, time_ns: u64) {
        self.synced = true;
        self.meter.advance(time_ns);
    }

    /// Closes frames that an event has shown to be open no more.
    fn close_above<S: CallSink>(&mut self, n: usize, out: &mut Output<'_, S>) {
        let ended = match self.unseen {
            None => return self.close_unseen(n, out),
            Some(UnseenEnd::Suspended) => Ended::SuspendedUnseen,
            Some(UnseenEnd::Raised) => Ended::RaisedUnseen,
        };
        for _ in 0..n {
            self.close(ended, out);
        }
        out.counts.late_ends += n as u64;
    }

    fn close_unseen<S: CallSink>(&mut self, n: usize, out: &mut Output<'_, S>) {
        for _ in 0..n {
            self.close(Ended::Unseen, out);
        }
        out.counts.repaired += n as u64;
    }

    fn open<S: CallSink>(
        &mut self,
        frame: u64,
        row: Row,
        function: FunctionId,
        began: Began,
        out: &mut Output<'_, S>,
    ) {
        if let Some(caller) = self.open.last_mut() {
            caller.raised = false;
            caller.calls_made += u64::from(began.in_window());
        }
        let recursive = self.stack.holds(row);
        let instance = out.instances.step((self.process, frame), row, began);
        let from = self.meter.now();
        out.sink.begun(&BegunCall {
            time_ns: from.wall_ns,
            pid: self.pid,
            tid: self.tid,
            function,
            depth: self.stack.depth() as u32,
            began,
            recursive,
            instance,
        });
        self.stack.push(frame, row);
        self.open.push(Activation {
            function,
            began,
            raised: false,
            raised_at: from,
            recursive,
            instance,
            calls_made: 0,
            from,
            children: Cost::default(),
        });
    }

    fn close<S: CallSink>(&mut self, ended: Ended, out: &mut Output<'_, S>) {
        let frame = self.stack.top_frame().unwrap_or(0);
        let (Some(row), Some(call)) = (self.stack.pop(), self.open.pop()) else { return };
        if call.instance != 0 {
            out.instances.ended((self.process, frame), ended);
        }
        // An exception that was not caught at once leaves the frame right after it has reached it.
        let now = if ended == Ended::RaisedUnseen && call.raised { call.raised_at } else { self.meter.now() };
        let total = now - call.from;
        let caller = self.open.last_mut().map(|caller| {
            caller.children += total;
            caller.function
        });
        let finished = FinishedCall {
            pid: self.pid,
            tid: self.tid,
            function: call.function,
            caller,
            depth: self.stack.depth() as u32,
            start_ns: call.from.wall_ns,
            end_ns: now.wall_ns,
            total,
            own: total - call.children,
            calls_made: call.calls_made,
            began: call.began,
            ended,
            recursive: call.recursive,
            instance: call.instance,
        };
        out.summary.add(row, &finished);
        out.sink.finished(&finished);
    }
}
