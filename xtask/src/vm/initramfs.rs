//! The file system that the kernel starts with: busybox, modules, and what is to be run.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{command::capture, setup::VmParts, workspace};

/// The first process.
const INIT: &str = include_str!("init.sh");

/// The search path of a command.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the archive of a machine that runs a command in the workspace. `folder`: for the work.
/// `seconds`: how long that may take.
pub(super) fn make(
    folder: &Path,
    parts: &VmParts,
    words: &[String],
    seconds: u64,
    archive: &Path,
) -> Result<()> {
    fs::create_dir_all(folder.join("bin")).context("create the folder of the initramfs")?;
    fs::create_dir_all(folder.join("modules")).context("create the folder of modules")?;
    fs::copy(&parts.busybox, folder.join("bin/busybox")).context("copy busybox")?;
    for module in fs::read_dir(&parts.modules).context("list the modules")? {
        let module = module?;
        fs::copy(module.path(), folder.join("modules").join(module.file_name())).context("copy a module")?;
    }
    let workspace = quoted(&workspace::root().display().to_string());
    write(&folder.join("init"), INIT)?;
    write(&folder.join("settings"), &format!("WORKSPACE={workspace}\nSECONDS_TO_DO={seconds}\n"))?;
    write(&folder.join("command"), &script(&workspace, words))?;
    let pack = r#"cd "$1" && find . | cpio --quiet --create --format=newc >"$2""#;
    capture(Command::new("sh").args(["-c", pack, "sh"]).args([folder, archive])).map(drop)
}

/// What the shell of the machine runs.
fn script(workspace: &str, words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!("cd {workspace}\nexec env -i HOME=/tmp TERM=dumb PATH={PATH} {}\n", words.join(" "))
}

/// A word as a shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("make it executable")
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use crate::command::capture;

    #[test]
    fn words_survive_the_shell() {
        let word = "it's \"$HOME\" \\ *\n";
        let mut shell = std::process::Command::new("sh");
        let said = capture(shell.args(["-c", &format!("printf %s {}", quoted(word))])).expect("a shell");
        assert_eq!(said, word);
    }
}
