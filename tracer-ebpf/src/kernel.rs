//! Reading memory of the traced process and of the kernel.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::{
    bpf_get_current_task,
    generated::{bpf_probe_read_kernel, bpf_probe_read_user},
};

use crate::verifier::hidden;

/// Reads a value of the current process. `None`: not mapped, or not in memory right now.
#[inline(always)]
pub(crate) fn read_user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the source and writes at most the size of `value`.
    unsafe {
        let failed =
            bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _);
        if failed == 0 { Some(value.assume_init()) } else { None }
    }
}

/// Some words of the current process: one read costs as much as another, whatever its size.
pub(crate) struct Words([u64; WORDS]);

const WORDS: usize = 10;

impl Words {
    /// `None`: not mapped, or not in memory right now.
    #[inline(always)]
    pub(crate) fn read(address: u64) -> Option<Self> {
        read_user(address).map(Self)
    }

    /// The word that an offset lies in. `None`: behind the last.
    #[inline(always)]
    pub(crate) fn at(&self, offset: u16) -> Option<u64> {
        self.0.get(hidden(usize::from(offset >> 3))).copied()
    }
}

/// Reads kernel memory. `None`: not mapped.
#[inline(always)]
pub(crate) fn read_kernel<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the source and writes at most the size of `value`.
    unsafe {
        let failed =
            bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _);
        if failed == 0 { Some(value.assume_init()) } else { None }
    }
}

/// The number of a kernel pointer. The verifier allows no arithmetic on map pointers; read back from the stack
/// the same bits are a number.
#[inline(always)]
pub(crate) fn address_of<T>(pointer: *const T) -> Option<u64> {
    let slot = pointer;
    read_kernel::<u64>((&raw const slot) as u64)
}

/// Address of the current task's `task_struct`.
#[inline(always)]
pub(crate) fn current_task() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_task() }
}
