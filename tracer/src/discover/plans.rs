//! Plans, made once per file.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::ImageFile;
use crate::python::{
    self, Refusal,
    plan::{Plan, SourceChoice},
};

/// A plan, or why there is none, shared between the processes that run the file.
pub type Planned = Arc<Result<Plan, Refusal>>;

/// Plans by file. A file whose content changes is planned anew.
#[derive(Debug, Default)]
pub struct PlanCache {
    choice: SourceChoice,
    plans: FxHashMap<(u64, u64, i128), Planned>,
}

impl PlanCache {
    /// Plans by the wanted source.
    pub fn new(choice: SourceChoice) -> Self {
        Self { choice, ..Self::default() }
    }

    /// The plan of an image.
    pub fn plan(&mut self, image: &ImageFile) -> Planned {
        let key = (image.device, image.inode, image.modified_ns);
        let choice = self.choice;
        self.plans.entry(key).or_insert_with(|| Arc::new(python::plan(&image.open_path, choice))).clone()
    }
}
