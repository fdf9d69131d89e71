//! The commands of docs/coming-from.md exist and do something.

use std::{fs, os::unix::fs::symlink, process::Command};

use tests::{docs, scratch, tracer, workspace};

#[test]
fn every_command_on_a_recording_runs() {
    let text = docs::text("coming-from.md");
    let commands: Vec<Vec<&str>> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|span| span.strip_prefix("pytracer "))
        .map(|arguments| arguments.split(' ').collect())
        .filter(|arguments: &Vec<&str>| arguments.get(1) == Some(&"rec"))
        .collect();
    assert!(commands.len() > 20, "the document has lost its commands: {commands:?}");
    for arguments in commands {
        let folder = scratch();
        let recording = workspace().join("tracer/tests/recordings/portrait");
        symlink(recording, folder.path().join("rec")).expect("give it a recording");
        let output = Command::new(tracer::binary()).args(&arguments).current_dir(folder.path()).output();
        let output = output.expect("start pytracer");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pytracer {}: {said}", arguments.join(" "));
        let written = arguments.iter().position(|argument| ["-o", "--html"].contains(argument));
        let length = match written {
            Some(option) => {
                fs::metadata(folder.path().join(arguments[option + 1])).expect("it is written").len()
            }
            None => output.stdout.len() as u64,
        };
        assert!(length > 0, "pytracer {}: nothing came of it", arguments.join(" "));
    }
}
