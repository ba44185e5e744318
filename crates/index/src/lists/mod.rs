//! The inverted lists of a segment: for each centroid the passages that have a token of its code,
//! ascending, each once, numbered from the segment's first.
//!
//! In: what a mapped lists file holds. Out: pids, list by list or many lists a piece at a time, straight from
//! the mapped bytes.
//!
//! # Coding
//!
//! A list is its gaps, `g_i = pid_i - pid_(i-1) - 1` with `pid_(-1) = -1`, in Rice's code with the low
//! bits of all entries apart from the high ones, as Elias and Fano do it:
//!
//! ```text
//! remainder_i = g_i mod 2^b              b bits, one after the other
//! quotient_i  = g_i >> b                 that many zero bits and a one
//! pid_i       = (zeros before the i-th one << b) + (sum of remainders up to i) + i
//! ```
//!
//! Against Elias-Fano over the pids this saves about half a bit an entry at the same speed (the
//! floor is taken of each gap), and it profits where neighbouring passages share a centroid; `b` is the
//! best for each list. What it gives up, random access within a list, nobody asks for.
//!
//! # Payload
//!
//! | bytes | type | what |
//! |---|---|---|
//! | 0..4 | u32 | lists, `K` |
//! | 4..8 | u32 | passages, `P` |
//! | 8..16 | u64 | bytes of the quotients |
//! | 16..24 | u64 | bytes of the remainders |
//! | 24.. | bits | quotients of all lists, one bit string without gaps, zero bits up to a multiple of 8 bytes |
//! | | bits | remainders likewise, then 8 zero bytes, so that any can be read with one 8-byte load |
//! | | | heads: for each list its length `n`; where that is not 0, `b` (one byte) and the zeros among its quotients |
//!
//! Bit strings start at the lowest bit of each byte; lengths and zeros are LEB128. Where a list starts
//! follows from the heads before it: `n + zeros` bits of quotients and `n * b` bits of remainders each.

mod encode;
#[cfg(test)]
mod tests;

pub(crate) use encode::ListsEncoder;

use crate::bits::take_varint;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes before the quotients.
const PRELUDE_BYTES: usize = 24;

/// Zero bytes behind the remainders.
const PADDING_BYTES: usize = 8;

/// Most low bits: gaps are below 2^32.
const MAX_LOW_BITS: u32 = 31;

/// Where a list lies and how it is coded.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// First bit of its quotients.
    quotients_at: u64,
    /// First bit of its remainders.
    remainders_at: u64,
    /// Passages in the list.
    len: u32,
    /// Bits of a remainder.
    low_bits: u32,
}

/// The inverted lists of one segment. Cloning is cheap: the bytes are shared.
#[derive(Clone, Debug)]
pub struct InvertedLists {
    heads: Arc<[Head]>,
    quotients: Bytes,
    remainders: Bytes,
    num_passages: u32,
    num_entries: u64,
}

