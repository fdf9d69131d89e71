//! What `pytracer ps` says of one process. The keys of its JSON form are a contract: some may be added, none renamed.

use serde::Serialize;

use crate::{
    discover::{self, Identity, Jit, NotTraceable, PlanCache, PythonProcess, Users},
    python::{plan::Plan, traits::Traits},
};

/// One process.
#[derive(Debug, Default, Serialize)]
pub(super) struct Entry {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) version: Option<String>,
    /// The interpreter's file, as the process has it.
    pub(super) interpreter: Option<String>,
    /// Null: can't be traced.
    pub(super) source: Option<String>,
    pub(super) exact: bool,
    /// Why it can't be traced.
    pub(super) reason: Option<String>,
    /// Its ids in PID namespaces below pytracer's, the last as it sees itself.
    pub(super) inner_pids: Vec<u32>,
    pub(super) name: String,
    /// Script or module.
    pub(super) script: Option<String>,
    pub(super) uid: Option<u32>,
    pub(super) user: Option<String>,
    pub(super) effective_uid: Option<u32>,
    pub(super) effective_user: Option<String>,
    pub(super) cgroup: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) container: Option<ContainerEntry>,
    /// How the version was found.
    pub(super) version_from: Option<String>,
    pub(super) build_id: Option<String>,
    pub(super) build: Option<Build>,
    /// Null: the build has no JIT compiler.
    pub(super) jit: Option<&'static str>,
    /// What will be missing or uncertain.
    pub(super) limits: Vec<String>,
    /// Places that would be hooked.
    pub(super) sites: Option<usize>,
    /// An estimate of what tracing adds to a call.
    pub(super) call_cost_ns: Option<u64>,
}

/// A container.
#[derive(Debug, Serialize)]
pub(super) struct ContainerEntry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    /// Empty: not known.
    pub(super) engine: &'static str,
}

/// How the interpreter was built.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
pub(super) struct Build {
    pub(super) library: bool,
    pub(super) dtrace: bool,
    pub(super) function_probes: bool,
    pub(super) stripped: bool,
    pub(super) free_threaded: bool,
    pub(super) jit: bool,
    #[serde(skip)]
    pub(super) words: Vec<&'static str>,
}

impl Entry {
    /// In one word.
    pub(super) fn verdict(&self) -> &'static str {
        match (&self.source, self.exact, self.jit) {
            (None, ..) => "no",
            (Some(_), true, _) => "exact",
            (Some(_), false, Some("on")) => "incomplete",
            (Some(_), false, _) => "untested",
        }
    }
}

/// What looking at many processes shares.
#[derive(Default)]
pub(super) struct Look {
    pub(super) plans: PlanCache,
    users: Users,
}

impl Look {
    /// Says what there is to say of a process that was found.
    pub(super) fn entry(&mut self, who: Identity, found: &Result<PythonProcess, NotTraceable>) -> Entry {
        let entry = self.who(who);
        match found {
            Ok(process) => self.interpreter(entry, process),
            Err(reason) => Entry { reason: Some(reason.to_string()), ..entry },
        }
    }

    fn who(&mut self, mut who: Identity) -> Entry {
        let container = who.containers.pop().map(|container| ContainerEntry {
            engine: container.engine.name(),
            id: container.id,
            name: container.name,
        });
        let mut user = |uid| self.users.name(uid).map(ToOwned::to_owned);
        Entry {
            pid: who.pid,
            command: who.command(),
            unit: who.unit().map(ToOwned::to_owned),
            cgroup: who.cgroup().map(ToOwned::to_owned),
            user: user(who.real_uid),
            effective_user: user(who.effective_uid),
            uid: Some(who.real_uid),
            effective_uid: Some(who.effective_uid),
            script: who.script.map(|script| script.name().to_owned()),
            inner_pids: who.inner_pids,
            name: who.name,
            container,
            ..Entry::default()
        }
    }

    fn interpreter(&mut self, who: Entry, process: &PythonProcess) -> Entry {
        let planned = self.plans.plan(&process.image);
        let traits = self.plans.traits(&process.image).unwrap_or_default();
        let jit = traits.jit.then(|| discover::jit(process.pid));
        let entry = Entry {
            interpreter: Some(process.image.shown_path.to_string_lossy().into_owned()),
            build_id: Some(process.image.build_id()).filter(|id| !id.is_empty()),
            build: Some(traits.into()),
            jit: jit.map(jit_word),
            ..who
        };
        match planned.as_ref() {
            Ok(plan) => Entry {
                version: Some(plan.version.to_string()),
                version_from: Some(plan.found_by.to_string()),
                source: Some(plan.source.to_string()),
                exact: plan.exact && jit != Some(Jit::On),
                limits: limits(plan, jit),
                sites: Some(plan.sites.len()),
                call_cost_ns: Some(plan.call_cost_ns()),
                ..entry
            },
            Err(refusal) => Entry { version: refusal.version(), reason: Some(refusal.to_string()), ..entry },
        }
    }
}

fn jit_word(jit: Jit) -> &'static str {
    match jit {
        Jit::Off => "off",
        Jit::On => "on",
        Jit::Perhaps => "perhaps",
    }
}

/// What will be missing or uncertain, by this plan.
fn limits(plan: &Plan, jit: Option<Jit>) -> Vec<String> {
    let mut limits = plan.limits();
    match jit {
        Some(Jit::On) => {
            limits.push("its JIT compiler is on: calls in compiled code are not seen".to_owned());
        }
        Some(Jit::Perhaps) => limits.push(
            "it has machine code of no file: if that is of its JIT compiler, calls in it are not seen"
                .to_owned(),
        ),
        Some(Jit::Off) | None => {}
    }
    limits
}

impl From<Traits> for Build {
    fn from(traits: Traits) -> Self {
        Self {
            words: traits.words(),
            library: traits.library,
            dtrace: traits.dtrace,
            function_probes: traits.function_probes,
            stripped: traits.stripped,
            free_threaded: traits.free_threaded,
            jit: traits.jit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said() {
        let mut plan = crate::python::plan("/usr/bin/python3.11".as_ref()).expect("CPython 3.11");
        assert_eq!(limits(&plan, None).len(), 1, "that of generators");
        plan.exact = false;
        plan.sites[0].emulated = false;
        let said = limits(&plan, Some(Jit::On)).join("\n");
        for words in ["CPython 3.11 were not compared", "JIT", "generator", "1 of "] {
            assert!(said.contains(words), "{words} is not in {said}");
        }
    }

    #[test]
    fn a_verdict_is_one_word() {
        let entry = |source: Option<&str>, exact, jit| Entry {
            source: source.map(ToOwned::to_owned),
            exact,
            jit,
            ..Entry::default()
        };
        assert_eq!(entry(None, false, None).verdict(), "no");
        assert_eq!(entry(Some("eval"), true, Some("off")).verdict(), "exact");
        assert_eq!(entry(Some("eval"), false, Some("on")).verdict(), "incomplete");
        assert_eq!(entry(Some("eval"), false, None).verdict(), "untested");
    }

    #[test]
    fn json_has_nulls_where_nothing_is_known() {
        let entry = Entry { pid: 4711, ..Entry::default() };
        let json = serde_json::to_value(&entry).expect("plain values");
        for key in ["version", "interpreter", "source", "reason", "user", "container", "unit", "call_cost_ns"]
        {
            assert!(json[key].is_null() && json.as_object().is_some_and(|o| o.contains_key(key)), "{key}");
        }
        assert_eq!((&json["pid"], &json["exact"]), (&4711.into(), &false.into()));
    }
}
