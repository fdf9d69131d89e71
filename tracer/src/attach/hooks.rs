//! The probes of one image: by uprobe-multi links where the kernel has them, else by one perf event for each site.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use tracer_common::{layout::Layout, limits::IMAGES, site::Site};

use super::{
    AttachError, Kernel,
    error::site_error,
    multi, uprobe,
    uprobe::{Target, Uprobe, UprobeSpec},
};
use crate::python::plan::{Meaning, Plan, ProbeSite};

/// Probes in place for one image and target. Dropping takes them away.
#[derive(Debug)]
pub struct Hooks {
    /// Index of the image.
    pub image: u32,
    probes: Vec<Probe>,
}

/// A probe in place; dropping it takes it away.
#[derive(Debug)]
enum Probe {
    /// One site.
    Perf { _event: Uprobe },
    /// All sites of one meaning.
    Multi { _link: OwnedFd },
}

impl Hooks {
    /// Takes all probes away at once: one after the other each would wait for its own grace period in the kernel.
    pub fn detach(self) {
        std::thread::scope(|scope| {
            for probe in self.probes {
                scope.spawn(move || drop(probe));
            }
        });
    }
}

impl Kernel {
    /// Hooks every site of a plan.
    ///
    /// # Errors
    /// [`AttachError::Site`] for the first one that can't be hooked; those hooked before are taken away.
    pub fn hook(&mut self, path: &Path, plan: &Plan, target: Target) -> Result<Hooks, AttachError> {
        let image = self.images;
        if image >= IMAGES {
            return Err(AttachError::Full("256 interpreter files"));
        }
        self.images += 1;
        self.layouts.set(image, plan.layout, 0)?;
        let probes = match &self.multi {
            Some(programs) => hook_multi(programs, path, plan, image as u8, target)?,
            None => self.hook_perf(path, plan, image as u8, target)?,
        };
        let ready = Layout { ready: 1, ..plan.layout };
        self.layouts.set(image, ready, 0)?;
        Ok(Hooks { image, probes })
    }

    fn hook_perf(
        &mut self,
        path: &Path,
        plan: &Plan,
        image: u8,
        target: Target,
    ) -> Result<Vec<Probe>, AttachError> {
        plan.sites
            .iter()
            .map(|site| {
                let program = uprobe(&mut self.ebpf, program_of(site.meaning)).fd().map_err(io::Error::other);
                program
                    .and_then(|program| Uprobe::attach(program.as_fd(), spec(path, site, image, target)))
                    .map(|event| Probe::Perf { _event: event })
                    .map_err(|source| site_error(path, site, source))
            })
            .collect()
    }

    /// Puts the empty program on a site, by a perf event: what the bare trap costs.
    ///
    /// # Errors
    /// As [`Uprobe::attach`].
    pub fn hook_empty(&mut self, path: &Path, site: &ProbeSite, target: Target) -> io::Result<Uprobe> {
        let program = uprobe(&mut self.ebpf, "empty");
        if program.fd().is_err() {
            program.load().map_err(io::Error::other)?;
        }
        Uprobe::attach(program.fd().map_err(io::Error::other)?.as_fd(), spec(path, site, 0, target))
    }
}

/// One link for all sites of a meaning. Those where frames start come last: none is followed by half of its probes.
fn hook_multi(
    programs: &multi::Programs,
    path: &Path,
    plan: &Plan,
    image: u8,
    target: Target,
) -> Result<Vec<Probe>, AttachError> {
    let mut by_program: BTreeMap<&'static str, Vec<&ProbeSite>> = BTreeMap::new();
    for site in &plan.sites {
        by_program.entry(program_of(site.meaning)).or_default().push(site);
    }
    by_program
        .into_iter()
        .map(|(name, sites)| {
            let specs: Vec<_> = sites
                .iter()
                .map(|site| multi::MultiSite {
                    offset: site.file_offset,
                    semaphore: site.semaphore_offset.unwrap_or(0),
                    cookie: cookie(site, image),
                })
                .collect();
            multi::link(programs[name].as_fd(), path, &specs, target)
                .map(|link| Probe::Multi { _link: link })
                .map_err(|source| site_error(path, sites[0], source))
        })
        .collect()
}

fn cookie(site: &ProbeSite, image: u8) -> u64 {
    Site::new(image, site.frame, site.instruction, site.opcodes).0
}

fn spec<'a>(path: &'a Path, site: &ProbeSite, image: u8, target: Target) -> UprobeSpec<'a> {
    let (offset, semaphore) = (site.file_offset, site.semaphore_offset);
    UprobeSpec { path, offset, semaphore, target, cookie: cookie(site, image) }
}

fn program_of(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Start => "frame_start",
        Meaning::End => "frame_end",
        Meaning::Yield => "frame_yield",
        Meaning::Raise => "frame_raise",
        Meaning::CodeFreed => "code_freed",
    }
}
