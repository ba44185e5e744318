//! Inverted lists of a segment: for each centroid the passages that have a token of its code, ascending, without
//! duplicates. Pids are relative to the first passage of the segment.
//!
//! In: the payload of a mapped lists file. Out: pids, decoded from the mapped bytes: a whole list at once, or
//! several lists in parallel, one range of pids after the other.
//!
//! # Coding
//!
//! A list is stored as its gaps, `g_i = pid_i - pid_(i-1) - 1` with `pid_(-1) = -1`, in Rice's code. The low bits of
//! all entries are stored apart from the high ones, as in Elias-Fano coding:
//!
//! ```text
//! remainder_i = g_i mod 2^b              b bits, one after the other
//! quotient_i  = g_i >> b                 in unary: `quotient_i` zero bits and a one bit
//! pid_i       = ((zero bits before one bit i) << b) + (sum of remainders 0 to i) + i
//! ```
//!
//! `b` is chosen for each list so that the list is shortest. Compared with Elias-Fano coding of the pids, this saves
//! about half a bit per entry at the same speed, because the quotients have `sum of (g_i >> b)` zero bits instead of
//! `pid >> b`. It saves more where neighbouring passages share a centroid. There is no random access within a list;
//! the search does not need it.
//!
//! # Payload
//!
//! | bytes | type | contents |
//! |---|---|---|
//! | 0..4 | u32 | number of lists, `K` |
//! | 4..8 | u32 | number of passages, `P` |
//! | 8..16 | u64 | bytes of the quotients |
//! | 16..24 | u64 | bytes of the remainders |
//! | 24..28 | u32 | number of lists that are not empty |
//! | 28..32 | | zero |
//! | 32.. | bits | quotients of all lists, one bit string without gaps, zero-padded to a multiple of 8 bytes |
//! | | bits | remainders likewise, then 8 zero bytes, so that any can be read with one 8-byte load |
//! | | | heads: for each list that is not empty the number of empty lists before it, its length `n`, `b` (one byte), and the number of zeros in its quotients |
//!
//! Bit strings start at the lowest bit of each byte; numbers in heads are LEB128, except `b`. The start of a list
//! follows from the heads before it, each of which stands for `n + zeros` bits of quotients and `n * b` bits of
//! remainders. A segment of a few passages has few lists that are not empty, so its file and its heads in memory are
//! small for any `K`.
//!
//! In format 2 the quotients begin at byte 24, and there is a head for every list: its length, which alone is stored
//! if it is 0, `b` and the number of zeros.

mod encode;
#[cfg(test)]
mod tests;

pub(crate) use encode::ListsEncoder;

use crate::bits::take_varint;
use bytes::Bytes;
use std::sync::Arc;

/// Size of the numbers before the quotients.
const PRELUDE_BYTES: usize = 32;

/// Size of these numbers in format 2.
const OLD_PRELUDE_BYTES: usize = 24;

/// Zero bytes after the remainders.
const PADDING_BYTES: usize = 8;

/// Largest number of low bits: gaps are below 2^32.
const MAX_LOW_BITS: u32 = 31;

/// Position and parameters of one list.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// First bit of the list's quotients.
    quotients_at: u64,
    /// First bit of the list's remainders.
    remainders_at: u64,
    /// Number of passages in the list.
    len: u32,
    /// Bits per remainder, `b`.
    low_bits: u32,
}

/// Number of lists per list that is not empty, from which on only these have a head in memory.
const SPARSE: usize = 4;

/// Heads by code.
#[derive(Clone, Debug)]
struct Heads {
    /// Codes of the lists that are not empty, ascending; `None` if every list has a head.
    codes: Option<Arc<[u32]>>,
    heads: Arc<[Head]>,
}

impl Heads {
    /// Head of the list of `code`; `None` if the list is empty or the code is out of range.
    #[inline]
    fn get(&self, code: u32) -> Option<&Head> {
        let at = match &self.codes {
            None => code as usize,
            Some(codes) => codes.binary_search(&code).ok()?,
        };
        self.heads.get(at)
    }
}

/// Inverted lists of one segment. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct InvertedLists {
    num_lists: usize,
    heads: Heads,
    quotients: Bytes,
    remainders: Bytes,
    num_passages: u32,
    num_entries: u64,
}

