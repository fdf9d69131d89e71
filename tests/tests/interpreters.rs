//! The interpreters themselves, before anything is traced: a failure here is one of the set-up.

use std::{fs, os::unix::fs::MetadataExt as _, process::Stdio};

use object::{Object as _, ObjectSymbol as _};
use rustix::fs::{major, minor};
use serde::Deserialize;
use tests::{Python, Target, Trait, kernel, on_every_build, scratch, truth};

on_every_build!(
    keeps_its_pid,
    is_what_the_table_says,
    runs_the_code_of_its_image,
    sees_the_workspace_and_tmp
);

fn keeps_its_pid(python: Python) {
    kernel::need_privilege();
    let mut target = Target::start(python, "busy.py", &["--size", "10"]);
    let link = fs::read_link(format!("/proc/{}/exe", target.pid())).expect("read the link");
    assert!(link.to_string_lossy().ends_with(&python.program()), "{}", link.display());
    target.work();
    target.end();
}

/// What an interpreter says of itself.
#[derive(Debug, Deserialize, PartialEq)]
struct Account {
    version: String,
    dtrace: bool,
    free_threaded: bool,
    jit: bool,
}

fn is_what_the_table_says(python: Python) {
    kernel::need_privilege();
    let code = "\
import json, sys, sysconfig
print(json.dumps({
    'version': '%d.%d' % sys.version_info[:2],
    'dtrace': bool(sysconfig.get_config_var('WITH_DTRACE')),
    'free_threaded': bool(sysconfig.get_config_var('Py_GIL_DISABLED')),
    'jit': hasattr(sys, '_jit') and sys._jit.is_enabled(),
}))";
    let output = python.command().args(["-c", code]).stderr(Stdio::inherit()).output().expect("start it");
    let account: Account = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let expected = Account {
        version: python.version().to_owned(),
        dtrace: python.has(Trait::Dtrace),
        free_threaded: python.has(Trait::FreeThreaded),
        jit: python.has(Trait::Jit),
    };
    assert_eq!(account, expected);
}

/// The kernel has the very file mapped for execution, and that file is stripped or not.
fn runs_the_code_of_its_image(python: Python) {
    kernel::need_privilege();
    let image = fs::metadata(python.image()).expect("the image is there");
    let wanted = format!("{:02x}:{:02x} {} ", major(image.dev()), minor(image.dev()), image.ino());
    let target = Target::start(python, "busy.py", &["--size", "10"]);
    let maps = fs::read_to_string(format!("/proc/{}/maps", target.pid())).expect("read the mappings");
    let mut code = maps.lines().filter(|line| line.contains(" r-xp "));
    assert!(code.any(|line| line.contains(&wanted)), "no {wanted} in {maps}");
    target.end();

    let name = python.image().file_name().map(|name| name.to_string_lossy().into_owned());
    assert_eq!(name.is_some_and(|name| name.starts_with("lib")), python.has(Trait::SharedLibrary));
    let bytes = fs::read(python.image()).expect("read the image");
    let file = object::File::parse(&*bytes).expect("it is an ELF file");
    let has_symbols = file.symbols().any(|symbol| symbol.is_definition());
    assert_eq!(has_symbols, !python.has(Trait::Stripped));
}

fn sees_the_workspace_and_tmp(python: Python) {
    kernel::need_privilege();
    assert!(!truth::of(python, "calls.py", &[]).is_empty());
    assert!(scratch().path().starts_with("/tmp"));
}
