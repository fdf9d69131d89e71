//! Where things lie in the workspace.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// A path under the folder of build products.
pub(crate) fn target(path: &str) -> PathBuf {
    root().join("target").join(path)
}
