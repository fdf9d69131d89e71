//! From an instruction or a code object to a function id. The id stands for the code object: addresses are used
//! again, so a known code object that is freed makes every cached answer invalid (see `probes::frame::code_freed`).

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    programs::ProbeContext,
};
use tracer_common::{
    layout::Layout,
    limits::INSTRUCTION_CACHE,
    record::{FunctionRecord, Header, flag, kind},
    site::Site,
    state::{CachedInstruction, Code, CodeKey, cached, total},
};

use crate::{
    aggregate::rows,
    globs,
    kernel::{Words, read_user},
    maps::{
        CODES, INSTRUCTIONS, LAYOUTS, RING, add_total, aggregating, atomic_add, filtering, generation,
        interpreter,
    },
    registers,
    ring::{count_loss, with_process},
    site, text,
    thread::now,
};

/// An answer of [`of_code`]: the ring buffer has no room for the function's names.
pub(crate) const NO_ROOM: u64 = 0;
/// An answer of [`of_code`]: not a code object.
pub(crate) const NOT_CODE: u64 = u64::MAX;
/// `CO_GENERATOR`, `CO_COROUTINE` and `CO_ASYNC_GENERATOR`.
const MAKES_GENERATORS: u32 = 0x20 | 0x80 | 0x200;
/// `FRAME_OWNED_BY_THREAD`.
const THREAD_OWNED: u8 = 0;
/// An answer of [`recall`]: nothing is cached.
const UNKNOWN: u64 = u64::MAX - 1;

/// Function id of an answer.
#[inline(always)]
pub(crate) fn id(answer: u64) -> u32 {
    (answer & (cached::FUNCTION_LIMIT - 1)) as u32
}

/// Does no glob match the function of this answer?
#[inline(always)]
pub(crate) fn is_unwanted(answer: u64) -> bool {
    answer & cached::UNWANTED != 0
}

/// The function that starts at a START site, as id and bits of [`cached`]; [`NO_ROOM`] or [`NOT_CODE`] if unknown.
#[inline(always)]
pub(crate) fn starting(ctx: &ProbeContext, site: Site, frame: u64, process: u32) -> u64 {
    let Some(instruction) = instruction(ctx, site) else {
        let thrown = site.thrown_register().map_or(0, |register| registers::read(ctx, register) as u32);
        let resumed = if thrown != 0 { cached::RESUMED } else { 0 };
        let answer = of_frame(frame, process, site::exact(ctx).0);
        return if answer == NOT_CODE || answer == NO_ROOM { answer } else { answer | resumed };
    };
    let known = recall(instruction, process);
    if known == UNKNOWN { learn(frame, instruction, process, site::exact(ctx).0) } else { known }
}

/// The instruction that a START site is about, where a register tells it.
#[inline(always)]
pub(crate) fn instruction(ctx: &ProbeContext, site: Site) -> Option<u64> {
    let register = site.instruction_register()?;
    Some(registers::read(ctx, register).wrapping_sub(site.instruction_delta() as u64))
}

/// The function of a frame that begins, where no register tells the instruction.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn of_frame(frame: u64, process: u32, site: u64) -> u64 {
    let Some(layout) = LAYOUTS.get_ptr(Site(site).image()) else { return NOT_CODE };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    if layout.frame_last_index != 0 {
        return of_frame_object(layout, frame, process, Site(site));
    }
    let Some(instruction) = read_user::<u64>(frame + u64::from(layout.frame_instruction)) else {
        return mismatch(process, Site(site));
    };
    let known = recall(instruction, process);
    if known == UNKNOWN { learn(frame, instruction, process, site) } else { known }
}

/// The same up to 3.10: what is cached is the code object.
#[inline(always)]
fn of_frame_object(layout: &Layout, frame: u64, process: u32, site: Site) -> u64 {
    let (Some(code), Some(last_index)) =
        (code_of(layout, frame), read_user::<i32>(frame + u64::from(layout.frame_last_index)))
    else {
        return mismatch(process, site);
    };
    let resumed = if last_index < 0 { 0 } else { cached::RESUMED };
    let known = recall(code, process);
    if known != UNKNOWN {
        return known | resumed;
    }
    let found = look_up(code, process, site, code, 0, generation());
    if found == NOT_CODE || found == NO_ROOM { found } else { found | resumed }
}

