//! A folder that is made from nothing, with another one beside it for the work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The folder for the work.
pub(super) struct Work(PathBuf);

impl Work {
    /// Removes what there is of an earlier try, of the product too.
    pub(super) fn begin(product: &Path) -> Result<Self> {
        let work = Self(PathBuf::from(format!("{}.work", product.display())));
        remove(product)?;
        remove(&work.0)?;
        fs::create_dir_all(&work.0).with_context(|| format!("create {}", work.0.display()))?;
        Ok(work)
    }

    /// A folder in it.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Removes it.
    pub(super) fn end(self) -> Result<()> {
        remove(&self.0)
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
