//! Plans, made once per build of an interpreter: a file that many processes run, and copies of it in the layers of
//! many containers, are analysed once.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use rustc_hash::FxHashMap;

use super::ImageFile;
use crate::python::{
    self, Refusal,
    elf::{Elf, ElfError, open},
    plan::{Plan, Wanted},
    traits::Traits,
};

/// A plan, or why there is none, shared between the processes that run the file.
pub type Planned = Arc<Result<Plan, Refusal>>;

/// Plans by file, and by build id. A file whose content changes is planned anew.
#[derive(Debug, Default)]
pub struct PlanCache {
    wanted: Wanted,
    files: FxHashMap<(u64, u64, i128), Analysed>,
    /// By build id: the file first met, and others that claim the same id and differ.
    builds: FxHashMap<Vec<u8>, Vec<(Sample, Analysed)>>,
}

#[derive(Clone, Debug)]
struct Analysed {
    planned: Planned,
    /// `None`: the file can't be read as an ELF file.
    traits: Option<Traits>,
}

impl PlanCache {
    /// Plans as they are wanted.
    pub fn new(wanted: impl Into<Wanted>) -> Self {
        Self { wanted: wanted.into(), ..Self::default() }
    }

    /// The plan of an image.
    pub fn plan(&mut self, image: &ImageFile) -> Planned {
        self.analysed(image).planned
    }

    /// How an image was built; `None`: its file can't be read.
    pub fn traits(&mut self, image: &ImageFile) -> Option<Traits> {
        self.analysed(image).traits
    }

    fn analysed(&mut self, image: &ImageFile) -> Analysed {
        let key = (image.device, image.inode, image.modified_ns);
        if let Some(known) = self.files.get(&key) {
            return known.clone();
        }
        let analysed = self.same_build(image).unwrap_or_else(|| self.analyse(image));
        self.files.insert(key, analysed.clone());
        analysed
    }

    fn same_build(&self, image: &ImageFile) -> Option<Analysed> {
        let known = self.builds.get(&image.build_id)?;
        let file = open(&image.open_path).ok()?;
        known.iter().find(|(sample, _)| sample.is_of(&file)).map(|(_, analysed)| analysed.clone())
    }

    fn analyse(&mut self, image: &ImageFile) -> Analysed {
        let analysed = Analysed::of(image, self.wanted);
        if !image.build_id.is_empty()
            && let Ok(sample) = Sample::take(&image.open_path, &analysed.planned)
        {
            let same_id = self.builds.entry(image.build_id.clone()).or_default();
            same_id.push((sample, analysed.clone()));
        }
        analysed
    }
}

impl Analysed {
    fn of(image: &ImageFile, wanted: Wanted) -> Self {
        let name = image.shown_path.file_name().unwrap_or_default().to_string_lossy();
        let (planned, traits) = match Elf::open(&image.open_path) {
            Ok(elf) => (python::planner::plan_elf(&elf, &name, wanted), Some(Traits::of(&elf))),
            Err(error) => (Err(error.into()), None),
        };
        Self { planned: Arc::new(planned), traits }
    }
}

/// Parts of a file, by which another with the same build id is known to be the same: files are other people's, may
/// claim any build id, and stripping keeps it. Probes are never put where other bytes stand than those planned for.
#[derive(Debug)]
struct Sample {
    length: u64,
    parts: Vec<(u64, Vec<u8>)>,
}

/// Bytes at the start of a file: its headers.
const HEAD: usize = 1024;
/// Bytes at a hooked place: no instruction is longer than 15.
const AT_SITE: usize = 16;

impl Sample {
    fn take(path: &Path, planned: &Planned) -> Result<Self, ElfError> {
        let file = open(path)?;
        let sites = planned.as_ref().as_ref().map(|plan| plan.sites.as_slice()).unwrap_or_default();
        let places = sites.iter().map(|site| (site.file_offset, AT_SITE));
        let parts = [(0, HEAD)].into_iter().chain(places);
        let parts = parts.map(|(offset, length)| Ok((offset, part(&file, offset, length)?)));
        Ok(Self { length: file.metadata()?.len(), parts: parts.collect::<io::Result<_>>()? })
    }

    fn is_of(&self, file: &File) -> bool {
        let same = |(offset, bytes): &(u64, Vec<u8>)| {
            part(file, *offset, bytes.len()).is_ok_and(|found| found == *bytes)
        };
        file.metadata().is_ok_and(|metadata| metadata.len() == self.length) && self.parts.iter().all(same)
    }
}

fn part(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

    use super::*;
    use crate::python::recognise::recognise;

    const PYTHON311: &str = "/usr/bin/python3.11";

    fn image(path: PathBuf) -> ImageFile {
        let metadata = fs::metadata(&path).expect("a file");
        ImageFile {
            build_id: recognise(&path).expect("an ELF file").build_id,
            shown_path: path.clone(),
            open_path: path,
            device: metadata.dev(),
            inode: metadata.ino(),
            modified_ns: 0,
        }
    }

    #[test]
    fn a_copy_is_not_analysed_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("python3.11");
        fs::copy(PYTHON311, &copy).expect("CPython 3.11");
        let mut cache = PlanCache::default();
        let first = cache.plan(&image(PYTHON311.into()));
        assert!(first.is_ok() && Arc::ptr_eq(&first, &cache.plan(&image(copy))));
        assert!(cache.traits(&image(PYTHON311.into())).is_some_and(|traits| traits.dtrace));
    }

    /// Neither a file that claims the build id of another is taken for it, nor one that is longer.
    #[test]
    fn other_files_with_the_same_build_id_are_analysed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut cache = PlanCache::default();
        let first = cache.plan(&image(PYTHON311.into()));
        let site = first.as_ref().as_ref().expect("a plan").sites[0].file_offset as usize;
        let good = fs::read(PYTHON311).expect("CPython 3.11");
        let mut changed = good.clone();
        changed[site] ^= 1;
        for (name, bytes) in [("changed", changed), ("longer", [good, vec![0]].concat())] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("a file");
            assert!(!Arc::ptr_eq(&first, &cache.plan(&image(path))), "{name}");
        }
    }
}
