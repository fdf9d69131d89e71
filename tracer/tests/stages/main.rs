//! The pure stages together, on random programs: against a naive model, and live against read back from the log.

#![expect(clippy::unwrap_used, reason = "a test that can't go on is to fail")]

mod bounded;
mod correction;
mod diff;
mod exports;
mod grown;
mod html;
mod live;
mod log;
mod memory_unknown;
mod sampled;
mod simulate;
mod thinned;
mod timeline;
mod timelines;
mod views;
