//! Work of a library on bytes that may be made to keep it busy for hours.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use procfs::process::Process;
use rustix::thread::{Pid, gettid};

/// How often it is looked at how much of its time the work has used.
const LOOK: Duration = Duration::from_millis(100);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it panicked")]
    Panicked,
    #[error("it took more than {} s of processor time", .0.as_secs())]
    Endless(Duration),
}

/// Does some work on a thread of its own, which may use so much processor time. Where it uses more, the thread is left to
/// itself and goes on: nothing can stop it before the process ends.
pub(super) fn bounded<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    enum Word<T> {
        Begun(Pid),
        Done(T),
    }
    let (tell, told) = mpsc::channel();
    thread::Builder::new().name("bounded".into()).spawn(move || {
        // Who listens no more needs no answer.
        let _ = tell.send(Word::Begun(gettid()));
        let _ = tell.send(Word::Done(work()));
    })?;
    let mut worker = None;
    loop {
        match told.recv_timeout(LOOK) {
            Ok(Word::Begun(thread)) => worker = Some(thread),
            Ok(Word::Done(result)) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(Fault::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                if worker.and_then(used_by).is_some_and(|used| used > limit) {
                    return Err(Fault::Endless(limit));
                }
            }
        }
    }
}

/// Processor time that a thread of this process has used. `None`: the kernel does not tell.
fn used_by(thread: Pid) -> Option<Duration> {
    let thread = Process::myself().ok()?.task_from_tid(thread.as_raw_nonzero().get()).ok()?;
    Some(Duration::from_nanos(thread.schedstat().ok()?.sum_exec_runtime))
}

#[cfg(test)]
mod tests {
    use std::{
        hint::spin_loop,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_ends_has_its_result() {
        assert_eq!(bounded(LONG, || 1 + 1).ok(), Some(2));
    }

    #[test]
    fn waiting_is_not_work() {
        let wait = || thread::sleep(LOOK + LOOK);
        assert!(bounded(LIMIT, wait).is_ok());
    }

    #[test]
    fn a_panic_is_told() {
        assert!(matches!(bounded(LONG, || panic!("on purpose")), Err::<(), _>(Fault::Panicked)));
    }

    #[test]
    fn what_does_not_end_is_left() {
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        let endless = move || {
            while !until.load(Ordering::Relaxed) {
                spin_loop();
            }
        };
        assert!(matches!(bounded(LIMIT, endless), Err(Fault::Endless(LIMIT))));
        enough.store(true, Ordering::Relaxed);
    }
}
