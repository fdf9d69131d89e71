//! One thread's call stack, rebuilt from frame events. A [`Stack`] only knows which frames are open and decides
//! what an event means for them; whoever keeps the calls carries the [`Step`] out.
//!
//! Frames can end unseen: records are lost, and some ways to leave a frame have no probe. Frame addresses are
//! reused only after the frame has ended, so an address that begins again, or an event of a frame further out,
//! proves that what lay above is over.

use crate::functions::Row;

/// The open frames of a thread, outermost first.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    // Apart, because both are searched at every call: whole columns go through vector registers.
    frames: Vec<u64>,
    rows: Vec<Row>,
    /// For each frame the highest address up to it. Most frames lie one above the other in the interpreter's own
    /// stack, so that one look tells a new frame from the open ones.
    highest: Vec<u64>,
}

/// What an event means: close so many from the top as ended unseen, then one thing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Frames on top that have ended without an event.
    pub unseen: usize,
    /// What to do then.
    pub then: Then,
}

/// The second half of a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Push the event's frame.
    Push,
    /// Close the top frame.
    Close,
    /// Note the exception in the top frame.
    Mark,
    /// Nothing: the event says again what is known.
    Duplicate,
    /// Nothing: the frame is not on the stack, or not wanted.
    Nothing,
}

/// One frame of a thread's stack as the interpreter has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldFrame<F> {
    /// Its address.
    pub frame: u64,
    /// Its function.
    pub row: Row,
    /// What else the caller keeps of it.
    pub function: F,
}

impl Stack {
    /// How many frames are open.
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// Is a frame of this function open?
    pub fn holds(&self, row: Row) -> bool {
        self.rows.contains(&row)
    }

    /// Function of the top frame.
    pub fn top_row(&self) -> Option<Row> {
        self.rows.last().copied()
    }

    /// Address of the top frame.
    pub fn top_frame(&self) -> Option<u64> {
        self.frames.last().copied()
    }

    /// Adds a frame on top.
    pub fn push(&mut self, frame: u64, row: Row) {
        let highest = self.highest.last().map_or(frame, |&highest| highest.max(frame));
        self.highest.push(highest);
        self.frames.push(frame);
        self.rows.push(row);
    }

    /// Takes the top frame off; its function.
    pub fn pop(&mut self) -> Option<Row> {
        self.highest.pop();
        self.frames.pop();
        self.rows.pop()
    }

    /// A frame began or went on. `row` is `None` where its function is not wanted.
    pub fn start(&self, frame: u64, row: Option<Row>) -> Step {
        if self.frames.last() == Some(&frame) && self.top_row() == row {
            return Step { unseen: 0, then: Then::Duplicate };
        }
        let unseen = self.position(frame).map_or(0, |at| self.depth() - at);
        Step { unseen, then: if row.is_some() { Then::Push } else { Then::Nothing } }
    }

    /// A frame began or went on, called by another frame, of which the latter is what is known to be open: whatever
    /// lies above it has ended.
    pub fn called(&self, frame: u64, caller: u64, row: Option<Row>) -> Step {
        let keep = self.position(frame).unwrap_or(self.depth());
        let keep = self.position(caller).map_or(keep, |at| keep.min(at + 1));
        Step { unseen: self.depth() - keep, then: if row.is_some() { Then::Push } else { Then::Nothing } }
    }

    /// An exception reached a frame, called by another frame. One that is open goes on; otherwise it is as with
    /// [`Stack::called`].
    pub fn thrown(&self, frame: u64, caller: u64, row: Option<Row>, suspended: bool) -> Step {
        match self.above(frame) {
            Some(unseen) if !suspended => Step { unseen, then: Then::Mark },
            _ => self.called(frame, caller, row),
        }
    }

    /// A frame ended or was suspended.
    pub fn end(&self, frame: u64) -> Step {
        match self.above(frame) {
            Some(unseen) => Step { unseen, then: Then::Close },
            None => Step { unseen: 0, then: Then::Nothing },
        }
    }

    /// An exception reached a frame. One that is not on the stack was thrown into, which resumes it.
    pub fn raise(&self, frame: u64, wanted: bool) -> Step {
        match self.above(frame) {
            Some(unseen) => Step { unseen, then: Then::Mark },
            None if wanted => Step { unseen: 0, then: Then::Push },
            None => Step { unseen: 0, then: Then::Nothing },
        }
    }

    /// Compares with the interpreter's own stack, outermost first: how many frames of this stack are still open,
    /// and from which frame on `truth` is new. `complete`: nothing lies further out than `truth`.
    pub fn agreement<F>(&self, truth: &[HeldFrame<F>], complete: bool) -> (usize, usize) {
        let same =
            |at: usize, held: &HeldFrame<F>| self.frames[at] == held.frame && self.rows[at] == held.row;
        let anchor = if complete {
            Some(0)
        } else {
            truth.first().and_then(|outermost| (0..self.depth()).rev().find(|&at| same(at, outermost)))
        };
        let Some(anchor) = anchor else { return (0, 0) };
        let common = truth.iter().zip(anchor..self.depth()).take_while(|&(held, at)| same(at, held)).count();
        (anchor + common, common)
    }

