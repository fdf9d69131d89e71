//! pytracer's kernel programs: entry points only. What they do is in `probes`, one file per family.
//!
//! No function is `#[cold]`: that puts it into a section of its own, and aya-obj 0.3 takes calls between sections for
//! calls of whatever stands at the same offset of the first one.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(clippy::needless_pass_by_value, reason = "the shape that aya's macros ask of an entry point")]

mod aggregate;
mod arrival;
mod chain;
mod function;
mod globs;
mod ids;
mod kernel;
mod maps;
mod mm;
mod probes;
mod registers;
mod ring;
mod running;
mod site;
mod stack;
mod text;
mod thread;
mod verifier;

use aya_ebpf::{
    macros::{btf_tracepoint, perf_event, uprobe},
    programs::{BtfTracePointContext, PerfEventContext, ProbeContext},
};

use self::verifier::keep_stack_of_thread;

/// A frame begins or is resumed.
#[uprobe]
fn frame_start(ctx: ProbeContext) -> u32 {
    keep_stack_of_thread();
    probes::frame::start(&ctx);
    0
}

/// A frame ends.
#[uprobe]
fn frame_end(ctx: ProbeContext) -> u32 {
    keep_stack_of_thread();
    probes::frame::end(&ctx);
    0
}

/// A generator or coroutine is suspended.
#[uprobe]
fn frame_yield(ctx: ProbeContext) -> u32 {
    keep_stack_of_thread();
    probes::frame::suspend(&ctx);
    0
}

/// An exception reached a frame.
#[uprobe]
fn frame_raise(ctx: ProbeContext) -> u32 {
    keep_stack_of_thread();
    probes::frame::raise(&ctx);
    0
}

/// A code object is freed.
#[uprobe]
fn code_freed(ctx: ProbeContext) -> u32 {
    keep_stack_of_thread();
    probes::frame::code_freed(&ctx);
    0
}

/// A frame begins or is resumed, in a process that is traced in windows.
#[uprobe]
fn window_start(ctx: ProbeContext) -> u32 {
    keep_stack_of_thread();
    probes::window::start(&ctx);
    0
}

/// Does nothing: what the bare trap costs.
#[uprobe]
fn empty(_ctx: ProbeContext) -> u32 {
    0
}

#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    probes::sched::switch(&ctx);
    0
}

#[btf_tracepoint(function = "rss_stat")]
fn rss_stat(ctx: BtfTracePointContext) -> i32 {
    probes::memory::rss_stat(&ctx);
    0
}

#[btf_tracepoint(function = "page_fault_user")]
fn page_fault_user(_ctx: BtfTracePointContext) -> i32 {
    probes::memory::page_fault();
    0
}

#[btf_tracepoint(function = "page_fault_kernel")]
fn page_fault_kernel(_ctx: BtfTracePointContext) -> i32 {
    probes::memory::page_fault();
    0
}

#[btf_tracepoint(function = "sched_wakeup_new")]
fn sched_wakeup_new(ctx: BtfTracePointContext) -> i32 {
    probes::process::fork(&ctx);
    0
}

#[btf_tracepoint(function = "sched_process_exec")]
fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    probes::process::exec(&ctx);
    0
}

/// Behind `sched_process_exec`.
#[btf_tracepoint(function = "sched_process_exec")]
fn wake_after_exec(_ctx: BtfTracePointContext) -> i32 {
    probes::process::wake_after_exec();
    0
}

#[btf_tracepoint(function = "sched_process_exit")]
fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    probes::process::exit(&ctx);
    0
}

/// Some time has passed on this CPU.
#[perf_event]
fn sample(ctx: PerfEventContext) -> u32 {
    probes::sample::tick(&ctx);
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier rejects any program in which this could be reached.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
