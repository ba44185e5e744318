//! Reads facts from a CUBIN: a 64-bit little-endian ELF file, of which the table of sections is needed.

use crate::loops::{INSTRUCTION_BYTES, Loop, loops};
use std::ops::Range;

/// `EM_CUDA`, the machine of a CUBIN. A module of the emulated NVRTC is a library for the host's machine instead.
const MACHINE_CUDA: u64 = 190;
/// Mask of an instruction's opcode.
const OPCODE_BITS: u64 = 0xfff;
/// Opcode with which the compiler pads the end of a kernel.
const NOP: u64 = 0x918;

/// A compiled module.
#[derive(Clone, Copy)]
pub struct Cubin<'a>(pub &'a [u8]);

impl Cubin<'_> {
    /// Whether the module is for a GPU.
    pub fn is_for_gpu(self) -> bool {
        self.0.starts_with(b"\x7fELF\x02\x01") && self.number(0x12, 2) == Some(MACHINE_CUDA)
    }

    /// Number of a kernel's instructions, without the padding at its end.
    pub fn instructions(self, kernel: &str) -> Option<usize> {
        let code = self.code(kernel)?;
        let opcode = |at: &[u8]| u64::from_le_bytes(at[..8].try_into().expect("eight bytes")) & OPCODE_BITS;
        let last = code.chunks_exact(INSTRUCTION_BYTES).rposition(|instruction| opcode(instruction) != NOP);
        Some(last.map_or(0, |last| last + 1))
    }

    /// Loops of a kernel.
    pub fn loops(self, kernel: &str) -> Option<Vec<Loop>> {
        // The second byte of the ELF header's flags is the architecture: 90 for sm_90 and sm_90a.
        Some(loops(self.code(kernel)?, self.number(0x31, 1)?))
    }

    /// Full version of the compiler: 13.0.88.
    pub fn compiler(self) -> Option<String> {
        let note = String::from_utf8_lossy(self.0.get(self.section(".note.nv.tkinfo")?)?).into_owned();
        let (_, version) = note.split_once(", V")?;
        version.split(|c: char| !c.is_ascii_digit() && c != '.').next().map(str::to_owned)
    }

    fn code(&self, kernel: &str) -> Option<&[u8]> {
        self.0.get(self.section(&format!(".text.{kernel}"))?)
    }

    fn section(self, name: &str) -> Option<Range<usize>> {
        let (table, bytes) = (self.number(0x28, 8)? as usize, self.number(0x3a, 2)? as usize);
        let (number, of_names) = (self.number(0x3c, 2)? as usize, self.number(0x3e, 2)? as usize);
        let begin = |section: usize| self.number(table + section * bytes + 0x18, 8);
        let names = begin(of_names)? as usize;
        (0..number).find_map(|section| {
            let entry = table + section * bytes;
            let text = self.0.get(names + self.number(entry, 4)? as usize..)?;
            let named = text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0);
            let begin = begin(section)? as usize;
            named.then_some(begin..begin + self.number(entry + 0x20, 8)? as usize)
        })
    }

    fn number(self, at: usize, bytes: usize) -> Option<u64> {
        Some(self.0.get(at..at + bytes)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}
