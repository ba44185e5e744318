//! Bit writer of the inverted lists, least significant bit first, and variable-length integers (LEB128).

/// Largest number of bits per push.
const MAX_BITS: u32 = 32;

/// Appends numbers of up to 32 bits to a byte string, least significant bit first.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    word: u64,
    filled: u32,
}

impl BitWriter {
    /// Appends the low `bits` bits of `value`; the bits above them must be zero.
    pub(crate) fn push(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= MAX_BITS && value >> bits == 0);
        self.word |= value << self.filled;
        self.filled += bits;
        if self.filled >= u64::BITS {
            self.bytes.extend_from_slice(&self.word.to_le_bytes());
            self.filled -= u64::BITS;
            self.word = value >> (bits - self.filled);
        }
    }

    /// Appends `zeros` zero bits and a one.
    pub(crate) fn push_unary(&mut self, mut zeros: u64) {
        while zeros >= u64::from(MAX_BITS) {
            self.push(0, MAX_BITS);
            zeros -= u64::from(MAX_BITS);
        }
        self.push(1 << zeros, zeros as u32 + 1);
    }

    /// Returns the bytes, padded with zero bits to a multiple of 8 bytes.
    pub(crate) fn into_words(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.extend_from_slice(&self.word.to_le_bytes());
        }
        self.bytes
    }
}

/// Appends a number in LEB128: 7 bits per byte, low bits first; all bytes but the last have the high bit set.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Takes a LEB128 number off the front of `bytes`; `None` if they end too early or the number exceeds 64 bits.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_that_do_not_end_or_fit_are_refused() {
        assert_eq!(take_varint(&mut &[][..]), None);
        assert_eq!(take_varint(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take_varint(&mut &[0xff; 12][..]), None);
        let mut bytes = [0xff; 10];
        bytes[9] = 1;
        assert_eq!(take_varint(&mut &bytes[..]), Some(u64::MAX));
        bytes[9] = 2;
        assert_eq!(take_varint(&mut &bytes[..]), None);
    }

    proptest! {
        #[test]
        fn varints_come_back(values: Vec<u64>, shift in 0u32..64) {
            let mut bytes = Vec::new();
            values.iter().for_each(|v| push_varint(&mut bytes, v >> shift));
            let mut rest = &bytes[..];
            for value in &values {
                prop_assert_eq!(take_varint(&mut rest), Some(value >> shift));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn bits_come_back(values in prop::collection::vec((0u64..1 << 32, 0u32..=32), 0..200)) {
            let mut writer = BitWriter::default();
            let mut expected = Vec::new();
            for &(value, bits) in &values {
                let value = value & ((1 << bits) - 1);
                writer.push(value, bits);
                expected.extend((0..bits).map(|b| value >> b & 1 == 1));
            }
            let bytes = writer.into_words();
            prop_assert_eq!(bytes.len(), expected.len().div_ceil(64) * 8);
            expected.resize(bytes.len() * 8, false);
            let found: Vec<bool> = (0..bytes.len() * 8).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
