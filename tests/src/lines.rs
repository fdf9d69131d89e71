//! The lines that a child process prints, as they come.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Instant,
};

use crate::wait::limit;

/// Lines read by a thread of their own, so that the child never waits for its reader.
#[derive(Debug)]
pub(crate) struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { receiver, seen: Vec::new() }
    }

    /// Reads up to a line that fits.
    ///
    /// # Panics
    ///
    /// When the stream ends first, or there is none within [`limit`]; the message holds all lines so far.
    pub(crate) fn until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + limit();
        loop {
            match self.receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if fits(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {what} within {:?} after {:#?}", limit(), self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the stream ended before {what}: {:#?}", self.seen)
                }
            }
        }
    }

    /// What has come up to now.
    pub(crate) fn so_far(&mut self) -> &[String] {
        self.seen.extend(self.receiver.try_iter());
        &self.seen
    }

    /// Reads to the end of the stream.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let end = Instant::now() + limit();
        loop {
            match self.receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.seen,
                Err(RecvTimeoutError::Timeout) => panic!("the stream did not end: {:#?}", self.seen),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn reads_up_to_a_line_and_then_the_rest() {
        let mut lines = Lines::of(&b"one\ntwo\nthree\nfour"[..]);
        assert_eq!(lines.until("two", |line| line == "two"), "two");
        assert_eq!(lines.rest(), ["one", "two", "three", "four"]);
    }

    #[test]
    #[should_panic(expected = "the stream ended before five")]
    fn says_what_was_missing() {
        Lines::of(&b"one\n"[..]).until("five", |line| line == "five");
    }
}
