//! The command `pytracer`.
fn main() {}
