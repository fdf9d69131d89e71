//! Bytes of others, damaged at random, always the same way: nothing panics, memory is bounded, and what is refused is
//! refused with a word. `fuzz/` has the same for a fuzzer that looks for new ways by itself.

#![expect(clippy::unwrap_used, reason = "a test that can't go on is to fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use pythons::Python;
use tracer::fuzzing;

/// By this variable: how many cases of each kind.
const CASES: &str = "PYTRACER_MUTATIONS";
/// Address space that a test may have, beyond what it has at its beginning.
const MEMORY: u64 = 4 << 30;

/// Feeds so many cases, each made of its own random numbers, of which a failure tells the seed.
fn feed(usual: u64, mut case: impl FnMut(&mut Rng)) {
    bound_memory();
    let cases = std::env::var(CASES).map_or(usual, |cases| cases.parse().unwrap());
    for seed in 0..cases {
        let told = Told { seed, done: AtomicBool::new(false) };
        case(&mut Rng::with_seed(seed));
        told.done.store(true, Ordering::Relaxed);
    }
}

/// Says which case it was that panicked.
struct Told {
    seed: u64,
    done: AtomicBool,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.done.load(Ordering::Relaxed) {
            eprintln!("it was the case with the seed {}", self.seed);
        }
    }
}

/// More than this is refused by the system, which ends the test.
fn bound_memory() {
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: `limit` lives until the call returns.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Damages bytes in one to eight places: more often at the beginning and at the end, where headers are.
fn damage(bytes: &mut Vec<u8>, random: &mut Rng) {
    const ODD: [u64; 8] = [0, 1, 7, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX - 7, u64::MAX];
    for _ in 0..random.usize(1..=8) {
        if bytes.len() < 16 {
            return;
        }
        let last = bytes.len() - 8;
        let near = last.min(4096);
        let at = match random.u8(0..4) {
            0 => random.usize(0..=near),
            1 => last - random.usize(0..=near),
            _ => random.usize(0..=last),
        };
        match random.u8(0..8) {
            0 => bytes[at] ^= 1 << random.u8(0..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at..at + 4].copy_from_slice(&random.u32(..).to_le_bytes()),
            3 | 4 => {
                let width = [2, 4, 8][random.usize(0..3)];
                let odd = ODD[random.usize(0..ODD.len())].to_le_bytes();
                bytes[at..at + width].copy_from_slice(&odd[..width]);
            }
            5 => {
                let from = random.usize(0..=last);
                bytes.copy_within(from..from + 8, at);
            }
            6 if random.u8(0..4) == 0 => bytes.truncate(at),
            _ => {
                let end = (at + random.usize(1..64)).min(bytes.len());
                bytes[at..end].fill(0);
            }
        }
    }
}

fn recording() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/portrait")
}

/// Interpreters: of most nothing is left to hook, and that is said; of others there is a plan still.
#[test]
fn interpreters() {
    let pythons = [Python::DEBIAN_3_11, Python::SHARED_3_9, Python::SID_3_14];
    let images: Vec<_> = pythons
        .iter()
        .filter(|python| python.locate().is_ok())
        .map(|python| fs::read(python.image()).unwrap())
        .collect();
    assert!(!images.is_empty(), "no interpreter is here: run `cargo xtask setup`");
    let (mut refused, mut planned) = (0, 0);
    feed(60, |random| {
        let mut image = images[random.usize(0..images.len())].clone();
        damage(&mut image, random);
        match fuzzing::interpreter(&image) {
            Some(why) => {
                refused += 1;
                assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
            }
            None => planned += 1,
        }
    });
    assert!(refused > 0 && planned > 0, "{refused} were refused, {planned} were not");
}

/// Segments of each table of a log.
#[test]
fn segments_of_a_log() {
    let read = |table: &str| fs::read(recording().join(table).join("part-000001.parquet")).unwrap();
    let segments = ["calls", "functions", "rss"].map(read);
    feed(3000, |random| {
        let mut segment = segments[random.usize(0..segments.len())].clone();
        damage(&mut segment, random);
        // It is none of some table in any case.
        assert!(fuzzing::segment(&segment).is_some_and(|why| !why.is_empty()));
    });
}

#[test]
fn descriptions_of_a_log() {
    let description = fs::read(recording().join("recording.json")).unwrap();
    assert!(fuzzing::description(&description));
    feed(10_000, |random| {
        let mut description = description.clone();
        damage(&mut description, random);
        fuzzing::description(&description);
    });
}

/// Records as the kernel side sends them, of all kinds and of none, with numbers of all sizes.
#[test]
fn records() {
    let mut all = 0;
    let mut undecodable = 0;
    feed(10_000, |random| {
        let mut chunk = Vec::new();
        let mut time = random.u64(..1 << 40);
        for _ in 0..random.usize(1..60) {
            let length = random.usize(8..700);
            let mut record: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            if random.u8(0..8) > 0 {
                record.resize(record.len().max(96), 0);
                time = time.wrapping_add(random.u64(..1000));
                record[..8].copy_from_slice(&time.to_ne_bytes());
                record[8..12].copy_from_slice(&random.u32(0..6).to_ne_bytes());
                record[12..14].copy_from_slice(&random.u16(0..4).to_ne_bytes());
                let kinds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 32];
                record[14] = kinds[random.usize(0..kinds.len())];
                record[15] = random.u8(0..4);
                // Frames and instances that come again.
                record[16..24].copy_from_slice(&(random.u64(0..8) * 64).to_ne_bytes());
            }
            chunk.extend_from_slice(&(record.len() as u64).to_ne_bytes());
            chunk.extend_from_slice(&record);
            all += 1;
        }
        if random.bool() {
            damage(&mut chunk, random);
        }
        undecodable += fuzzing::records(&chunk);
    });
    assert!(undecodable > 0 && undecodable < all / 2, "{undecodable} of {all}");
}

#[test]
fn types_of_the_kernel() {
    let Ok(types) = fs::read("/sys/kernel/btf/vmlinux") else {
        panic!("this kernel has no type information");
    };
    assert!(fuzzing::kernel_types(&types));
    feed(30, |random| {
        let mut types = types.clone();
        damage(&mut types, random);
        fuzzing::kernel_types(&types);
    });
}

#[test]
fn mappings() {
    let own = fs::read("/proc/self/maps").unwrap();
    assert!(fuzzing::mappings(&own) > 0);
    feed(10_000, |random| {
        let mut text = own.clone();
        damage(&mut text, random);
        fuzzing::mappings(&text);
    });
}