    /// How many frames lie above this one.
    fn above(&self, frame: u64) -> Option<usize> {
        if self.frames.last() == Some(&frame) {
            return Some(0);
        }
        self.position(frame).map(|at| self.depth() - 1 - at)
    }

    fn position(&self, frame: u64) -> Option<usize> {
        if self.highest.last().is_none_or(|&highest| frame > highest) || !self.frames.contains(&frame) {
            return None;
        }
        self.frames.iter().rposition(|&open| open == frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames 10, 20, 30 of functions 1, 2, 3.
    fn stack() -> Stack {
        let mut stack = Stack::default();
        for n in 1..=3 {
            stack.push(u64::from(n) * 10, n);
        }
        stack
    }

    fn step(unseen: usize, then: Then) -> Step {
        Step { unseen, then }
    }

    fn held(frames: &[(u64, Row)]) -> Vec<HeldFrame<()>> {
        frames.iter().map(|&(frame, row)| HeldFrame { frame, row, function: () }).collect()
    }

    #[test]
    fn a_new_frame_is_pushed() {
        assert_eq!(stack().start(40, Some(1)), step(0, Then::Push));
        assert_eq!(stack().start(40, None), step(0, Then::Nothing));
    }

    #[test]
    fn the_top_frame_starting_again_is_a_duplicate() {
        assert_eq!(stack().start(30, Some(3)), step(0, Then::Duplicate));
    }

    #[test]
    fn another_function_in_the_top_frame_ends_the_one_before() {
        assert_eq!(stack().start(30, Some(9)), step(1, Then::Push));
        assert_eq!(stack().start(30, None), step(1, Then::Nothing));
    }

    #[test]
    fn a_deeper_frame_starting_again_ends_all_down_to_it() {
        assert_eq!(stack().start(10, Some(1)), step(3, Then::Push));
        assert_eq!(stack().start(20, Some(9)), step(2, Then::Push));
    }

    #[test]
    fn an_end_closes_the_top_or_all_down_to_its_frame() {
        assert_eq!(stack().end(30), step(0, Then::Close));
        assert_eq!(stack().end(10), step(2, Then::Close));
        assert_eq!(stack().end(99), step(0, Then::Nothing));
    }

    #[test]
    fn what_lies_above_a_caller_has_ended() {
        assert_eq!(stack().called(40, 30, Some(1)), step(0, Then::Push));
        assert_eq!(stack().called(40, 10, Some(1)), step(2, Then::Push));
        assert_eq!(stack().called(40, 10, None), step(2, Then::Nothing));
        // The caller is not known: nothing is known of what lies above it.
        assert_eq!(stack().called(40, 99, Some(1)), step(0, Then::Push));
    }

    #[test]
    fn a_frame_that_is_called_again_had_been_left() {
        assert_eq!(stack().called(30, 20, Some(3)), step(1, Then::Push));
        assert_eq!(stack().called(30, 10, Some(3)), step(2, Then::Push));
        assert_eq!(stack().called(20, 99, Some(2)), step(2, Then::Push));
    }

    #[test]
    fn a_throw_resumes_a_suspended_frame_and_marks_a_running_one() {
        assert_eq!(stack().thrown(20, 10, Some(2), false), step(1, Then::Mark));
        assert_eq!(stack().thrown(20, 10, Some(2), true), step(2, Then::Push));
        assert_eq!(stack().thrown(40, 20, Some(4), false), step(1, Then::Push));
    }

    #[test]
    fn a_raise_marks_its_frame_or_resumes_one_thrown_into() {
        assert_eq!(stack().raise(30, true), step(0, Then::Mark));
        assert_eq!(stack().raise(20, true), step(1, Then::Mark));
        assert_eq!(stack().raise(99, true), step(0, Then::Push));
        assert_eq!(stack().raise(99, false), step(0, Then::Nothing));
    }

    #[test]
    fn a_complete_truth_is_compared_from_the_bottom() {
        assert_eq!(stack().agreement(&held(&[(10, 1), (20, 2), (30, 3)]), true), (3, 3));
        assert_eq!(stack().agreement(&held(&[(10, 1), (20, 9), (30, 3)]), true), (1, 1));
        assert_eq!(stack().agreement(&held(&[(99, 1)]), true), (0, 0));
        assert_eq!(stack().agreement(&held(&[]), true), (0, 0));
    }

    #[test]
    fn an_incomplete_truth_is_compared_from_its_outermost_frame() {
        assert_eq!(stack().agreement(&held(&[(20, 2), (30, 3), (40, 4)]), false), (3, 2));
        assert_eq!(stack().agreement(&held(&[(20, 2), (40, 4)]), false), (2, 1));
        assert_eq!(stack().agreement(&held(&[(99, 9), (30, 3)]), false), (0, 0));
        assert_eq!(stack().agreement(&held(&[]), false), (0, 0));
    }
}