/// Looks an instruction up in the interpreter's memory and caches it.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn learn(frame: u64, instruction: u64, process: u32, site: u64) -> u64 {
    let site = Site(site);
    let generation = generation();
    let Some(layout) = LAYOUTS.get_ptr(site.image()) else { return NOT_CODE };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let (Some([opcode, argument]), Some(code)) = (read_user::<[u8; 2]>(instruction), code_of(layout, frame))
    else {
        return mismatch(process, site);
    };
    let at_handler = site.instruction_register().is_some();
    if at_handler && !site.accepts(opcode) {
        return mismatch(process, site);
    }
    let place = if at_handler || layout.resume_opcodes.contains(&opcode) {
        resume_place(layout, argument)
    } else {
        // The first instruction of a function. A generator is made by one, in a frame of the thread; it begins in a
        // frame of its own.
        let owner = read_user::<u8>(frame + u64::from(layout.frame_owner));
        let flags = read_user::<u32>(code + u64::from(layout.code_flags)).unwrap_or(0);
        if owner == Some(THREAD_OWNED) && flags & MAKES_GENERATORS != 0 { cached::IGNORED } else { 0 }
    };
    look_up(code, process, site, instruction, place, generation)
}

/// The function of a code object, with bits of [`cached`] that hold of `address`, under which the answer is cached.
/// `generation`: of before the code object was looked at.
#[inline(always)]
fn look_up(code: u64, process: u32, site: Site, address: u64, place: u64, generation: u64) -> u64 {
    let found = of_code(process, site.image(), code, now(), 0);
    if found == NOT_CODE {
        return mismatch(process, site);
    }
    if found == NO_ROOM {
        return NO_ROOM;
    }
    let answer = found & ((cached::FUNCTION_LIMIT - 1) | cached::UNWANTED) | place;
    remember(address, process, answer, generation);
    answer
}

/// What the argument of a RESUME says of where it stands, in bits of [`cached`].
#[inline(always)]
fn resume_place(layout: &Layout, argument: u8) -> u64 {
    match argument & layout.resume_mask {
        0 => 0,
        place if place == layout.resume_ignored => cached::RESUMED | cached::IGNORED,
        _ => cached::RESUMED,
    }
}

