//! Probes by uprobe-multi links (Linux 6.6+): all sites of one meaning are one link.
//!
//! Against a perf event for each site a hit is about 30 ns cheaper, taking the probes away costs some 30 ms instead of
//! half a second, and `CAP_BPF` with `CAP_PERFMON` are enough: perf events of the uprobe kind ask for `CAP_SYS_ADMIN`.
//!
//! Such a link takes only programs that were loaded for it, which aya 0.14 can't do. So the programs are made here from
//! the same object, by aya's own object code: its maps are those that aya has made.
//!
//! Each is loaded once for every kind of site that it serves ([`Site::kind`]), which stands in it as a constant: so a hit
//! asks for no cookie (8 ns), and the verifier drops all that other kinds of sites need.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::{Function, Object};
use tracer_common::site::{Site, Unseen};

use super::{
    bpf::{self, bpf},
    uprobe::Target,
};
use crate::python::plan::ProbeSite;

const PROG_TYPE_KPROBE: u32 = 2;
/// `enum bpf_attach_type`: `BPF_TRACE_UPROBE_MULTI`.
const ATTACH_UPROBE_MULTI: u32 = 48;
/// The empty program of this kind is entered 15 ns faster; nothing here sleeps.
const BPF_F_SLEEPABLE: u32 = 1 << 4;

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` reads, up to the line information.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
    btf: u32,
    func_info_size: u32,
    func_info: u64,
    func_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    unused: u32,
}

/// The part of `union bpf_attr` that `BPF_BTF_LOAD` reads.
#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    btf: u64,
    log_buf: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    unused: u32,
}

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` reads for such a link.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    semaphores: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    unused: u32,
}

/// Programs that can be linked.
pub(super) struct Programs {
    object: Object,
    btf: Option<OwnedFd>,
    /// Instructions name them by descriptor.
    _maps: HashMap<String, OwnedFd>,
    /// By name and kind of site.
    loaded: HashMap<(&'static str, Site), OwnedFd>,
}

impl Programs {
    /// Takes the programs of an object. `globals` are values of its constants, `maps` its maps by name.
    ///
    /// # Errors
    /// What the kernel says, or that the object could not be put together.
    pub(super) fn of(
        object: &[u8],
        globals: &[(&'static str, Vec<u8>)],
        maps: HashMap<String, OwnedFd>,
    ) -> io::Result<Self> {
        let mut object = Object::parse(object).map_err(io::Error::other)?;
        let globals = globals.iter().map(|(name, value)| (*name, (value.as_slice(), true))).collect();
        object.patch_map_data(globals).map_err(io::Error::other)?;
        let btf = load_btf(&mut object)?;
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let own = std::mem::take(&mut object.maps);
        let known =
            own.iter().filter_map(|(name, map)| Some((name.as_str(), maps.get(name)?.as_raw_fd(), map)));
        object.relocate_maps(known, &text).map_err(io::Error::other)?;
        object.relocate_calls(&text).map_err(io::Error::other)?;
        Ok(Self { object, btf, _maps: maps, loaded: HashMap::new() })
    }

    /// The program of this name for one kind of site, loaded on first use.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn get(&mut self, name: &'static str, kind: Site) -> io::Result<&OwnedFd> {
        match self.loaded.entry((name, kind)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let program = self.object.programs.get(name);
                let program = program.ok_or_else(|| io::Error::other(format!("no program {name}")))?;
                let mut function = self.object.functions[&program.function_key()].clone();
                write_kind(&mut function, kind);
                Ok(new.insert(load_program(&function, &program.license, self.btf.as_ref())?))
            }
        }
    }
}

/// Writes the kind of site into a program, where it loads that.
fn write_kind(function: &mut Function, kind: Site) {
    /// A load of a constant of 64 bits; its second half is in the instruction that follows.
    const LOAD: u8 = 0x18;
    let unwritten = halves(Site::UNWRITTEN);
    let mut at = 0;
    while let Some([low, high]) = function.instructions.get_mut(at..at + 2) {
        if low.code == LOAD {
            if low.src_reg() == 0 && (low.imm, high.imm) == unwritten {
                (low.imm, high.imm) = halves(kind.0);
            }
            at += 1;
        }
        at += 1;
    }
}

fn halves(word: u64) -> (i32, i32) {
    (word as i32, (word >> 32) as i32)
}

/// Loads the object's type information, which callbacks need.
fn load_btf(object: &mut Object) -> io::Result<Option<OwnedFd>> {
    let Some(features) = aya::features().btf() else { return Ok(None) };
    let Some(btf) = object.fixup_and_sanitize_btf(features).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let bytes = btf.to_bytes();
    let load = BtfLoad { btf: bytes.as_ptr() as u64, btf_size: bytes.len() as u32, ..BtfLoad::default() };
    bpf(bpf::BTF_LOAD, &load).map(Some)
}

fn load_program(function: &Function, license: &CString, btf: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let func_info = function.func_info.func_info_bytes();
    let line_info = function.line_info.line_info_bytes();
    let mut load = ProgLoad {
        prog_type: PROG_TYPE_KPROBE,
        instruction_count: function.instructions.len() as u32,
        instructions: function.instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        flags: BPF_F_SLEEPABLE,
        expected_attach_type: ATTACH_UPROBE_MULTI,
        ..ProgLoad::default()
    };
    // The kernel keeps 15 characters of a name.
    for (to, from) in load.name[..15].iter_mut().zip(function.name.bytes()) {
        *to = from;
    }
    if let Some(btf) = btf {
        load.btf = btf.as_raw_fd() as u32;
        load.func_info_size = function.func_info_rec_size as u32;
        load.func_info = func_info.as_ptr() as u64;
        load.func_info_count = function.func_info.len() as u32;
        load.line_info_size = function.line_info_rec_size as u32;
        load.line_info = line_info.as_ptr() as u64;
        load.line_info_count = function.line_info.len() as u32;
    }
    bpf(bpf::PROG_LOAD, &load).map_err(|error| with_reason(load, error))
}

/// The error with what the kernel's verifier says, which it is asked for by trying once more.
fn with_reason(mut load: ProgLoad, error: io::Error) -> io::Error {
    const LOG_BYTES: u32 = 16 << 20;
    if error.raw_os_error() == Some(libc::EPERM) {
        return error;
    }
    let mut log = vec![0; LOG_BYTES as usize];
    (load.log_level, load.log_size, load.log_buf) = (1, LOG_BYTES, log.as_mut_ptr() as u64);
    if bpf(bpf::PROG_LOAD, &load).is_ok() {
        return error;
    }
    let text = log.split(|&byte| byte == 0).next().map(String::from_utf8_lossy).unwrap_or_default();
    log::debug!("the verifier: {text}");
    // The last line says how much it has read.
    let reason = text.lines().rev().find(|line| !line.is_empty() && !line.starts_with("processed "));
    match reason {
        Some(reason) => io::Error::other(format!("{error}: {reason}")),
        None => error,
    }
}

/// One site of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct MultiSite {
    /// Offset of the instruction in the file.
    pub(super) offset: u64,
    /// Offset of the semaphore in the file; 0: none.
    pub(super) semaphore: u64,
    /// What the program gets from `bpf_get_attach_cookie`.
    pub(super) cookie: u64,
}

