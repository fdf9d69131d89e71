//! Reading machine code: bounded decoding, and which instructions a probe can stand on.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, InstructionInfoFactory, IntelFormatter,
    OpAccess, Register as Iced,
};
use tracer_common::site::Register;

use crate::python::elf::Elf;

/// Instructions from an address on, at most `limit`; ends at bytes that are none or at the segment's end.
pub(super) fn instructions(elf: &Elf, address: u64, limit: usize) -> impl Iterator<Item = Instruction> + '_ {
    let bytes = elf.bytes_from(address).filter(|_| elf.is_code(address)).unwrap_or_default();
    decode(bytes, address).take(limit)
}

/// Instructions of some bytes that stand at an address.
pub(super) fn decode(bytes: &[u8], address: u64) -> impl Iterator<Item = Instruction> + '_ {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    std::iter::from_fn(move || {
        let next = decoder.can_decode().then(|| decoder.decode())?;
        (!next.is_invalid()).then_some(next)
    })
}

/// Does every supported kernel emulate this instruction at a probe, rather than single-step it?
///
/// True of relative jumps and calls, `push` of a register and the one-byte `nop`. Prefixes other than REX.B before
/// `push` are left out: kernels refuse a probe on some (`cs`, `notrack`), and single-step longer `nop`s before 6.16.
pub(in crate::python) fn is_emulated(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x90 | 0x50..=0x57]
            | [0x41, 0x50..=0x57]
            | [0x70..=0x7f | 0xeb, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
    )
}

/// The same for a decoded instruction of an image.
pub(super) fn emulated(elf: &Elf, instruction: &Instruction) -> bool {
    elf.bytes_at(instruction.ip(), instruction.len()).is_some_and(is_emulated)
}

/// Does the path not go on to the next instruction?
pub(super) fn leaves(instruction: &Instruction) -> bool {
    !matches!(
        instruction.flow_control(),
        FlowControl::Next | FlowControl::ConditionalBranch | FlowControl::Call | FlowControl::IndirectCall
    )
}

/// Does the instruction change (part of) a register?
pub(super) fn writes(instruction: &Instruction, register: Iced) -> bool {
    let mut factory = InstructionInfoFactory::new();
    factory.info(instruction).used_registers().iter().any(|used| {
        used.register().full_register() == register
            && !matches!(
                used.access(),
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            )
    })
}

/// Does a called function leave the register as it was (System V calling convention)?
pub(super) fn survives_calls(register: Iced) -> bool {
    matches!(register, Iced::RBX | Iced::RBP | Iced::R12 | Iced::R13 | Iced::R14 | Iced::R15)
}

/// The register under our own number.
pub(super) fn register(of: Iced) -> Option<Register> {
    Some(match of {
        Iced::RAX => Register::Rax,
        Iced::RCX => Register::Rcx,
        Iced::RDX => Register::Rdx,
        Iced::RBX => Register::Rbx,
        Iced::RSP => Register::Rsp,
        Iced::RBP => Register::Rbp,
        Iced::RSI => Register::Rsi,
        Iced::RDI => Register::Rdi,
        Iced::R8 => Register::R8,
        Iced::R9 => Register::R9,
        Iced::R10 => Register::R10,
        Iced::R11 => Register::R11,
        Iced::R12 => Register::R12,
        Iced::R13 => Register::R13,
        Iced::R14 => Register::R14,
        Iced::R15 => Register::R15,
        _ => return None,
    })
}

/// The instruction in Intel's notation.
pub(super) fn text(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_branch_leading_zeros(false);
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_uppercase_hex(false);
    formatter.options_mut().set_show_branch_size(false);
    formatter.options_mut().set_space_after_operand_separator(true);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_old_kernels_emulate() {
        for good in ["90", "55", "4154", "7408", "eb10", "e800000000", "e900000000", "0f8401000000"] {
            assert!(is_emulated(&hex(good)), "{good}");
        }
        for bad in
            ["6690", "0f1f00", "2e90", "3e7408", "f2e900000000", "4889fb", "f30f1efa", "c3", "ffe1", "5b", ""]
        {
            assert!(!is_emulated(&hex(bad)), "{bad}");
        }
    }

    #[test]
    fn writes_to_part_of_a_register_count() {
        let decoded = |text: &str| decode(&hex(text), 0).next().expect("an instruction");
        assert!(writes(&decoded("88c3"), Iced::RBX)); // mov bl, al
        assert!(writes(&decoded("480f44d8"), Iced::RBX)); // cmove rbx, rax
        assert!(!writes(&decoded("4889d8"), Iced::RBX)); // mov rax, rbx
        assert!(!writes(&decoded("48894338"), Iced::RBX)); // mov [rbx+0x38], rax
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().map(|b| (b as char).to_digit(16).expect("hex") as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }
}
