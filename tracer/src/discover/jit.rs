//! Is CPython's JIT compiler at work in a process? Calls inside of compiled code pass no hooked place.

use std::fs;

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jit {
    /// Switched off, or there is no sign of it.
    Off,
    /// Switched on.
    On,
    /// The process has machine code that is in no file: the JIT's, or some library's.
    Perhaps,
}

/// What can be told of a process whose interpreter has the compiler built in (`traits.jit`).
pub fn jit(pid: u32) -> Jit {
    match environment(pid) {
        Some(true) => Jit::On,
        // Some builds have it on by default.
        None if has_loose_code(&fs::read(format!("/proc/{pid}/maps")).unwrap_or_default()) => Jit::Perhaps,
        Some(false) | None => Jit::Off,
    }
}

/// Is the compiler switched on by the environment? False where that can't be read.
pub fn jit_active(pid: u32) -> bool {
    environment(pid) == Some(true)
}

/// What the environment that a process was started with says; `None`: nothing.
fn environment(pid: u32) -> Option<bool> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|&b| b == 0).find_map(|entry| entry.strip_prefix(b"PYTHON_JIT=")).map(|v| v != b"0")
}

/// Is there a mapping that can be executed and not written, and has no file?
fn has_loose_code(maps: &[u8]) -> bool {
    maps.split(|&b| b == b'\n').any(|line| {
        let mut fields = line.split(|&b| b == b' ').filter(|field| !field.is_empty());
        fields.nth(1) == Some(b"r-xp") && fields.nth(3).is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_code_without_a_file() {
        let file = b"00401000-00402000 r-xp 00001000 fe:00 1048      /usr/bin/python3.15\n".as_slice();
        let vdso = b"7ffd3000-7ffd4000 r-xp 00000000 00:00 0         [vdso]\n".as_slice();
        let heap = b"7f113000-7f114000 rw-p 00000000 00:00 0 \n".as_slice();
        let loose = b"7f113000-7f114000 r-xp 00000000 00:00 0 \n".as_slice();
        assert!(!has_loose_code(&[file, vdso, heap].concat()));
        assert!(has_loose_code(&[file, loose].concat()));
    }
}