/// Fibonacci hashing; instructions are 2-byte aligned.
#[inline(always)]
fn cache_hash(key: u64) -> u64 {
    (key >> 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Where an answer may be cached: in the highest bits of the hash.
#[inline(always)]
fn cache_index(hash: u64) -> u32 {
    const BITS: u32 = INSTRUCTION_CACHE.trailing_zeros();
    (hash >> (64 - BITS)) as u32
}

/// What a cached value has above its lower half: it tells a value of another key, which two that write at the same time
/// may leave beside this one, and one of an earlier generation.
#[inline(always)]
fn cache_check(hash: u64, generation: u64) -> u64 {
    (hash ^ generation) << cached::CHECK_SHIFT
}

#[inline(always)]
fn cache_key(address: u64, process: u32) -> u64 {
    address | u64::from(process) << 48
}

/// What is cached of an instruction, or of a code object where instructions are not known; [`UNKNOWN`]: nothing.
#[inline(always)]
fn recall(address: u64, process: u32) -> u64 {
    let key = cache_key(address, process);
    let hash = cache_hash(key);
    let Some(entry) = INSTRUCTIONS.get_ptr_mut(cache_index(hash)) else { return UNKNOWN };
    // SAFETY: a live map value. Another thread may write it meanwhile: the value tells whether it is of this key.
    let (known, value) = unsafe {
        (ptr::read_volatile(&raw const (*entry).key), ptr::read_volatile(&raw const (*entry).value))
    };
    let answer = value ^ cache_check(hash, generation());
    if known == key && answer >> cached::CHECK_SHIFT == 0 { answer } else { UNKNOWN }
}

#[inline(always)]
fn remember(address: u64, process: u32, answer: u64, generation: u64) {
    let key = cache_key(address, process);
    let hash = cache_hash(key);
    if let Some(entry) = INSTRUCTIONS.get_ptr_mut(cache_index(hash)) {
        let entry: *mut CachedInstruction = entry;
        // SAFETY: a live map value, which others may read and write meanwhile.
        unsafe {
            ptr::write_volatile(&raw mut (*entry).value, answer ^ cache_check(hash, generation));
            ptr::write_volatile(&raw mut (*entry).key, key);
        }
    }
}

/// Counts a hit that is not what its site promises.
#[inline(always)]
pub(crate) fn mismatch(process: u32, site: Site) -> u64 {
    with_process(process, |process| {
        // SAFETY: a live map value, aligned to 8; of the sites any one will do.
        unsafe {
            atomic_add(&raw mut (*process).mismatches, 1);
            ptr::write_volatile(&raw mut (*process).mismatch_site, site.0);
        }
    });
    NOT_CODE
}

/// Does a frame execute a code object, as far as can be told? If not, that is counted.
#[inline(never)]
pub(crate) fn is_of_function(ctx: &ProbeContext, process: u32, frame: u64) -> bool {
    let site = site::exact(ctx);
    let (Some(layout), Some(interpreter)) = (LAYOUTS.get_ptr(site.image()), interpreter(process)) else {
        return true;
    };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let object_type = code_of(layout, frame).and_then(|code| read_user(code + u64::from(layout.object_type)));
    let is_code = interpreter.code_type == 0 || object_type == Some(interpreter.code_type);
    if !is_code {
        mismatch(process, site);
    }
    is_code
}

/// The code object that a frame executes, as the frame has it.
#[inline(always)]
pub(crate) fn code_of(layout: &Layout, frame: u64) -> Option<u64> {
    let code = read_user::<u64>(frame + u64::from(layout.frame_code))?;
    Some(code & !u64::from(layout.code_tag_mask))
}

/// The function of a code object: id and [`cached::UNWANTED`], or [`NO_ROOM`], [`NOT_CODE`].
///
/// `guard`: where no probe tells when a code object is freed, what is known of its address holds only while its
/// [`guard`] is what it was; elsewhere 0.
// Global: verified once, by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn of_code(process: u32, image: u32, code: u64, time_ns: u64, guard: u64) -> u64 {
    let Some(interpreter) = interpreter(process) else { return NOT_CODE };
    let key = CodeKey { code, process, space: interpreter.space };
    if let Some(known) = CODES.get_ptr(key) {
        // SAFETY: a live map value.
        let known = unsafe { *known };
        if guard == 0 || known.guard == guard {
            return u64::from(known.id) | if known.unwanted != 0 { cached::UNWANTED } else { 0 };
        }
    }
    introduce(key, image, interpreter.code_type, guard, time_ns)
}

/// A number that changes with a code object's names: of its line, the addresses of both strs, and what the interpreter
/// has computed of them (length and hash). 0: not readable.
// Global: verified once, by itself; and what it keeps on the stack is gone before [`of_code`] runs.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn guard(image: u32, code: u64) -> u64 {
    let Some(layout) = LAYOUTS.get_ptr(image) else { return 0 };
    // SAFETY: a live map value.
    guard_of(unsafe { &*layout }, code).unwrap_or(0)
}

#[inline(always)]
fn guard_of(layout: &Layout, code: u64) -> Option<u64> {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = |all: u64, part: u64| (all ^ part).wrapping_mul(ODD);
    // From the word of the line on: the strs stand behind it, within ten words in every version.
    let begin = layout.code_first_line & !7;
    let fields = Words::read(code + u64::from(begin))?;
    let name = fields.at(layout.code_name.wrapping_sub(begin))?;
    let file = fields.at(layout.code_file.wrapping_sub(begin))?;
    let line = (fields.at(layout.code_first_line - begin)? >> (8 * (layout.code_first_line & 7))) as u32;
    let mut all = mixed(mixed(u64::from(line) + 1, name), file);
    for object in [name, file] {
        let [length, hash] = read_user::<[u64; 2]>(object + u64::from(layout.str_length))?;
        all = mixed(mixed(all, length), hash);
    }
    Some(all | 1)
}

