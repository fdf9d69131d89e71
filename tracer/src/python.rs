//! What one CPython image is: its version, its layout, and the plan of where to hook it.

pub mod plan;
