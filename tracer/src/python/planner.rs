//! Makes the plan of one interpreter image: what it is, where its events pass, and whether all of them do.
//!
//! Three ways lead to a plan: the eval loop's opcode handlers (3.11+), the function that runs a frame (up to 3.10), and
//! the USDT probes of builds that have them.

mod eval_loop;
mod run_function;
mod usdt;

use std::path::Path;

use rustc_hash::FxHashSet;
use tracer_common::{
    layout::Layout,
    site::{Form, Unseen},
};

use super::{
    elf::Elf,
    functions::Functions,
    layout,
    machine::{Hook, function_sites},
    plan::{Meaning, Plan, ProbeSite, Source, SourceChoice, Version, Wanted},
    refusal::{Build, Lack, Refusal},
    thread_state,
    usdt_notes::{self, UsdtNote},
    version::{self, FoundBy},
    versions::{self, VersionTable},
};

/// Plans how to trace the interpreter in a file, by the exact and cheapest source that it has.
///
/// # Errors
/// If it can't be traced: a sentence that says what it is and why.
pub fn plan(path: &Path) -> Result<Plan, Refusal> {
    let elf = Elf::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    plan_elf(&elf, &name, Wanted::default())
}

/// The same for a file already read, as it is wanted.
///
/// # Errors
/// As for [`plan`].
pub fn plan_elf(elf: &Elf, name: &str, wanted: Wanted) -> Result<Plan, Refusal> {
    let (version, found_by) = version::of(elf, name)?;
    let table = versions::of(version.minor).ok_or(Refusal::TooNew(version))?;
    let notes = usdt_notes::read(elf);
    let Wanted { source, exact_yields } = wanted;
    let image = Image { elf, version, found_by, table, functions: Functions::of(elf), notes, exact_yields };
    image.plan(source).map_err(|Lacks(lacks)| Refusal::Unsupported { version, build: image.build(), lacks })
}

/// What the steps of planning share.
struct Image<'a> {
    elf: &'a Elf,
    version: Version,
    found_by: FoundBy,
    table: &'static VersionTable,
    functions: Functions,
    notes: Vec<UsdtNote>,
    /// See [`Wanted`].
    exact_yields: bool,
}

