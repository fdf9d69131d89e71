//! What traced programs do that is hard to follow. Each program knows how often it called what.

use std::{any::Any, path::PathBuf};

use tests::{Python, Target, Tracer, Trait, on_every_exact_build, on_pythons, program};
use tracer::{
    attach::{Hooks, ImageIndex, Kernel, LoadOptions, uprobe},
    python::plan::Plan,
};

on_every_exact_build!(subinterpreters, collected, monitored, covered, attached_10_times);

on_pythons!([compiled_code_is_marked] cpython_3_14_sid_jit: JIT_3_14,);

/// Traces the work of a program, and compares all that the program knows.
fn as_known(target: Target) {
    as_known_but(target, None);
}

/// The same, but for one function.
fn as_known_but(target: Target, left_out: Option<&str>) {
    let (mut known, report) = Tracer::work_of(target, &[]);
    known.retain(|fact| Some(fact.function.as_str()) != left_out);
    report.assert_known(&known);
}

/// Four at once, in threads; with a GIL of their own from 3.12 on.
fn subinterpreters(python: Python) {
    as_known(Target::start(python, "subinterpreters.py", &[]));
}

/// Generators that the collector finalises on top of other work.
fn collected(python: Python) {
    as_known(Target::start(python, "collected.py", &[]));
}

/// The interpreter's own tracing begins and ends while functions are running and generators suspended.
fn monitored(python: Python) {
    // One of the limits that `ps` states: without the GIL it is a generator that may lack resumptions then.
    let left_out = python.has(Trait::FreeThreaded).then_some("steps");
    as_known_but(Target::start(python, "monitored.py", &[]), left_out);
}

/// The same with the package coverage.
fn covered(python: Python) {
    let mut command = python.command();
    command.env("PYTHONPATH", python.packages()).arg(program("covered.py"));
    as_known(Target::spawn(&mut command));
}

/// The threads never pause, whether probes come or go; they check what they compute. Every fifth time a recording is made,
/// else only the probes come and go, which is what they would notice.
fn attached_10_times(python: Python) {
    let mut target = Target::start(python, "busy_threads.py", &["--rounds", "12"]);
    target.work();
    let mut probes = Probes::of(python, &target);
    for cycle in 1..=10 {
        if cycle % 5 != 0 {
            let hooks = probes.put();
            target.work();
            drop(hooks);
            continue;
        }
        let tracer = Tracer::attach(&[&target], &[]);
        target.work();
        let report = tracer.report();
        for function in ["fibonacci", "failing", "caught", "steps", "delegating"] {
            assert!(report.calls(function) > 0, "{function} in cycle {cycle}: {:?}", report.account);
        }
    }
    let known = target.work();
    assert!(known.iter().all(|fact| fact.calls == 4), "a thread had a wrong result: {known:?}");
    target.end();
}

/// Probes with the programs of a recording, whose events nobody reads.
struct Probes {
    kernel: Kernel,
    _ring: Box<dyn Any>,
    image: ImageIndex,
    plan: Plan,
    path: PathBuf,
    pid: u32,
}

impl Probes {
    fn of(python: Python, target: &Target) -> Self {
        let (path, pid) = (python.image(), target.pid());
        let plan = tracer::python::plan(&path).expect("a plan");
        let options = LoadOptions { ring_bytes: Some(1 << 20), ..LoadOptions::default() };
        let (mut kernel, ring) = Kernel::load(options).expect("load the programs");
        let image = kernel.new_image(&plan).expect("an index");
        let bias = tracer::discover::inspect(pid).expect("it runs").bias;
        kernel.add_process(pid, image.number(), plan.code_type.wrapping_add(bias)).expect("an index");
        Self { kernel, _ring: Box::new(ring), image, plan, path, pid }
    }

    fn put(&mut self) -> Hooks {
        let target = uprobe::Target::Pid(self.pid);
        let hooks = self.kernel.hook_image(self.image.clone(), &self.path, &self.plan, target);
        hooks.expect("hook the interpreter")
    }
}

/// Calls in code of the JIT compiler are not seen: the count is said to be incomplete, and is never too high.
fn compiled_code_is_marked(python: Python) {
    let mut target = Target::start(python, "busy.py", &["--size", "300000"]);
    let tracer = Tracer::attach(&[&target], &[]);
    let known = target.work();
    let report = tracer.report();
    target.end();
    let notes = &report.account.notes;
    assert!(notes.iter().any(|note| note.contains("JIT compiler on")), "{notes:?}");
    let calls = report.calls("callee");
    assert!((1..=known[0].calls).contains(&calls), "{calls} calls of {}", known[0].calls);
}
