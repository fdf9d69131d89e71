//! What a virtual machine is made of: qemu, a kernel of Debian with the modules that its root needs, and busybox, which
//! mounts that. The last two are unpacked, not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{apt, private_apt::PrivateApt, work::Work};
use crate::{
    command::{capture, step},
    vm::Kernel,
    workspace,
};

/// The package that depends on the newest kernel of its suite. Debian's kernels for clouds can't mount the host's files.
const KERNEL: &str = "linux-image-amd64";

/// What all packages of a kernel are called. Some suites have it in several.
const KERNEL_PREFIX: &str = "linux-";

/// Files of the host by virtio, and a source of random numbers.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "virtio_rng"];

/// Where the parts of a virtual machine are.
pub(crate) struct Parts {
    /// The kernel's own name of its version.
    pub(crate) release: String,
    /// The kernel itself.
    pub(crate) kernel: PathBuf,
    /// Its modules, to be loaded in the order of their names.
    pub(crate) modules: PathBuf,
    /// busybox, linked statically.
    pub(crate) busybox: PathBuf,
}

/// Gets all that a virtual machine with this kernel needs.
pub(crate) fn ensure(kernel: Kernel) -> Result<Parts> {
    for (program, package) in
        [("qemu-system-x86_64", "qemu-system-x86"), ("cpio", "cpio"), ("depmod", "kmod"), ("xz", "xz-utils")]
    {
        apt::ensure_program(program, package)?;
    }
    let folder = workspace::target("vm").join(kernel.name);
    if !folder.join("release").exists() {
        unpack_kernel(kernel, &folder)?;
    }
    let busybox = workspace::target("vm/busybox");
    if !busybox.exists() {
        unpack_busybox(&busybox)?;
    }
    let release = fs::read_to_string(folder.join("release")).context("read the kernel's release")?;
    Ok(Parts { release, kernel: folder.join("vmlinuz"), modules: folder.join("modules"), busybox })
}

fn unpack_kernel(kernel: Kernel, folder: &Path) -> Result<()> {
    step(&format!("fetching the kernel of Debian {}", kernel.suite));
    let work = Work::begin(folder)?;
    let root = work.folder("root");
    // Modules are in `lib` or in `usr/lib`: both are the same here.
    fs::create_dir_all(root.join("usr/lib")).context("create a folder for the kernel")?;
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).context("link lib")?;
    for archive in
        PrivateApt::new(work.folder("apt"), kernel.suite)?.download_family(KERNEL, KERNEL_PREFIX)?
    {
        extract(&archive, &root)?;
    }
    let release = only_entry(&root.join("lib/modules"))?;
    let modules = folder.join("modules");
    fs::create_dir_all(&modules).with_context(|| format!("create {}", modules.display()))?;
    keep_modules(&root, &release, &modules)?;
    let images = [format!("boot/vmlinuz-{release}"), format!("lib/modules/{release}/vmlinuz")];
    let image = images.iter().map(|image| root.join(image)).find(|image| image.exists());
    fs::rename(image.context("find the kernel in its package")?, folder.join("vmlinuz"))
        .context("keep the kernel")?;
    work.end()?;
    step(&format!("Linux {release} is ready"));
    fs::write(folder.join("release"), release).context("write down the kernel's release")
}

/// Copies the modules that are needed, and those that they need, in the order in which they can be loaded.
fn keep_modules(root: &Path, release: &str, folder: &Path) -> Result<()> {
    capture(Command::new("/sbin/depmod").arg("--basedir").arg(root).arg(release))?;
    let mut files: Vec<String> = Vec::new();
    for module in MODULES {
        let mut modprobe = Command::new("/sbin/modprobe");
        modprobe.arg("--dirname").arg(root).args(["--set-version", release, "--show-depends", module]);
        let said = capture(&mut modprobe)?;
        // Those that are in the kernel itself are told as `builtin`.
        for file in said.lines().filter_map(|line| line.strip_prefix("insmod ")) {
            let file = file.trim().to_owned();
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    for (number, file) in files.iter().enumerate() {
        keep_module(Path::new(file), folder, number).with_context(|| format!("keep {file}"))?;
    }
    Ok(())
}

/// Copies a module, decompressed.
fn keep_module(file: &Path, folder: &Path, number: usize) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let to = folder.join(format!("{number:02}-{name}"));
    fs::copy(file, &to)?;
    if to.extension().is_some_and(|extension| extension == "xz") {
        capture(Command::new("xz").arg("--decompress").arg(&to))?;
    }
    Ok(())
}

fn unpack_busybox(file: &Path) -> Result<()> {
    const SUITE: &str = "bookworm";
    step(&format!("fetching busybox of Debian {SUITE}"));
    let work = Work::begin(file)?;
    let archive = PrivateApt::new(work.folder("apt"), SUITE)?.download_alone("busybox-static")?;
    extract(&archive, &work.folder("root"))?;
    fs::rename(work.folder("root/bin/busybox"), file).context("keep busybox")?;
    work.end()
}

fn extract(archive: &Path, root: &Path) -> Result<()> {
    // Not --extract: that would put folders into the place of links.
    let script = r#"dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --directory "$2""#;
    fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))?;
    capture(Command::new("sh").args(["-c", script, "sh"]).args([archive, root])).map(drop)
}

fn only_entry(folder: &Path) -> Result<String> {
    let mut entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let entry = entries.next().with_context(|| format!("find anything in {}", folder.display()))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}
