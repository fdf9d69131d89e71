//! The probes of one image: by uprobe-multi links where the kernel has them, else by one perf event for each site.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use aya::programs::ProgramError;
use tracer_common::{
    layout::Layout,
    limits::IMAGES,
    site::{Site, Unseen},
};

use super::{
    AttachError, Kernel,
    error::{program_error, site_error},
    load::uprobe,
    multi, release,
    uprobe::{Target, Uprobe, UprobeSpec},
    windows::InWindows,
};
use crate::python::plan::{Meaning, Plan, ProbeSite};

/// Probes in place for one image and target. Dropping takes them away.
#[derive(Debug)]
pub struct Hooks {
    /// The image that they are of.
    pub image: ImageIndex,
    /// Descriptors of each probe, or of each link: closing them takes the probes away.
    probes: Vec<Vec<OwnedFd>>,
    /// Where starts are hooked in windows only: those of this process.
    _in_windows: Option<InWindows>,
}

impl Drop for Hooks {
    fn drop(&mut self) {
        release::close(std::mem::take(&mut self.probes));
    }
}

impl Hooks {
    /// Takes the probes of many away, at the same time.
    pub fn remove_all(all: impl IntoIterator<Item = Self>) {
        release::close(all.into_iter().flat_map(|mut hooks| std::mem::take(&mut hooks.probes)).collect());
    }

    /// Lets go of the probes of a process that has ended: they are in nobody's memory.
    pub fn forget(mut self) {
        self.probes.clear();
    }
}

/// Indices of images that are free. The one that has been free for longest is taken first.
#[derive(Debug)]
pub(super) struct Images(Arc<Mutex<VecDeque<u32>>>);

impl Default for Images {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((0..IMAGES).collect())))
    }
}

impl Images {
    fn take(&self) -> Option<ImageIndex> {
        let free = Arc::clone(&self.0);
        let number = free.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        Some(ImageIndex(Arc::new(Index { number, free })))
    }
}

/// What the kernel side knows an image by. It may be another image's once all copies of this are gone.
#[derive(Clone, Debug)]
pub struct ImageIndex(Arc<Index>);

impl ImageIndex {
    /// The index itself.
    pub fn number(&self) -> u32 {
        self.0.number
    }
}

/// An index that is given back when this is dropped.
#[derive(Debug)]
struct Index {
    number: u32,
    free: Arc<Mutex<VecDeque<u32>>>,
}

impl Drop for Index {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.number);
    }
}

/// Which program serves a meaning.
type ProgramOf = fn(Meaning) -> &'static str;

impl Kernel {
    /// Hooks every site of a plan.
    ///
    /// # Errors
    /// [`AttachError::Site`] for the first one that can't be hooked; those hooked before are taken away.
    pub fn hook(&mut self, path: &Path, plan: &Plan, target: Target) -> Result<Hooks, AttachError> {
        let image = self.new_image(plan)?;
        self.hook_by(program_of, image, path, plan, target)
    }

    /// Makes an image known to the kernel side.
    ///
    /// # Errors
    /// If there are too many at once.
    pub fn new_image(&mut self, plan: &Plan) -> Result<ImageIndex, AttachError> {
        let image = self.images.take().ok_or(AttachError::Full("256 interpreter files"))?;
        self.layouts.set(image.number(), plan.layout, 0)?;
        Ok(image)
    }

    /// Hooks a process, or all, of an image that is known already.
    ///
    /// # Errors
    /// As [`Kernel::hook`].
    pub fn hook_image(
        &mut self,
        image: ImageIndex,
        path: &Path,
        plan: &Plan,
        target: Target,
    ) -> Result<Hooks, AttachError> {
        self.hook_by(program_of, image, path, plan, target)
    }

    /// Puts a program that does nothing on every site of a plan, the way [`Kernel::hook`] does: what being told costs.
    ///
    /// # Errors
    /// As [`Kernel::hook`].
    pub fn hook_empty(&mut self, path: &Path, plan: &Plan, target: Target) -> Result<Hooks, AttachError> {
        let image = self.new_image(plan)?;
        self.hook_by(|_| "empty", image, path, plan, target)
    }

