//! Beside another tracer that holds a probe point of the interpreter with another reference counter, of which the kernel
//! allows one. pytracer needs none, unless it is told to trace by the probe points: then it says so and leaves the process
//! alone, and what it advises helps.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tests::{Python, Target, Tracer, kernel::Loaded, on_pythons, program, scratch, truth, wait};
use tracer::python::{
    elf::Elf,
    usdt_notes::{self, UsdtNote},
};

on_pythons!([no_counter_is_needed]
    cpython_3_9_bullseye: BULLSEYE_3_9,
    cpython_3_11_debian: DEBIAN_3_11,
);
on_pythons!([another_source_is_advised, ending_the_other_helps]
    cpython_3_15_sid: SID_3_15,
);

const PROGRAM: &str = "exceptions.py";

/// A program under a copy of an interpreter: nobody else is hit by the other tracer's probe.
struct Held {
    target: Target,
    other: Target,
    interpreter: PathBuf,
    _folder: TempDir,
}

impl Held {
    /// Starts the program, and another tracer at the probe point where its functions end.
    fn start(python: Python, counter: fn(&Elf) -> u64) -> Self {
        let folder = scratch();
        let interpreter = folder.path().join(python.program());
        fs::copy(python.image(), &interpreter).expect("copy the interpreter");
        let mut words = python.words();
        *words.last_mut().expect("a program") = interpreter.display().to_string();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program(PROGRAM)).args(["--rounds", "2"]);
        let target = Target::spawn(&mut command);
        let elf = Elf::open(&interpreter).expect("it is an ELF file");
        let offset = offset(&elf, probe_point(&elf, "function__return").address);
        let other = hold(&target, &interpreter, offset, counter(&elf));
        Self { target, other, interpreter, _folder: folder }
    }

    /// pytracer says why in one line, leaves nothing behind, and the program does its work. Returns the line.
    fn refused(&mut self, arguments: &[&str]) -> String {
        let before = Loaded::now();
        let pid = self.target.pid().to_string();
        let outcome =
            Tracer::record(&[&["--json", "--untraced", "0s", "-p", &pid], arguments].concat()).finish();
        let said = outcome.stderr.trim_end();
        assert_eq!((outcome.status.code(), outcome.stdout.as_str()), (Some(1), ""), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let file = self.interpreter.display();
        for words in [
            format!("process {pid}: "),
            "can't hook USDT function__return in /".to_owned(),
            format!("{file} at 0x"),
            "another tracer may hold this place with another reference counter (see `dmesg`)".to_owned(),
        ] {
            assert!(said.contains(&words), "{words:?} is not in {said}");
        }
        wait::until("nothing is left of it", || !Loaded::now().exceeds(&before));
        self.target.work();
        said.to_owned()
    }
}

/// Traces the second round: everything in it is counted.
fn assert_traced(target: Target, python: Python, arguments: &[&str], source: &str) {
    let (_, report) = Tracer::work_of(target, arguments);
    assert_eq!(report.processes[0].source.as_deref(), Some(source));
    truth::assert_equal(&truth::of(python, PROGRAM, &[]), &truth::counted(&report));
}

fn hold(target: &Target, interpreter: &Path, offset: u64, counter: u64) -> Target {
    let mut command = Python::DEBIAN_3_11.command();
    command.arg(program("other_tracer.py")).arg(target.pid().to_string()).arg(interpreter);
    Target::spawn(command.arg(offset.to_string()).arg(counter.to_string()))
}

fn probe_point(elf: &Elf, name: &str) -> UsdtNote {
    usdt_notes::read(elf).into_iter().find(|note| note.name == name).expect("it has the probe point")
}

fn offset(elf: &Elf, address: u64) -> u64 {
    elf.file_offset(address).expect("it is in the file")
}

fn no_counter(_: &Elf) -> u64 {
    0
}

fn counter_of_entries(elf: &Elf) -> u64 {
    offset(elf, probe_point(elf, "function__entry").semaphore.expect("it has a counter"))
}

/// Whatever another tracer does with the probe point, everything is counted.
fn no_counter_is_needed(python: Python) {
    for counter in [no_counter, counter_of_entries] {
        let mut held = Held::start(python, counter);
        assert_traced(held.target, python, &[], "eval+usdt");
        assert!(held.other.lives());
    }
}

fn another_source_is_advised(python: Python) {
    let mut held = Held::start(python, no_counter);
    let said = held.refused(&["--source", "usdt"]);
    assert!(said.ends_with("end that one, or take --source eval, which leaves this place out"), "{said}");
    assert_traced(held.target, python, &[], "eval");
    assert!(held.other.lives());
}

fn ending_the_other_helps(python: Python) {
    let mut held = Held::start(python, no_counter);
    held.refused(&["--source", "usdt"]);
    held.other.end();
    assert_traced(held.target, python, &["--source", "usdt"], "usdt");
}