impl InvertedLists {
    /// Parses the heads, `O(K)` at most, and checks that all lists are inside the payload, which is in format 2 if it
    /// is `old`.
    pub(crate) fn parse(payload: &Bytes, old: bool) -> Result<Self, &'static str> {
        let prelude = if old { OLD_PRELUDE_BYTES } else { PRELUDE_BYTES };
        if payload.len() < prelude {
            return Err("too short for its prelude");
        }
        let u32_at = |at: usize| u32::from_le_bytes(payload[at..at + 4].try_into().expect("four bytes"));
        let usize_at = |at: usize| {
            let value = u64::from_le_bytes(payload[at..at + 8].try_into().expect("eight bytes"));
            usize::try_from(value).map_err(|_| "a part is larger than memory")
        };
        let (num_lists, num_passages) = (u32_at(0) as usize, u32_at(4));
        let remainders_at = prelude.checked_add(usize_at(8)?).ok_or("a part is larger than memory")?;
        let heads_at = remainders_at.checked_add(usize_at(16)?).ok_or("a part is larger than memory")?;
        if heads_at > payload.len() {
            return Err("its parts are larger than the payload");
        }
        let bytes = &payload[heads_at..];
        let (codes, parsed) = match old {
            true => (None, parse_old_heads(bytes, num_lists, num_passages)?),
            false => parse_heads(bytes, num_lists, u32_at(24) as usize, num_passages)?,
        };
        let lists = Self {
            num_lists,
            heads: Heads { codes: codes.map(Into::into), heads: parsed.heads.into() },
            quotients: payload.slice(prelude..remainders_at),
            remainders: payload.slice(remainders_at..heads_at),
            num_passages,
            num_entries: parsed.num_entries,
        };
        if lists.quotients.len() as u64 != parsed.quotients.div_ceil(64) * 8 {
            return Err("the quotients are not as long as the heads say");
        }
        if lists.remainders.len() as u64 != parsed.remainders.div_ceil(64) * 8 + PADDING_BYTES as u64 {
            return Err("the remainders are not as long as the heads say");
        }
        Ok(lists)
    }

    /// Number of lists, `K`.
    pub fn num_lists(&self) -> usize {
        self.num_lists
    }

    /// Number of passages of the segment, `P`.
    pub fn num_passages(&self) -> u32 {
        self.num_passages
    }

    /// Sum of the lengths of all lists.
    pub fn num_entries(&self) -> u64 {
        self.num_entries
    }

    /// Number of passages in the list of `code`; 0 for a code that is out of range.
    pub fn list_len(&self, code: u32) -> usize {
        self.heads.get(code).map_or(0, |head| head.len as usize)
    }

    /// Decodes the list of `code` into `pids`, ascending, replacing the contents.
    pub fn decode(&self, code: u32, pids: &mut Vec<u32>) {
        pids.clear();
        pids.reserve(self.list_len(code));
        self.for_each(code, |pid| pids.push(pid));
    }

    /// Calls `visit` for each passage of the list of `code`, ascending; every pid is below `P`.
    ///
    /// Corrupt bytes give other pids, or fewer of them, never a panic.
    #[inline]
    pub fn for_each(&self, code: u32, visit: impl FnMut(u32)) {
        self.visit(&mut self.cursor(code), self.num_passages, visit);
    }

    /// Cursor at the start of the list of `code`; at the end of an empty list if `code` is out of range.
    #[inline]
    pub fn cursor(&self, code: u32) -> Cursor {
        let head = self.heads.get(code).copied().unwrap_or_default();
        let (first, word_at) = (head.quotients_at, head.quotients_at / 64);
        let mut cursor = Cursor {
            word: if head.len == 0 { 0 } else { self.quotient_word(word_at).unwrap_or(0) & u64::MAX << (first % 64) },
            word_at,
            // With `p_i` the bit position of the i-th one, `p_i - first - i` zeros precede it in its list. So
            // `pid_i = (p_i << b) + sum_i` with `sum_i = (sum of remainders up to i) + i - (i << b) - (first << b)`.
            sum: (first << head.low_bits).wrapping_neg(),
            remainder_at: head.remainders_at,
            next: NONE,
            left: head.len,
            low_bits: head.low_bits,
        };
        self.advance(&mut cursor);
        cursor
    }

    /// Calls `visit` for each passage from `cursor` on that is below `end` and below `P`, ascending, and moves `cursor`
    /// past them. The cursor must come from [`InvertedLists::cursor`] of these lists. Corrupt bytes give other
    /// pids, or fewer of them, never a panic or a pid that is out of range.
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

    /// Moves `at` to the next passage.
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

    /// Quotient bits `64 number..64 number + 64`; `None` after the last.
    #[inline(always)]
    fn quotient_word(&self, number: u64) -> Option<u64> {
        let at = number as usize * 8;
        let bytes = self.quotients.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    /// Remainder bits from `bit` on, at least 57 of them; zeros after the last.
    #[inline(always)]
    fn remainder(&self, bit: u64) -> u64 {
        let at = (bit / 8) as usize;
        let bytes = self.remainders.get(at..at + 8).unwrap_or(&[0; 8]);
        u64::from_le_bytes(bytes.try_into().expect("eight bytes")) >> (bit % 8)
    }
}