impl Image<'_> {
    fn build(&self) -> Build {
        Build { library: !self.elf.is_program(), dtrace: self.note("function__return").is_some() }
    }

    /// A probe point of the interpreter.
    fn note(&self, name: &str) -> Option<&UsdtNote> {
        self.notes.iter().find(|n| n.provider == "python" && n.name == name)
    }

    fn plan(&self, choice: SourceChoice) -> Result<Plan, Lacks> {
        let layout = layout::of(self.table, self.elf).map_err(Lack::from)?;
        if choice == SourceChoice::Sample {
            return Ok(self.without_sites(layout)?);
        }
        let mut lacks = Lacks::default();
        let draft = lacks.note(match choice {
            SourceChoice::Usdt => self.usdt(&layout),
            SourceChoice::Eval => self.eval(&layout, false),
            // If neither will do, what the one lacks that most builds have is said.
            SourceChoice::Auto | SourceChoice::Sample => {
                self.eval(&layout, true).or_else(|lacks| self.usdt(&layout).map_err(|_| lacks))
            }
        });
        let freed = lacks.note(self.code_freed(&layout));
        let (Some(draft), Some((code_type, freed))) = (draft, freed) else { return Err(lacks) };
        let sites = draft.sites.into_iter().chain([freed]).collect();
        Ok(Plan {
            version: self.version,
            found_by: self.found_by,
            source: draft.source,
            exact: self.table.proven,
            unseen: draft.unseen,
            layout: Layout { resume_opcodes: draft.resume_opcodes, ..layout },
            code_type,
            threads: thread_state::of(self.table, self.elf),
            sites: one_per_address(sites)?,
        })
    }

    /// For samples: where stacks are found.
    fn without_sites(&self, layout: Layout) -> Result<Plan, Lack> {
        Ok(Plan {
            version: self.version,
            found_by: self.found_by,
            source: Source::Sample,
            exact: self.table.proven,
            unseen: Unseen::Nothing,
            layout,
            code_type: self.elf.symbol("PyCode_Type").ok_or(Lack::CodeType)?.address,
            threads: Some(thread_state::of(self.table, self.elf).ok_or(Lack::Threads)?),
            sites: Vec::new(),
        })
    }

    /// `usdt`: a probe point may be used beside the eval loop.
    fn eval(&self, layout: &Layout, usdt: bool) -> Result<Draft, Lacks> {
        match &self.table.opcodes {
            None => self.run_function(layout, usdt),
            Some(opcodes) => self.eval_loop(opcodes, layout, usdt),
        }
    }

    /// Where exceptions reach a frame.
    fn raises(&self, handlers: &[u64]) -> Vec<ProbeSite> {
        let hooks = function_sites::raises(self.elf, &self.functions, handlers).into_iter();
        hooks.filter_map(|hook| self.site(Meaning::Raise, Some(hook), "call of PyTraceBack_Here")).collect()
    }

    /// `PyCode_Type`, and where its objects are freed.
    fn code_freed(&self, layout: &Layout) -> Result<(u64, ProbeSite), Lack> {
        let code_type = self.elf.symbol("PyCode_Type").ok_or(Lack::CodeFreed)?.address;
        let hook = function_sites::code_freed(self.elf, code_type, layout);
        let site = self.site(Meaning::CodeFreed, hook, "code_dealloc").ok_or(Lack::CodeFreed)?;
        Ok((code_type, site))
    }

    fn site(&self, meaning: Meaning, hook: Option<Hook>, what: &str) -> Option<ProbeSite> {
        let hook = hook?;
        Some(ProbeSite {
            meaning,
            address: hook.address,
            file_offset: self.elf.file_offset(hook.address)?,
            semaphore_offset: None,
            frame: hook.frame,
            instruction: hook.instruction,
            thrown: hook.thrown,
            opcodes: [0, 0],
            form: Form::General,
            text: hook.text,
            emulated: true,
            what: what.to_owned(),
        })
    }
}

/// All that an image lacks: one reason is seldom the whole story.
#[derive(Debug, Default)]
struct Lacks(Vec<Lack>);

