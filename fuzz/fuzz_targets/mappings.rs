#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = tracer::fuzzing::mappings(bytes);
});