impl MultiSite {
    /// A site of a plan, for the image of this index. `unseen`: of the plan.
    pub(super) fn of(site: &ProbeSite, image: u8, unseen: Unseen) -> Self {
        Self {
            offset: site.file_offset,
            semaphore: site.semaphore_offset.unwrap_or(0),
            cookie: site.cookie(image, unseen),
        }
    }
}

/// The sites of a link as the kernel takes them: by the same index what belongs to one site.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    /// Offsets of the instructions in the file.
    pub(super) offsets: &'a [u64],
    /// Offsets of the semaphores in the file; 0: none.
    pub(super) semaphores: &'a [u64],
    /// What the program gets from `bpf_get_attach_cookie`.
    pub(super) cookies: &'a [u64],
}

/// Hooks sites of one file. The probes go with the descriptor.
///
/// # Errors
/// As `bpf(2)` gives them.
pub(super) fn link(
    program: BorrowedFd<'_>,
    path: &Path,
    sites: &[MultiSite],
    target: Target,
) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let column = |field: fn(&MultiSite) -> u64| sites.iter().map(field).collect::<Vec<u64>>();
    let columns = Columns {
        offsets: &column(|site| site.offset),
        semaphores: &column(|site| site.semaphore),
        cookies: &column(|site| site.cookie),
    };
    link_columns(program, &path, columns, target)
}

/// The same, by system calls only.
///
/// # Errors
/// As `bpf(2)` gives them; `EINVAL`: the columns are not of one length.
pub(super) fn link_columns(
    program: BorrowedFd<'_>,
    path: &CStr,
    columns: Columns<'_>,
    target: Target,
) -> io::Result<OwnedFd> {
    let Columns { offsets, semaphores, cookies } = columns;
    if semaphores.len() != offsets.len() || cookies.len() != offsets.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let create = LinkCreate {
        program: program.as_raw_fd() as u32,
        target: 0,
        attach_type: ATTACH_UPROBE_MULTI,
        flags: 0,
        path: path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        semaphores: semaphores.as_ptr() as u64,
        cookies: cookies.as_ptr() as u64,
        count: offsets.len() as u32,
        multi_flags: 0,
        pid: match target {
            Target::Pid(pid) => pid,
            Target::All => 0,
        },
        unused: 0,
    };
    bpf(bpf::LINK_CREATE, &create)
}
