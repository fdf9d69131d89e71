//! An interpreter that is not as its plan says is let go, with a word, and nothing is counted of it.

use std::{fs, os::unix::fs::FileExt as _};

use tests::{Python, Target, Tracer, on_pythons, program, scratch};
use tracer::python::elf::Elf;

on_pythons! { [misleading] cpython_3_13_shared: SHARED_3_13, }

/// Where `_PyRuntime` of 3.13 publishes the place of a frame's code object.
const FRAME_CODE: u64 = 240;

/// Its file is changed after the process has made its own copy of what is changed: only pytracer reads that.
fn misleading(python: Python) {
    let folder = scratch();
    let library = folder.path().join(python.library());
    fs::copy(python.image(), &library).expect("copy the interpreter's library");
    let mut command = python.command();
    command.env("LD_LIBRARY_PATH", folder.path()).arg(program("steady.py"));
    let mut target = Target::spawn(&mut command);
    let image = tracer::discover::inspect(target.pid()).expect("it runs Python").image;
    assert_eq!(image.shown_path, library, "the copy is what runs");
    let elf = Elf::open(&library).expect("it is an ELF file");
    let runtime = elf.symbol("_PyRuntime").expect("it is exported").address;
    let offset = elf.file_offset(runtime + FRAME_CODE).expect("it is in the file");
    let file = fs::File::options().write(true).open(&library).expect("open the copy");
    file.write_all_at(&48_u64.to_le_bytes(), offset).expect("change the copy");

    let tracer = Tracer::attach(&[&target], &[]);
    target.go();
    let outcome = tracer.finish();
    assert!(target.lives());
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("is traced no more: "), "{}", outcome.stderr);
    let report = outcome.any_report();
    assert_eq!(report.calls("tick"), 0);
    assert!(report.account.notes.iter().any(|note| note.contains("is traced no more")), "{report:?}");
}
