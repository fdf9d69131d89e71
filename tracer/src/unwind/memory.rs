//! Memory of another process, read only.

use libc::{iovec, process_vm_readv};

/// Memory of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pid: libc::pid_t,
}

impl Memory {
    pub(super) fn of(pid: u32) -> Self {
        Self { pid: pid as libc::pid_t }
    }

    /// Fills all of `into`. `None`: not mapped, not allowed, or the process is gone.
    pub(super) fn read(self, address: u64, into: &mut [u8]) -> Option<()> {
        if into.is_empty() {
            return Some(());
        }
        let local = iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        let remote = iovec { iov_base: address as *mut _, iov_len: into.len() };
        // SAFETY: `local` is of memory that we may write; the kernel checks the other process's.
        let read = unsafe { process_vm_readv(self.pid, &raw const local, 1, &raw const remote, 1, 0) };
        (read == into.len() as isize).then_some(())
    }

    /// What is at several places, one after the other. `None`: not all of it can be read.
    pub(super) fn gather(self, parts: &[(u64, usize)]) -> Option<Vec<u8>> {
        let mut bytes = vec![0; parts.iter().map(|(_, length)| length).sum()];
        let mut rest = &mut bytes[..];
        for parts in parts.chunks(libc::UIO_MAXIOV as usize) {
            let length: usize = parts.iter().map(|(_, length)| length).sum();
            let (into, after) = rest.split_at_mut(length);
            rest = after;
            let local = iovec { iov_base: into.as_mut_ptr().cast(), iov_len: length };
            let remote: Vec<_> = parts
                .iter()
                .map(|&(address, iov_len)| iovec { iov_base: address as *mut _, iov_len })
                .collect();
            let count = remote.len() as libc::c_ulong;
            // SAFETY: `local` is of memory that we may write; the kernel checks the other process's.
            let read = unsafe { process_vm_readv(self.pid, &raw const local, 1, remote.as_ptr(), count, 0) };
            if read != length as isize {
                return None;
            }
        }
        Some(bytes)
    }

    /// The eight bytes at an offset from an address.
    pub(super) fn pointer(self, address: u64, offset: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address.checked_add(offset)?, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_nothing_else() {
        let value = [1_u64, 2, 3];
        let memory = Memory::of(std::process::id());
        let address = (&raw const value) as u64;
        assert_eq!(memory.pointer(address, 8), Some(2));
        assert_eq!(memory.gather(&[(address + 16, 1), (address, 8)]), Some(vec![3, 1, 0, 0, 0, 0, 0, 0, 0]));
        let many = vec![(address, 8); 3000];
        assert_eq!(memory.gather(&many).map(|bytes| bytes.len()), Some(24_000));
        assert_eq!(memory.gather(&[(address, 8), (0, 8)]), None);
        assert_eq!((memory.pointer(0, 8), memory.pointer(u64::MAX, 8)), (None, None));
        assert_eq!(Memory::of(u32::MAX >> 1).pointer(address, 0), None);
    }
}