    fn hook_by(
        &mut self,
        program_of: ProgramOf,
        image: ImageIndex,
        path: &Path,
        plan: &Plan,
        target: Target,
    ) -> Result<Hooks, AttachError> {
        let number = image.number();
        let (plan, in_windows) = match (&self.windows, target) {
            (Some(windows), Target::Pid(pid)) => {
                let added = windows.add(pid, path, number as u8, plan);
                let added = added.map_err(|source| site_error(path, &plan.sites[0], source))?;
                (&always_hooked(plan), Some(added))
            }
            _ => (plan, None),
        };
        let probes = match &mut self.multi {
            Some(programs) => hook_multi(programs, program_of, path, plan, number as u8, target)?,
            None => self.hook_perf(program_of, path, plan, number as u8, target)?,
        };
        self.layouts.set(number, Layout { ready: 1, ..plan.layout }, 0)?;
        Ok(Hooks { image, probes, _in_windows: in_windows })
    }

    fn hook_perf(
        &mut self,
        program_of: ProgramOf,
        path: &Path,
        plan: &Plan,
        image: u8,
        target: Target,
    ) -> Result<Vec<Vec<OwnedFd>>, AttachError> {
        by_meaning(plan)
            .into_iter()
            .flat_map(|(meaning, sites)| sites.into_iter().map(move |site| (meaning, site)))
            .map(|(meaning, site)| {
                let program = uprobe(&mut self.ebpf, program_of(meaning)).fd().map_err(io::Error::other);
                program
                    .and_then(|program| {
                        Uprobe::attach(
                            program.as_fd(),
                            spec(path, site, site.cookie(image, plan.unseen), target),
                        )
                    })
                    .map(Uprobe::into_descriptors)
                    .map_err(|source| site_error(path, site, source))
            })
            .collect()
    }
}

/// What is hooked all the time where starts are hooked in windows only: that a function's address is free for another.
fn always_hooked(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.sites.retain(|site| site.meaning == Meaning::CodeFreed);
    plan
}

/// One link for all sites of a meaning that share a program.
fn hook_multi(
    programs: &mut multi::Programs,
    program_of: ProgramOf,
    path: &Path,
    plan: &Plan,
    image: u8,
    target: Target,
) -> Result<Vec<Vec<OwnedFd>>, AttachError> {
    let mut links = Vec::new();
    for (meaning, sites) in by_meaning(plan) {
        for (kind, sites) in by_kind(&sites, plan.unseen) {
            let specs: Vec<_> =
                sites.iter().map(|site| multi::MultiSite::of(site, image, plan.unseen)).collect();
            let name = program_of(meaning);
            let program = programs.get(name, kind);
            let program = program.map_err(|error| program_error(name, ProgramError::IOError(error)))?;
            let link = multi::link(program.as_fd(), path, &specs, target);
            links.push(vec![link.map_err(|source| site_error(path, sites[0], source))?]);
        }
    }
    Ok(links)
}

/// Sites by what their program has to know.
fn by_kind<'a>(sites: &[&'a ProbeSite], unseen: Unseen) -> Vec<(Site, Vec<&'a ProbeSite>)> {
    let mut kinds: Vec<(Site, Vec<&ProbeSite>)> = Vec::new();
    for site in sites {
        let kind = Site(site.cookie(0, unseen)).kind();
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sites)) => sites.push(site),
            None => kinds.push((kind, vec![site])),
        }
    }
    kinds
}

/// The sites of a plan by meaning, in the order in which they are hooked: those where frames start come last, so that
/// no frame is followed by half of its probes.
fn by_meaning(plan: &Plan) -> Vec<(Meaning, Vec<&ProbeSite>)> {
    let turn = |meaning| match meaning {
        Meaning::CodeFreed => 0,
        Meaning::End => 1,
        Meaning::Yield => 2,
        Meaning::Raise => 3,
        Meaning::Start => 4,
    };
    let mut turns: BTreeMap<u8, (Meaning, Vec<&ProbeSite>)> = BTreeMap::new();
    for site in &plan.sites {
        let (_, sites) = turns.entry(turn(site.meaning)).or_insert((site.meaning, Vec::new()));
        sites.push(site);
    }
    turns.into_values().collect()
}

fn spec<'a>(path: &'a Path, site: &ProbeSite, cookie: u64, target: Target) -> UprobeSpec<'a> {
    let (offset, semaphore) = (site.file_offset, site.semaphore_offset);
    UprobeSpec { path, offset, semaphore, target, cookie }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_taken_again_once_it_is_free() {
        let images = Images::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| images.take()).collect();
        assert_eq!(taken.len(), IMAGES as usize);
        let again = taken[7].clone();
        let given_back = taken.swap_remove(7).number();
        assert!(images.take().is_none(), "a copy holds it");
        drop(again);
        assert_eq!(images.take().map(|image| image.number()), Some(given_back));
    }
}
