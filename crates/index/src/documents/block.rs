//! Block sizes and directory entries.

/// Largest unpacked size of a block of ids with more than one document: small, because every result unpacks a whole
/// block to read one id, which takes microseconds.
pub(super) const ID_BLOCK_BYTES: usize = 4 << 10;

/// Largest unpacked size of a block of bodies with more than one document: large enough for zstd to exploit
/// similarities between texts.
pub(super) const BODY_BLOCK_BYTES: usize = 64 << 10;

/// Largest block, and hence largest document, in bytes: a directory entry stores its size in 32 bits.
pub(super) const BLOCK_LIMIT: usize = 1 << 31;

/// Compression level of zstd, its default: higher levels take much longer and save a few percent in blocks this small.
pub(super) const ZSTD_LEVEL: i32 = 3;

/// Size of a directory entry.
pub(super) const ENTRY_BYTES: usize = 24;

/// Size of the trailer at the end of the payload.
pub(super) const TRAILER_BYTES: usize = 16;

/// Directory entry: the position of a block and its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) start: u64,
    pub(super) bytes: u32,
    pub(super) unpacked_bytes: u32,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Block {
    /// Whether document `number` is in the block.
    pub(super) fn holds(&self, number: u32) -> bool {
        number.checked_sub(self.first).is_some_and(|after| after < self.count)
    }

    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.start.to_le_bytes());
        for (i, value) in [self.bytes, self.unpacked_bytes, self.first, self.count].into_iter().enumerate() {
            bytes[8 + 4 * i..12 + 4 * i].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let start = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Self { start, bytes: word(8), unpacked_bytes: word(12), first: word(16), count: word(20) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_entry_comes_back() {
        let block = Block { start: 1 << 40, bytes: 2, unpacked_bytes: 3 << 20, first: u32::MAX, count: 5 };
        assert_eq!(Block::from_bytes(&block.to_bytes()), block);
    }

    #[test]
    fn entries_are_frozen() {
        let block = Block { start: 0x0807_0605_0403_0201, bytes: 9, unpacked_bytes: 10, first: 11, count: 12 };
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0];
        assert_eq!(block.to_bytes(), expected);
    }
}