impl Lacks {
    /// What was found; if it was not, that is noted.
    fn note<T>(&mut self, found: Result<T, impl Into<Self>>) -> Option<T> {
        found.map_err(|lacks| self.0.extend(lacks.into().0)).ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Lack> for Lacks {
    fn from(lack: Lack) -> Self {
        Self(vec![lack])
    }
}

/// The part of a plan in which the ways differ.
struct Draft {
    source: Source,
    unseen: Unseen,
    /// Opcodes of RESUME; 0: none.
    resume_opcodes: [u8; 4],
    sites: Vec<ProbeSite>,
}

/// Joins sites that opcodes with a common handler share.
fn one_per_address(sites: Vec<ProbeSite>) -> Result<Vec<ProbeSite>, Lack> {
    let mut joined: Vec<ProbeSite> = Vec::with_capacity(sites.len());
    for site in sites {
        match joined.iter_mut().find(|s| s.address == site.address) {
            None => joined.push(site),
            Some(first) => {
                let accepted: FxHashSet<u8> = first.opcodes.into_iter().chain(site.opcodes).collect();
                let accepted: Vec<u8> = accepted.into_iter().collect();
                let same = first.meaning == site.meaning && first.frame == site.frame;
                first.opcodes = match accepted[..] {
                    [one] if same => [one, one],
                    [one, other] if same => [one.min(other), one.max(other)],
                    _ => return Err(Lack::SharedHandler(site.opcodes[0])),
                };
                first.what = format!("{}, {}", first.what, site.what);
            }
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pythons::Python;
    use tracer_common::site::Register;

    use super::*;
    use crate::python::{elf::ElfError, machine::code};

    /// Debian 12's interpreter, which this release promises to trace.
    const PYTHON311: &str = "/usr/bin/python3.11";

    fn sites(plan: &Plan, meaning: Meaning) -> Vec<&ProbeSite> {
        plan.sites.iter().filter(|s| s.meaning == meaning).collect()
    }

    /// What must hold of every plan, checked on the file's bytes.
    fn check(plan: &Plan, path: &Path) {
        let bytes = fs::read(path).expect("the image");
        let mut addresses = FxHashSet::default();
        for site in &plan.sites {
            let at = site.file_offset as usize;
            let emulated = (1..=6).any(|length| code::is_emulated(&bytes[at..at + length]));
            assert!(site.emulated && emulated, "{site:?}");
            assert!(addresses.insert(site.address), "{site:?} shares its address");
        }
        for meaning in [Meaning::Raise, Meaning::CodeFreed] {
            assert!(sites(plan, meaning).iter().all(|s| s.frame == Register::Rdi));
        }
        assert_eq!(sites(plan, Meaning::CodeFreed).len(), 1);
    }

    #[test]
    fn python_3_11_of_debian_12() {
        let path = Path::new(PYTHON311);
        let plan = plan(path).expect("CPython 3.11 with dtrace");
        check(&plan, path);
        assert_eq!((plan.version.minor, plan.source, plan.exact), (11, Source::EvalUsdt, true));
        let starts = sites(&plan, Meaning::Start);
        assert_eq!(starts.len(), 2);
        for start in starts {
            assert_eq!((start.frame, start.opcodes), (Register::Rbx, [150, 151]));
            assert_eq!(start.instruction, Some((Register::R15, 0)));
        }
        let ends = sites(&plan, Meaning::End);
        assert_eq!(ends.len(), 5, "{ends:?}");
        // The program is not to do anything for us.
        assert!(
            ends.iter().all(|end| end.frame == Register::Rbx && end.semaphore_offset.is_none()),
            "{ends:?}"
        );
        assert_eq!(sites(&plan, Meaning::Raise).len(), 2);
        assert!(sites(&plan, Meaning::Yield).is_empty());
    }

    #[test]
    fn python_3_15_of_debian_sid() {
        let path = Python::SID_3_15.image();
        let plan = plan(&path).expect("CPython 3.15");
        check(&plan, &path);
        assert_eq!((plan.version.minor, plan.source, plan.exact), (15, Source::Eval, true));
        let opcodes: Vec<_> = sites(&plan, Meaning::Start).iter().map(|s| s.opcodes[0]).collect();
        assert_eq!(opcodes, [128, 200, 201, 244]);
        for start in sites(&plan, Meaning::Start) {
            assert_eq!((start.frame, start.instruction), (Register::Rbx, Some((Register::R10, 0))));
        }
        assert_eq!(sites(&plan, Meaning::Yield).len(), 2);
        let [end] = sites(&plan, Meaning::End)[..] else { panic!("one end") };
        assert_eq!((end.frame, end.text.as_str()), (Register::Rsi, "push rbp"));
        assert_eq!(sites(&plan, Meaning::Raise).len(), 2);
    }

    /// Of the builds that are on this machine; the tests that trace them count those that are not.
    #[test]
    fn every_build_of_the_table_has_a_plan() {
        for python in Python::ALL {
            let Ok(location) = python.locate() else { continue };
            let plan = plan(&location.image).unwrap_or_else(|refusal| panic!("{python}: {refusal}"));
            check(&plan, &location.image);
            assert_eq!(format!("3.{}", plan.version.minor), python.version());
            assert!(plan.exact, "{python}");
        }
    }

    #[test]
    fn stripping_changes_no_plan() {
        let pairs =
            [(Python::SHARED_3_11, Python::STRIPPED_3_11), (Python::SHARED_3_12, Python::STRIPPED_3_12)];
        for (whole, stripped) in pairs {
            let (Ok(whole), Ok(stripped)) = (whole.locate(), stripped.locate()) else { continue };
            let sites = |image| plan(image).expect("a plan").sites;
            assert_eq!(sites(&whole.image), sites(&stripped.image));
        }
    }

    /// What an interpreter publishes of its layout agrees with what the headers say.
    #[test]
    fn published_layout_of_3_15() {
        let path = Python::SID_3_15.image();
        let layout = plan(&path).expect("CPython 3.15").layout;
        assert_eq!((layout.frame_code, layout.frame_previous, layout.frame_instruction), (0, 8, 56));
        assert_eq!((layout.code_file, layout.code_name, layout.code_first_line), (112, 128, 68));
        assert_eq!((layout.str_ascii, layout.str_compact, layout.frame_owner), (40, 56, 74));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(plan(Path::new("/bin/ls")), Err(Refusal::NotPython)));
        assert!(matches!(plan(Path::new("/etc/passwd")), Err(Refusal::File(ElfError::NotElf))));
        assert!(matches!(plan(Path::new("/dev/zero")), Err(Refusal::File(ElfError::Read(_)))));
        assert!(matches!(plan(Path::new("/nonexistent")), Err(Refusal::File(ElfError::Read(_)))));
    }

    /// Two names that the plan needs are not there: both are missed.
    #[test]
    fn a_refusal_names_all_that_is_missing() {
        let mut bytes = fs::read(PYTHON311).expect("CPython 3.11");
        for name in ["PyTraceBack_Here", "PyCode_Type"] {
            let terminated = format!("\0{name}\0");
            let places: Vec<_> = memchr::memmem::find_iter(&bytes, &terminated).collect();
            assert!(!places.is_empty());
            for at in places {
                bytes[at + 1] = b'X';
            }
        }
        let elf = Elf::parse(bytes).expect("only names have changed");
        let refusal = plan_elf(&elf, "python3.11", Wanted::default()).expect_err("no plan");
        let Refusal::Unsupported { lacks, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(lacks[..], [Lack::Raise, Lack::CodeFreed]);
        assert!(
            refusal.to_string().contains("reach a frame was not found; the place where code"),
            "{refusal}"
        );
    }

    /// A damaged file gives a plan or a refusal, never a panic.
    #[test]
    fn damaged_images_do_not_panic() {
        let good = fs::read(PYTHON311).expect("CPython 3.11");
        for part in 0..8 {
            try_plan(good[..good.len() * part / 8].to_vec());
        }
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..24 {
            let mut bad = good.clone();
            for _ in 0..200 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                // Headers and tables at both ends first, then anywhere.
                let reach = if round % 2 == 0 { 4096 } else { bad.len() };
                let at = seed as usize % reach;
                let at = if round % 4 == 2 { bad.len() - 1 - at } else { at.max(20) };
                bad[at] = (seed >> 40) as u8;
            }
            try_plan(bad);
        }
    }

    fn try_plan(bytes: Vec<u8>) {
        if let Ok(elf) = Elf::parse(bytes) {
            let _ = plan_elf(&elf, "python3.11", Wanted::default());
        }
    }

    #[test]
    fn sites_at_one_address_are_joined() {
        let site = |opcode, address| ProbeSite {
            meaning: Meaning::Start,
            address,
            file_offset: address,
            semaphore_offset: None,
            frame: Register::Rbx,
            instruction: None,
            thrown: None,
            opcodes: [opcode, opcode],
            form: Form::General,
            text: String::new(),
            emulated: true,
            what: opcode.to_string(),
        };
        let joined = one_per_address(vec![site(201, 1), site(128, 2), site(200, 1)]).expect("two sites");
        assert_eq!(joined.len(), 2);
        assert_eq!(joined[0].opcodes, [200, 201]);
        assert_eq!(one_per_address(vec![site(1, 1), site(2, 1), site(3, 1)]), Err(Lack::SharedHandler(3)));
    }
}
