//! Waiting for conditions, never for a length of time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Long enough for any single step on a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Looks until there is a value, and returns it.
///
/// # Panics
///
/// When there is none after [`LIMIT`].
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until the condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_some(what, || holds().then_some(()));
}