impl InvertedLists {
    /// Reads the heads, `O(K)`, and checks that all lists lie inside the payload.
    pub(crate) fn parse(payload: &Bytes) -> Result<Self, &'static str> {
        if payload.len() < PRELUDE_BYTES {
            return Err("too short for its prelude");
        }
        let u32_at = |at: usize| u32::from_le_bytes(payload[at..at + 4].try_into().expect("four bytes"));
        let usize_at = |at: usize| {
            let value = u64::from_le_bytes(payload[at..at + 8].try_into().expect("eight bytes"));
            usize::try_from(value).map_err(|_| "a part is larger than memory")
        };
        let (num_lists, num_passages) = (u32_at(0), u32_at(4));
        let remainders_at = PRELUDE_BYTES.checked_add(usize_at(8)?).ok_or("a part is larger than memory")?;
        let heads_at = remainders_at.checked_add(usize_at(16)?).ok_or("a part is larger than memory")?;
        if heads_at > payload.len() {
            return Err("its parts are larger than the payload");
        }
        let mut lists = Self {
            heads: Arc::default(),
            quotients: payload.slice(PRELUDE_BYTES..remainders_at),
            remainders: payload.slice(remainders_at..heads_at),
            num_passages,
            num_entries: 0,
        };
        lists.parse_heads(num_lists as usize, &payload[heads_at..])?;
        Ok(lists)
    }

    /// Reads `num_lists` heads and derives where each list lies.
    fn parse_heads(&mut self, num_lists: usize, mut bytes: &[u8]) -> Result<(), &'static str> {
        // A head takes at least a byte, which bounds what a made-up number of lists can allocate.
        if num_lists > bytes.len() {
            return Err("the heads end too early");
        }
        let mut heads = Vec::with_capacity(num_lists);
        let (mut quotients_at, mut remainders_at) = (0u64, 0u64);
        for _ in 0..num_lists {
            let (len, low_bits, zeros) = take_head(&mut bytes, self.num_passages)?;
            heads.push(Head { quotients_at, remainders_at, len, low_bits });
            quotients_at += u64::from(len) + zeros;
            remainders_at += u64::from(len) * u64::from(low_bits);
            self.num_entries += u64::from(len);
        }
        if !bytes.is_empty() {
            return Err("bytes follow the heads");
        }
        if self.quotients.len() as u64 != quotients_at.div_ceil(64) * 8 {
            return Err("the quotients are not as long as the heads say");
        }
        if self.remainders.len() as u64 != remainders_at.div_ceil(64) * 8 + PADDING_BYTES as u64 {
            return Err("the remainders are not as long as the heads say");
        }
        self.heads = heads.into();
        Ok(())
    }

    /// Number of lists, `K`.
    pub fn num_lists(&self) -> usize {
        self.heads.len()
    }

    /// Number of passages of the segment, `P`.
    pub fn num_passages(&self) -> u32 {
        self.num_passages
    }

    /// Passages in all lists together.
    pub fn num_entries(&self) -> u64 {
        self.num_entries
    }

    /// Passages in the list of `code`; 0 for a code that there is no list for.
    pub fn list_len(&self, code: u32) -> usize {
        self.heads.get(code as usize).map_or(0, |head| head.len as usize)
    }

    /// Replaces `pids` by the list of `code`, ascending.
    pub fn decode(&self, code: u32, pids: &mut Vec<u32>) {
        pids.clear();
        pids.reserve(self.list_len(code));
        self.for_each(code, |pid| pids.push(pid));
    }

    /// Hands each passage of the list of `code` to `visit`, ascending; every pid is below `P`.
    ///
    /// Bytes that no writer made give other pids, or fewer of them, and never a panic.
    #[inline]
    pub fn for_each(&self, code: u32, visit: impl FnMut(u32)) {
        self.visit(&mut self.cursor(code), self.num_passages, visit);
    }

    /// The start of the list of `code`; that of an empty list for a code that there is no list for.
    #[inline]
    pub fn cursor(&self, code: u32) -> Cursor {
        let head = self.heads.get(code as usize).copied().unwrap_or_default();
        let (first, word_at) = (head.quotients_at, head.quotients_at / 64);
        let mut cursor = Cursor {
            word: if head.len == 0 { 0 } else { self.quotient_word(word_at).unwrap_or(0) & u64::MAX << (first % 64) },
            word_at,
            // All that `pid_i` needs besides its own zeros: the sum of remainders, and `i - (i << b)`, since zeros
            // are counted as bits before the one less the ones before it; and the bits before the list's first.
            sum: (first << head.low_bits).wrapping_neg(),
            remainder_at: head.remainders_at,
            next: NONE,
            left: head.len,
            low_bits: head.low_bits,
        };
        self.advance(&mut cursor);
        cursor
    }

    /// Hands the passages from `cursor` on that are below `end`, and below `P`, to `visit`, ascending, and moves
    /// `cursor` behind them. The cursor is one of these lists'; bytes that no writer made give other pids, or fewer of
    /// them, and never a panic.
    #[inline]
    pub fn visit(&self, cursor: &mut Cursor, end: u32, mut visit: impl FnMut(u32)) {
        let end = u64::from(end.min(self.num_passages));
        let mut at = *cursor;
        while at.next < end {
            visit(at.next as u32);
            self.advance(&mut at);
        }
        *cursor = at;
    }

    /// Moves `at` by one passage.
    #[inline(always)]
    fn advance(&self, at: &mut Cursor) {
        at.next = NONE;
        if at.left == 0 {
            return;
        }
        while at.word == 0 {
            at.word_at += 1;
            let Some(word) = self.quotient_word(at.word_at) else { return };
            at.word = word;
        }
        let zeros = (at.word_at * 64 + u64::from(at.word.trailing_zeros())) << at.low_bits;
        at.sum = at.sum.wrapping_add(self.remainder(at.remainder_at) & ((1 << at.low_bits) - 1));
        at.next = zeros.wrapping_add(at.sum);
        at.sum = at.sum.wrapping_add(1u64.wrapping_sub(1 << at.low_bits));
        at.word &= at.word - 1;
        at.remainder_at += u64::from(at.low_bits);
        at.left -= 1;
    }

    /// Quotient bits `64 number..64 number + 64`; none behind the last.
    #[inline(always)]
    fn quotient_word(&self, number: u64) -> Option<u64> {
        let at = number as usize * 8;
        let bytes = self.quotients.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    /// Remainder bits from `bit` on, at least 57 of them, zeros behind the last.
    #[inline(always)]
    fn remainder(&self, bit: u64) -> u64 {
        let at = (bit / 8) as usize;
        let bytes = self.remainders.get(at..at + 8).unwrap_or(&[0; 8]);
        u64::from_le_bytes(bytes.try_into().expect("eight bytes")) >> (bit % 8)
    }
}

/// No passage: what a cursor at the end of its list comes to next.
const NONE: u64 = u64::MAX;

/// A place in one of a segment's lists, see [`InvertedLists::visit`]. It holds the passage that comes next, so that making many
/// cursors at once waits for the first bytes of many lists at once.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Quotient bits of word `word_at` that were not read.
    word: u64,
    word_at: u64,
    /// What the pid behind the next one is besides its quotient bits' place and its remainder.
    sum: u64,
    /// First bit of that pid's remainder.
    remainder_at: u64,
    /// The passage that comes next.
    next: u64,
    /// Passages behind it.
    left: u32,
    low_bits: u32,
}

/// Reads a head: length, low bits, zeros.
fn take_head(bytes: &mut &[u8], num_passages: u32) -> Result<(u32, u32, u64), &'static str> {
    let early = "the heads end too early";
    let len = take_varint(bytes).ok_or(early)?;
    if len == 0 {
        return Ok((0, 0, 0));
    }
    let (&low_bits, rest) = bytes.split_first().ok_or(early)?;
    *bytes = rest;
    let zeros = take_varint(bytes).ok_or(early)?;
    let low_bits = u32::from(low_bits);
    // Gaps of `len` passages below `P` add up to at most `P - len`.
    let room = u64::from(num_passages).checked_sub(len).ok_or("a list is longer than there are passages")?;
    if low_bits > MAX_LOW_BITS || zeros > room >> low_bits {
        return Err("a list reaches beyond the last passage");
    }
    Ok((len as u32, low_bits, zeros))
}
