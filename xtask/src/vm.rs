//! A command under another kernel: a virtual machine that qemu emulates. It needs no privilege, and no virtualisation by
//! the processor.
//!
//! Its root is the host's own, read-only: interpreters, builds and test programs are the same in it, and nothing has to
//! be copied. What is written there, to `/tmp` for instance, is in memory and gone with the machine.

mod initramfs;
mod kernels;
pub(crate) mod tests;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;

pub(crate) use self::kernels::Kernel;
use crate::{
    command::step,
    setup::{self, VmParts},
    workspace,
};

/// Memory of a machine in MiB.
const MEMORY: &str = "2048";
/// Processors of a machine: what goes wrong between two of them is to be found, too.
const PROCESSORS: &str = "2";
/// What the kernel is told. Its clock is qemu's: how fast the processor's own counter runs it can't find out while the
/// host is busy, and all waits would end too early, or never.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off clocksource=hpet tsc=unstable";
/// What it is told besides, `preempt=full` for instance.
const PARAMETERS: &str = "PYTRACER_KERNEL_PARAMETERS";
/// What a machine has to start in, and to say why a command is not done in time.
const LATE: Duration = Duration::from_secs(30);
/// The exit status of a command that was not done in time, as that of `timeout`.
const TIMED_OUT: u8 = 124;

#[derive(Args)]
pub(crate) struct Options {
    /// The kernel: 6.1, 6.12, or sid for Debian's newest
    kernel: String,
    /// Give up after so many seconds, with exit status 124
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// What root runs there, in the workspace. This machine's files can be read, what it writes is lost
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command; its exit status is that of the task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let kernel = Kernel::named(&options.kernel)?;
    run_words(kernel, &options.command, options.seconds).map(ExitCode::from)
}

/// Runs a command, with what it says shown, and returns its exit status.
pub(crate) fn run_words(kernel: Kernel, words: &[String], seconds: u64) -> Result<u8> {
    let limit = Duration::from_secs(seconds);
    let (out, to_out) = io::pipe().context("make a pipe")?;
    let (errors, to_errors) = io::pipe().context("make a pipe")?;
    let machine = Machine::start(kernel, words, limit, to_out.into(), to_errors.into())?;
    let copies = [
        thread::spawn(move || io::copy(&mut &out, &mut io::stdout())),
        thread::spawn(move || io::copy(&mut &errors, &mut io::stderr())),
    ];
    let status = machine.wait();
    for copy in copies {
        // What can't be written has no reader.
        let _ = copy.join();
    }
    status
}

/// Runs a command to its end and returns what it says.
pub(crate) fn capture(kernel: Kernel, words: &[String], seconds: u64) -> Result<String> {
    let (mut out, to_out) = io::pipe().context("make a pipe")?;
    let machine =
        Machine::start(kernel, words, Duration::from_secs(seconds), to_out.into(), Stdio::inherit())?;
    let reader = thread::spawn(move || io::read_to_string(&mut out));
    let status = machine.wait()?;
    let said = reader.join().map_err(|_| anyhow!("reading from the virtual machine failed"))??;
    if status != 0 {
        bail!("{} ended with exit status {status} in the virtual machine", words.join(" "));
    }
    Ok(said)
}

/// A virtual machine that runs a command. It is ended with its value.
pub(crate) struct Machine {
    qemu: Child,
    end: Instant,
    folder: Folder,
}

impl Machine {
    /// Starts one, which runs a command in the workspace.
    pub(crate) fn start(
        kernel: Kernel,
        words: &[String],
        limit: Duration,
        out: Stdio,
        errors: Stdio,
    ) -> Result<Self> {
        let parts = setup::vm(kernel)?;
        let folder = Folder::create(kernel)?;
        let archive = folder.0.join("initramfs");
        initramfs::make(&folder.0.join("root"), &parts, words, limit.as_secs(), &archive)?;
        step(&format!("starting Linux {} in a virtual machine", parts.release));
        let mut qemu = qemu(&parts, &archive, &folder.0);
        let child = qemu.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().context("start qemu")?;
        Ok(Self { qemu: child, end: Instant::now() + limit + LATE, folder })
    }

    /// Waits for the end and returns the command's exit status, or [`TIMED_OUT`].
    pub(crate) fn wait(mut self) -> Result<u8> {
        while self.qemu.try_wait().context("wait for qemu")?.is_none() {
            if Instant::now() > self.end {
                step("the virtual machine has had its time, and is ended; the last lines of its console:");
                eprintln!("{}", self.last_of_console(300));
                return Ok(TIMED_OUT);
            }
            thread::sleep(Duration::from_millis(50));
        }
        let status = fs::read_to_string(self.folder.0.join("status")).unwrap_or_default();
        status.trim().parse().ok().with_context(|| {
            let last = self.last_of_console(80);
            format!("the virtual machine ended without a result; the last lines of its console:\n{last}")
        })
    }

    fn last_of_console(&self, count: usize) -> String {
        let console = fs::read(self.folder.0.join("console")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<_> = console.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It can only fail if qemu has ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn qemu(parts: &VmParts, archive: &Path, folder: &Path) -> Command {
    // It ends with this process, however that ends.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        .args(["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"])
        .args(["-smp", PROCESSORS, "-m", MEMORY])
        .arg("-kernel")
        .arg(&parts.kernel)
        .arg("-initrd")
        .arg(archive)
        .args(["-append", &format!("{COMMAND_LINE} {}", env::var(PARAMETERS).unwrap_or_default())])
        .args(["-fsdev", "local,id=host,path=/,readonly=on,security_model=none,multidevs=remap"])
        .args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host", "-device", "virtio-rng-pci"]);
    let serial = [
        ("console", folder.join("console")),
        ("out", PathBuf::from("/dev/stdout")),
        ("errors", PathBuf::from("/dev/stderr")),
        ("status", folder.join("status")),
    ];
    for (name, path) in serial {
        qemu.arg("-chardev").arg(format!("file,id={name},append=on,path={}", path.display()));
        qemu.arg("-serial").arg(format!("chardev:{name}"));
    }
    qemu
}

/// A folder for one machine, gone with its value.
struct Folder(PathBuf);

impl Folder {
    fn create(kernel: Kernel) -> Result<Self> {
        let folder = workspace::target("vm").join(format!("{}.{}", kernel.name, std::process::id()));
        if folder.exists() {
            bail!("there is {} already: remove it", folder.display());
        }
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is under `target`.
        let _ = fs::remove_dir_all(&self.0);
    }
}