/// Sends a new function's names and gives it an id.
#[inline(always)]
fn introduce(key: CodeKey, image: u32, code_type: u64, guard: u64, time_ns: u64) -> u64 {
    let CodeKey { code, process, .. } = key;
    let Some(layout) = LAYOUTS.get_ptr(image) else { return NOT_CODE };
    // SAFETY: a live map value.
    let layout = unsafe { &*layout };
    let Some(object_type) = read_user::<u64>(code + u64::from(layout.object_type)) else { return NOT_CODE };
    if code_type != 0 && object_type != code_type {
        return NOT_CODE;
    }
    let name = read_user::<u64>(code + u64::from(layout.code_name));
    let line = read_user::<u32>(code + u64::from(layout.code_first_line));
    if line == Some(0) && name == read_user::<u64>(code + u64::from(layout.code_file)) {
        // The frame in which the interpreter calls `__init__` (3.13+): its code has one name for everything.
        return NOT_CODE;
    }
    if aggregating() {
        let (row, new) = rows::of_code(process, layout, code, line.unwrap_or(0));
        if new && matches!(send_function(process, layout, code, row, time_ns), Sent::NoRoom) {
            leave_name(process, layout, code, row, time_ns);
        }
        let _ = CODES.insert(key, Code { id: row, unwanted: 0, guard }, 0);
        return u64::from(row);
    }
    let id = (add_total(total::FUNCTIONS, 1) + 1) & (cached::FUNCTION_LIMIT - 1);
    let unwanted = match send_function(process, layout, code, id as u32, time_ns) {
        Sent::NoRoom => {
            count_loss(process);
            return NO_ROOM;
        }
        Sent::Yes => 0,
        Sent::Unwanted => 1,
    };
    let _ = CODES.insert(key, Code { id: id as u32, unwanted, guard }, 0);
    if unwanted != 0 { id | cached::UNWANTED } else { id }
}

enum Sent {
    Yes,
    /// No glob can match it: the loader need not know.
    Unwanted,
    NoRoom,
}

#[inline(always)]
fn send_function(process: u32, layout: &Layout, code: u64, id: u32, time_ns: u64) -> Sent {
    let Some(mut entry) = RING.reserve::<FunctionRecord>(0) else { return Sent::NoRoom };
    let record = entry.as_mut_ptr();
    let sure = describe(record, process, layout, code, id, time_ns);
    if filtering() && sure && !globs::may_match(record) {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Sent::Unwanted;
    }
    // Of those that may match the loader decides at once, so that few events of an unwanted one are sent before.
    let wakeup = if filtering() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    entry.submit(u64::from(wakeup));
    Sent::Yes
}

/// Leaves a function's names where the loader looks for them when it has time.
#[inline(always)]
fn leave_name(process: u32, layout: &Layout, code: u64, id: u32, time_ns: u64) {
    if let Some(record) = rows::waiting_name() {
        describe(record, process, layout, code, id, time_ns);
    }
}

/// Fills in a function's record. False: its names are cut, or not one byte a character.
#[inline(always)]
fn describe(
    record: *mut FunctionRecord,
    process: u32,
    layout: &Layout,
    code: u64,
    id: u32,
    time_ns: u64,
) -> bool {
    let field = |offset: u16| code + u64::from(offset);
    // SAFETY: the caller's record, in memory that nobody else uses; all fields that the loader reads are written.
    unsafe {
        (*record).header = Header { time_ns, value: id, thread: 0, kind: kind::FUNCTION, flags: 0 };
        (*record).code = code;
        (*record).process = process;
        (*record).first_line = read_user::<u32>(field(layout.code_first_line)).unwrap_or(0);
        (*record).code_flags = read_user::<u32>(field(layout.code_flags)).unwrap_or(0);
        (*record).pad = [0; 6];
        let name = read_user::<u64>(field(layout.code_name)).unwrap_or(0);
        let name = text::read_beginning(layout, name, &raw mut (*record).name);
        let file = read_user::<u64>(field(layout.code_file)).unwrap_or(0);
        let file = text::read_end(layout, file, &raw mut (*record).file);
        (*record).name_bytes = name.bytes;
        (*record).name_width = name.width;
        (*record).file_bytes = file.bytes;
        (*record).file_width = file.width;
        let flags = (name.cut * flag::NAME_CUT) | (file.cut * flag::FILE_CUT);
        (*record).header.flags = flags;
        flags | (name.width ^ 1) | (file.width ^ 1) == 0
    }
}

/// Forgets a code object that is being freed; cached answers become invalid if it was known.
#[inline(always)]
pub(crate) fn forget(process: u32, code: u64) {
    if let Some(interpreter) = interpreter(process)
        && CODES.remove(CodeKey { code, process, space: interpreter.space }).is_ok()
    {
        add_total(total::GENERATION, 1);
    }
}