/// Next passage of a cursor at the end of its list: above every pid.
const NONE: u64 = u64::MAX;

/// Position in one list of a segment, for [`InvertedLists::visit`]. A cursor has already decoded its next passage. When
/// many cursors are created in a row, the cache misses of their lists therefore overlap.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Unread quotient bits of word `word_at`.
    word: u64,
    word_at: u64,
    /// `sum_i` of [`InvertedLists::cursor`] for the pid after `next`, without the remainder of that pid.
    sum: u64,
    /// First bit of the remainder of the pid after `next`.
    remainder_at: u64,
    /// Next passage; [`NONE`] at the end of the list.
    next: u64,
    /// Number of passages after `next`.
    left: u32,
    low_bits: u32,
}

/// Heads as they are parsed, and the sums of what they stand for.
#[derive(Default)]
struct ParsedHeads {
    heads: Vec<Head>,
    /// Bits of all quotients so far.
    quotients: u64,
    /// Bits of all remainders so far.
    remainders: u64,
    num_entries: u64,
}

impl ParsedHeads {
    /// Takes a head off the front of `bytes`, and appends it with the position of its list; returns its length.
    fn push(&mut self, bytes: &mut &[u8], num_passages: u32) -> Result<u32, &'static str> {
        let (len, low_bits, zeros) = take_head(bytes, num_passages)?;
        self.heads.push(Head { quotients_at: self.quotients, remainders_at: self.remainders, len, low_bits });
        self.quotients = self.quotients.saturating_add(u64::from(len) + zeros);
        self.remainders = self.remainders.saturating_add(u64::from(len) * u64::from(low_bits));
        self.num_entries += u64::from(len);
        Ok(len)
    }
}

/// Parses the heads of the `num_full` lists that are not empty, of `num_lists` in all. Also returns their codes, unless
/// every list has got a head.
fn parse_heads(
    mut bytes: &[u8],
    num_lists: usize,
    num_full: usize,
    num_passages: u32,
) -> Result<(Option<Vec<u32>>, ParsedHeads), &'static str> {
    // A head has at least four bytes, which bounds the allocations for a corrupt number of lists.
    if num_full > bytes.len() / 4 {
        return Err("the heads end too early");
    }
    let is_sparse = num_full.saturating_mul(SPARSE) < num_lists;
    let mut codes = Vec::new();
    let mut parsed = ParsedHeads::default();
    // At most as many lists as bytes, if they are not sparse.
    parsed.heads.reserve_exact(if is_sparse { num_full } else { num_lists });
    let mut code = 0u64;
    for _ in 0..num_full {
        code = code.saturating_add(take_varint(&mut bytes).ok_or("the heads end too early")?);
        if code >= num_lists as u64 {
            return Err("a head is after the last list");
        }
        if is_sparse {
            codes.push(code as u32);
        } else {
            parsed.heads.resize(code as usize, Head::default());
        }
        if parsed.push(&mut bytes, num_passages)? == 0 {
            return Err("an empty list has a head");
        }
        code += 1;
    }
    if !bytes.is_empty() {
        return Err("bytes follow the heads");
    }
    if !is_sparse {
        parsed.heads.resize(num_lists, Head::default());
    }
    Ok((is_sparse.then_some(codes), parsed))
}

/// Parses the heads of format 2, one for each list.
fn parse_old_heads(mut bytes: &[u8], num_lists: usize, num_passages: u32) -> Result<ParsedHeads, &'static str> {
    // A head has at least one byte, which bounds the allocation for a corrupt number of lists.
    if num_lists > bytes.len() {
        return Err("the heads end too early");
    }
    let mut parsed = ParsedHeads::default();
    for _ in 0..num_lists {
        parsed.push(&mut bytes, num_passages)?;
    }
    if bytes.is_empty() { Ok(parsed) } else { Err("bytes follow the heads") }
}

/// Parses a head: length, low bits, number of zeros.
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
    let most = u64::from(num_passages).checked_sub(len).ok_or("a list is longer than there are passages")?;
    if low_bits > MAX_LOW_BITS || zeros > most >> low_bits {
        return Err("a list reaches beyond the last passage");
    }
    Ok((len as u32, low_bits, zeros))
}
