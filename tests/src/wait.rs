//! Waiting for conditions, never for a length of time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Long enough for any single step on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How many times longer a slow machine is waited for, such as an emulated one.
const PATIENCE: &str = "PYTRACER_TEST_PATIENCE";

/// How long a single step is waited for on this machine.
pub fn limit() -> Duration {
    let patience = std::env::var(PATIENCE).ok().and_then(|value| value.parse().ok());
    LIMIT * patience.unwrap_or(1)
}

/// Looks until there is a value, and returns it.
///
/// # Panics
///
/// When there is none after [`limit`].
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let (start, limit) = (Instant::now(), limit());
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until the condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_some(what, || holds().then_some(()));
}
