//! Interpreter files that are hooked: each is planned once, and known to the kernel side by one index.

use std::{
    fs::File,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::Followed;
use crate::{
    attach::{AttachError, Hooks, ImageIndex, uprobe::Target},
    discover::{ImageFile, Planned, PythonProcess},
    python::plan::Plan,
};

/// A file by device, inode and time of change.
pub(super) type ImageKey = (u64, u64, i128);

/// One file.
pub(super) struct Image {
    planned: Planned,
    pub(super) index: ImageIndex,
    /// Open: its processes come and go, and with them the paths that lead to it.
    file: File,
    /// Where its first process has it.
    pub(super) shown_path: PathBuf,
    /// Probes in all processes: with `--all`, or because many are traced.
    pub(super) hooks: Option<Hooks>,
    /// Its probes have failed their checks: it is hooked no more.
    pub(super) distrusted: bool,
}

impl Image {
    /// How its processes are traced; `None`: not at all, and it is no image here.
    pub(super) fn plan(&self) -> Option<&Plan> {
        self.planned.as_ref().as_ref().ok()
    }
}

impl Followed {
    /// Are probes put in place at all?
    pub(super) fn hooks(&self) -> bool {
        self.sampler.is_none() || self.kernel.in_windows()
    }

    /// The image of a process, made known to the kernel side, and hooked if its processes share their probes, unless that is
    /// done.
    pub(super) fn image_of(&mut self, process: &PythonProcess) -> Result<ImageKey> {
        let key = image_key(&process.image);
        if let Some(known) = self.images.get(&key) {
            if known.distrusted {
                bail!("its interpreter was found not to be as planned");
            }
            return Ok(key);
        }
        let planned = self.plans.plan(&process.image);
        let plan = match planned.as_ref() {
            Ok(plan) => plan,
            Err(refusal) => bail!("{refusal}"),
        };
        let path = &process.image.open_path;
        let shown_path = process.image.shown_path.clone();
        let file = File::open(path).context("open its interpreter")?;
        let index = self.kernel.new_image(plan)?;
        // Windows are opened on one process at a time.
        let shares = self.hooks() && !self.kernel.in_windows();
        let hooks = if shares && (self.all || self.shared.contains(&key)) {
            let hooks = self.kernel.hook_image(index.clone(), path, plan, Target::All);
            Some(hooks.map_err(|error| at_path(error, &shown_path))?)
        } else {
            None
        };
        self.images.insert(key, Image { planned, index, file, shown_path, hooks, distrusted: false });
        Ok(key)
    }

    /// The image that the kernel side knows by this number.
    pub(super) fn image_numbered(&self, number: u32) -> Option<ImageKey> {
        self.images.iter().find(|(_, image)| image.index.number() == number).map(|(&key, _)| key)
    }

    /// Do all processes of an image have the same probes?
    pub(super) fn has_shared_probes(&self, key: ImageKey) -> bool {
        self.images.get(&key).is_some_and(|image| image.hooks.is_some())
    }

    /// Probes for one process; none of its own where all processes of the file have the same.
    pub(super) fn hook_process(&mut self, key: ImageKey, pid: u32) -> Result<Option<Hooks>> {
        let own = |image: &&Image| image.hooks.is_none() && !image.distrusted;
        let Some(image) = self.images.get(&key).filter(own) else {
            return Ok(None);
        };
        if !self.hooks() {
            return Ok(None);
        }
        let Some(plan) = image.plan() else { return Ok(None) };
        let path = PathBuf::from(format!("/proc/self/fd/{}", image.file.as_raw_fd()));
        let hooks = self.kernel.hook_image(image.index.clone(), &path, plan, Target::Pid(pid));
        Ok(Some(hooks.map_err(|error| at_path(error, &image.shown_path))?))
    }

    /// Where a place can't be hooked as it should, the eval loop alone is advised if it can be traced without that.
    pub(super) fn with_advice(&mut self, error: Error, image: &ImageFile) -> Error {
        match error.downcast_ref() {
            Some(&AttachError::Site { address, ref source, .. })
                if source.raw_os_error() == Some(libc::EINVAL) && self.eval_leaves_out(address, image) =>
            {
                anyhow!("{error}, or take --source eval, which leaves this place out")
            }
            _ => error,
        }
    }

    fn eval_leaves_out(&mut self, address: u64, image: &ImageFile) -> bool {
        let planned = self.eval_plans.plan(image);
        planned.as_ref().as_ref().is_ok_and(|plan| plan.sites.iter().all(|site| site.address != address))
    }

    /// Lets go of images that no process has any more; with `--all` they stay hooked for later ones.
    pub(super) fn forget_unused_images(&mut self) {
        let used = |key| self.processes.values().any(|process| process.image == key);
        let unused: Vec<_> = self
            .images
            .keys()
            .copied()
            .filter(|&key| !self.all && !used(key) && !self.images[&key].distrusted)
            .collect();
        for key in unused {
            let hooks = self.images.remove(&key).and_then(|image| image.hooks);
            if let Some(hooks) = hooks {
                self.in_background(move || drop(hooks));
            }
        }
    }
}

/// For people, the file is where its process has it.
fn at_path(error: AttachError, shown_path: &Path) -> AttachError {
    match error {
        AttachError::Site { what, address, source, hint, .. } => {
            AttachError::Site { what, path: shown_path.into(), address, source, hint }
        }
        other => other,
    }
}

pub(super) fn image_key(image: &ImageFile) -> ImageKey {
    (image.device, image.inode, image.modified_ns)
}
