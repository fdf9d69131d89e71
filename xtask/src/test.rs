//! Every check there is: format, lints, unit tests as the user, and tests of the kernel side as root, or in a virtual
//! machine.
//!
//! All of them run, whatever fails; the last line is the sum.

use std::{
    io::{BufRead as _, BufReader, PipeReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use pythons::Python;

use crate::{
    build,
    command::{self, capture, cargo, step, succeeds},
    lint,
    place::Place,
    privilege, setup,
    tally::Tally,
    vm::{
        Kernel, Machine,
        tests::{OF_EVERY_KERNEL, Selection, command as vm_command},
    },
};

/// The tests that need nothing but the sources.
const UNIT_TESTS: [&str; 5] = ["--workspace", "--exclude", "tracer-ebpf", "--exclude", "tests"];

/// The tests that trace real processes are the integration tests of this package.
const KERNEL_TESTS: [&str; 4] = ["--package", "tests", "--test", "*"];

/// How long tests in a virtual machine may take, on a busy machine, too.
const VM_LIMIT: Duration = Duration::from_secs(40 * 60);
/// The same of [`Selection::OfEveryKernel`]: all machines at once take some three minutes on two processors.
const OF_EVERY_KERNEL_LIMIT: Duration = Duration::from_secs(6 * 60);

/// If this is set, an interpreter of the table that is not on the machine is a failure, and a kernel that can't be had.
const ALL_PYTHONS: &str = "PYTRACER_ALL_PYTHONS";

#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the tests that need root and the kernel's tracing
    #[arg(long)]
    without_kernel: bool,
    #[command(flatten)]
    place: Place,
    /// Run only what has to work on every kernel, in a virtual machine of each; it is a part of all tests
    #[arg(long, conflicts_with_all = ["without_kernel", "host", "vm", "filter"])]
    every_kernel: bool,
    /// Run only the tests whose name holds this; no format, no lints
    filter: Option<String>,
}

/// Runs the checks and prints the sum; true if all went well.
pub(crate) fn run(options: &Options) -> Result<bool> {
    options.place.refuse_kernel(options.filter.as_deref())?;
    if options.every_kernel {
        setup::demo()?;
        let mut session = Session::default();
        session.every_kernel()?;
        return Ok(session.end());
    }
    setup::all()?;
    let mut session = Session { filter: options.filter.clone(), ..Session::default() };
    if options.filter.is_none() {
        session.check("the format", lint::format());
        session.check("the lints", lint::userspace());
        session.check("the lints of the kernel programs", lint::kernel());
    }
    let ran = session.unit_tests();
    session.check("the unit tests", ran);
    if options.without_kernel {
        let count = session.leave_out()?;
        step(&format!("{count} tests of the kernel side are left out, as asked for"));
    } else {
        session.kernel(&options.place)?;
        if options.filter.is_none() {
            session.every_kernel()?;
        }
    }
    Ok(session.end())
}

/// Runs the usual tests of the kernel side in a virtual machine.
pub(crate) fn vm_tests(kernel: Kernel) -> Result<Tally> {
    let mut session = Session::default();
    let ran = session.kernel_in(kernel);
    session.result(ran)
}

/// Runs the tests of the kernel side that are in one file and whose names hold the filter.
pub(crate) fn kernel_tests(file: &str, filter: &str) -> Result<Tally> {
    let mut session = Session { filter: Some(filter.to_owned()), ..Session::default() };
    let ran = session.tests(&["--package", "tests", "--test", file], Runner::OfKernel(privilege::runner()?));
    session.result(ran)
}

#[derive(Default)]
struct Session {
    filter: Option<String>,
    tally: Tally,
    failures: Vec<String>,
    /// What was left out, and why.
    notes: Vec<String>,
    /// Tests whose name holds one of these are not run.
    left_out: Vec<String>,
}

/// How tests are run.
enum Runner {
    /// As the user, several at once.
    Parallel,
    /// Through these words, if any: tests of the kernel side. Some look at all that is traced on the machine; nextest knows
    /// which (`.config/nextest.toml`) and runs others beside each other.
    OfKernel(Option<String>),
}

impl Session {
    /// Says what came out, the sum at last. Did all go well?
    fn end(&self) -> bool {
        for note in &self.notes {
            step(note);
        }
        for failure in &self.failures {
            eprintln!("error: {failure}");
        }
        println!("{}", self.tally);
        self.failures.is_empty() && self.tally.failed == 0
    }

    /// What tests came to. A failed test is part of it; that they could not be run is not.
    fn result(&self, ran: Result<()>) -> Result<Tally> {
        if self.tally.failed > 0 { Ok(self.tally) } else { ran.map(|()| self.tally) }
    }

    fn check(&mut self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            self.failures.push(format!("{what}: {error:#}"));
        }
    }

    /// Runs everything that needs no privilege: nextest leaves out the examples in documentation.
    fn unit_tests(&mut self) -> Result<()> {
        let mut ran = self.tests(&UNIT_TESTS, Runner::Parallel);
        if has_nextest() {
            ran = ran.and(
                self.count(cargo().args(["test", "--doc"]).args(UNIT_TESTS).arg("--").args(&self.filter)),
            );
        }
        ran.and(self.tests(&["--package", "tests", "--lib"], Runner::Parallel))
    }

    /// Runs the tests of the kernel side where they can run.
    fn kernel(&mut self, place: &Place) -> Result<()> {
        let before = self.tally;
        let ran = build::release().and_then(|pytracer| {
            if let Some(kernel) = place.choose(&pytracer)? {
                return self.kernel_in(kernel);
            }
            let runner = privilege::runner()?;
            self.leave_out_missing()?;
            self.tests(&KERNEL_TESTS, Runner::OfKernel(runner))
        });
        if ran.is_err() && self.tally == before {
            self.leave_out()?;
        }
        self.check("the tests of the kernel side (`--without-kernel` leaves them out)", ran);
        Ok(())
    }

    /// Runs tests of the kernel side in a virtual machine: without a filter those of [`vm::tests`].
    fn kernel_in(&mut self, kernel: Kernel) -> Result<()> {
        let words = vm_command(self.filter.as_deref().map_or(Selection::Usual, Selection::Named))?;
        let before = self.tally;
        let ran = in_vm(kernel, &words, VM_LIMIT, |line| println!("{line}"));
        let ran = ran.and_then(|ran| self.add(ran));
        // What the selection, or the filter, leaves out is told as one sum.
        let run = self.tally.passed + self.tally.failed - before.passed - before.failed;
        let skipped = (self.names_of_kernel_tests()?.len() as u64).saturating_sub(run);
        self.tally.skipped += skipped;
        if skipped > 0 {
            self.notes.push(format!(
                "tests skipped: {skipped}; in a virtual machine a selection runs (xtask/src/vm/tests.rs)"
            ));
        }
        ran
    }

    /// Runs under each kernel what has to work on all of them, all at once: a machine uses little more than one processor. A
    /// kernel that can't be had is treated as an interpreter.
    fn every_kernel(&mut self) -> Result<()> {
        build::release()?;
        let words = vm_command(Selection::OfEveryKernel)?;
        let mut kernels = Vec::new();
        for kernel in Kernel::ALL {
            match setup::vm(kernel) {
                Ok(_) => kernels.push(kernel),
                Err(why) if all_wanted() => self.check(&under(kernel), Err(why)),
                Err(why) => {
                    let count = names(&["--package", "tests", "--test", OF_EVERY_KERNEL], None)?.len() as u64;
                    self.notes.push(format!("tests skipped: {count}; Linux {}: {why:#}", kernel.name));
                    self.tally.skipped += count;
                }
            }
        }
        thread::scope(|scope| {
            let words = &words;
            let start = |kernel| {
                let run = move || {
                    let mut said = Vec::new();
                    let ran = in_vm(kernel, words, OF_EVERY_KERNEL_LIMIT, |line| said.push(line.to_owned()));
                    (said, ran)
                };
                (kernel, scope.spawn(run))
            };
            let running: Vec<_> = kernels.into_iter().map(start).collect();
            for (kernel, running) in running {
                let (said, ran) =
                    running.join().unwrap_or_else(|_| (Vec::new(), Err(anyhow!("running it failed"))));
                step(&format!("in a virtual machine with Linux {}:", kernel.name));
                for line in said {
                    println!("{line}");
                }
                let ran = ran.and_then(|ran| self.add(ran));
                self.check(&under(kernel), ran);
            }
        });
        Ok(())
    }

    /// Adds up what tests in a virtual machine came to.
    fn add(&mut self, ran: InVm) -> Result<()> {
        self.tally += ran.tally;
        self.notes.push(ran.note);
        ran.result
    }

    /// Counts the tests of the kernel side as skipped.
    fn leave_out(&mut self) -> Result<u64> {
        let count = self.names_of_kernel_tests()?.len() as u64;
        self.tally.skipped += count;
        Ok(count)
    }

    /// Counts the tests of interpreters that are not here as skipped, unless all have to be here.
    fn leave_out_missing(&mut self) -> Result<()> {
        if all_wanted() {
            return Ok(());
        }
        let names = self.names_of_kernel_tests()?;
        for python in Python::ALL {
            let Err(missing) = python.locate() else { continue };
            let module = format!("{}::", python.test_module());
            let count = names.iter().filter(|name| name.contains(&module)).count() as u64;
            if count == 0 {
                continue;
            }
            self.notes.push(format!("tests skipped: {count}; {missing}"));
            self.tally.skipped += count;
            self.left_out.push(module);
        }
        Ok(())
    }

    fn names_of_kernel_tests(&self) -> Result<Vec<String>> {
        names(&KERNEL_TESTS, self.filter.as_deref())
    }

    /// Runs tests with nextest, which keeps them apart, or else with cargo alone.
    fn tests(&mut self, selection: &[&str], how: Runner) -> Result<()> {
        let nextest = has_nextest();
        let mut tests = cargo();
        if nextest {
            tests.args(["nextest", "run", "--no-fail-fast", "--no-tests", "pass", "--status-level", "pass"]);
        } else {
            tests.args(["test", "--no-fail-fast"]);
        }
        tests.args(selection);
        let of_kernel = matches!(how, Runner::OfKernel(_));
        if let Runner::OfKernel(Some(runner)) = how {
            tests.env(privilege::RUNNER, runner);
        }
        if nextest {
            tests.args(of_kernel.then_some("--test-threads=2")).arg("--");
        } else {
            tests.arg("--").args(of_kernel.then_some("--test-threads=1"));
        }
        tests.args(&self.filter).args(self.left_out.iter().flat_map(|name| ["--skip", name]));
        self.count(&mut tests)
    }

    /// Runs a test runner, shows what it says, and adds up its summaries.
    fn count(&mut self, tests: &mut Command) -> Result<()> {
        command::print(tests);
        let (reader, writer) = std::io::pipe().context("make a pipe")?;
        tests.stdin(Stdio::null()).stdout(writer.try_clone().context("share the pipe")?).stderr(writer);
        let mut child = tests.spawn().context("start the tests")?;
        // The command holds the writing end until then, and the loop would never end.
        tests.stdout(Stdio::null()).stderr(Stdio::null());
        let mut tally = shown(reader, |line| println!("{line}"))?;
        // Then these are not what was asked for, or are counted already.
        if self.filter.is_some() || !self.left_out.is_empty() {
            tally.skipped = 0;
        }
        self.tally += tally;
        let status = child.wait().context("wait for the tests")?;
        if !status.success() {
            bail!("they ended with {status}");
        }
        Ok(())
    }
}

/// What tests in a virtual machine came to.
struct InVm {
    tally: Tally,
    note: String,
    /// That they could not be run, or failed.
    result: Result<()>,
}

fn under(kernel: Kernel) -> String {
    format!("the tests under Linux {}", kernel.name)
}

/// Runs a command of tests in a virtual machine, shows what they say, and adds up their summaries.
fn in_vm(kernel: Kernel, words: &[String], limit: Duration, show: impl FnMut(&str)) -> Result<InVm> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let errors = writer.try_clone().context("share the pipe")?;
    let start = Instant::now();
    let machine = Machine::start(kernel, words, limit, writer.into(), errors.into())?;
    let ended = thread::spawn(move || machine.wait());
    let tally = shown(reader, show)?;
    let note = format!(
        "in a virtual machine with Linux {}: {} passed, {} failed, in {} s",
        kernel.name,
        tally.passed,
        tally.failed,
        start.elapsed().as_secs()
    );
    let result = match ended.join() {
        Ok(Ok(0)) => Ok(()),
        Ok(Ok(status)) => Err(anyhow!("they ended with exit status {status} in the virtual machine")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(anyhow!("waiting for the virtual machine failed")),
    };
    // What these leave out depends on what was selected; the caller knows.
    Ok(InVm { tally: Tally { skipped: 0, ..tally }, note, result })
}

/// Must everything be there that tests are for?
fn all_wanted() -> bool {
    std::env::var_os(ALL_PYTHONS).is_some_and(|value| !value.is_empty())
}

/// The names of tests, all or those that hold the filter.
fn names(selection: &[&str], filter: Option<&str>) -> Result<Vec<String>> {
    let mut list = cargo();
    list.args(["test", "--quiet"]).args(selection).arg("--").args(filter).arg("--list");
    let list = capture(&mut list)?;
    Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Shows what test runners say, line by line, and adds up their summaries.
fn shown(reader: PipeReader, mut show: impl FnMut(&str)) -> Result<Tally> {
    let mut sum = Tally::default();
    for line in BufReader::new(reader).lines() {
        let line = line.context("read what the tests say")?;
        show(&line);
        if let Some(tally) = Tally::read(&line) {
            sum += tally;
        }
    }
    Ok(sum)
}

fn has_nextest() -> bool {
    succeeds(cargo().args(["nextest", "--version"]))
}
