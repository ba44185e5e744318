use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn codes_come_back(codes in prop::collection::vec(any::<u32>(), 0..200), code_bits in 0u32..=32) {
        let codes: Vec<u32> = codes.iter().map(|&c| (u64::from(c) & ((1u64 << code_bits) - 1)) as u32).collect();
        let bytes = pack_codes(&codes, code_bits);
        prop_assert_eq!(bytes.len(), packed_codes_bytes(codes.len(), code_bits));
        prop_assert!(bytes[bytes.len() - CODE_PADDING..].iter().all(|&b| b == 0));
        let reader = CodeReader::new(&bytes, code_bits);
        let back: Vec<u32> = (0..codes.len()).map(|i| reader.get(i)).collect();
        prop_assert_eq!(back, codes);
    }
}

#[test]
fn codes_are_in_little_endian_bit_order() {
    assert_eq!(pack_codes(&[0b101, 0b011, 0b111], 3)[..2], [0b1101_1101, 0b1]);
}

#[test]
#[should_panic(expected = "does not fit")]
fn a_code_too_wide_is_refused() {
    pack_codes(&[8], 3);
}

#[test]
fn a_weight_index_too_wide_is_refused() {
    assert!(std::panic::catch_unwind(|| pack_weights(&[16], 4)).is_err());
}

#[test]
fn weight_indices_are_in_the_same_order() {
    assert_eq!(pack_weights(&[1, 2, 3], 4), [0x21, 0x03]);
    assert_eq!(pack_weights(&[0x21, 0x43], 8), [0x21, 0x43]);
    assert_eq!(pack_weights(&[0b10001, 0b01110, 0b11111], 5), [0b1101_0001, 0b0111_1101]);
    assert_eq!(pack_weights(&[0, 0], 0), []);
    assert_eq!(read_weight(&[], 0, 5), 0);
    assert_eq!([0, 4, 5, 8].map(|weight_bits| packed_weights_bytes(3, weight_bits)), [0, 2, 2, 3]);
}

/// Worked by hand: a window's label from its bits, planes, and the ring's joint.
#[test]
fn labels_of_a_trellis() {
    // Windows of 0x9d, 0x01 at 2 bits: 1001_1101 -> 1101 ^ 1110 ^ 10 = 0001; the next byte is 1, so the window from
    // bit 6 on is 0000_0110 -> 0110 ^ 0011 ^ 00 = 0101. The first byte follows the last.
    let row = [0x9d, 0x01];
    assert_eq!(trellis_label(&row, 2, 0), 0b0001);
    assert_eq!(trellis_label(&row, 2, 6), 0b0101);
    // Bits 6.. of byte 1, then bits of byte 0: 0111_0100 -> 0100 ^ 1010 ^ 01 = 1111.
    assert_eq!(trellis_label(&row, 2, 7), 0b1111);
    // One byte at 1 bit is a ring of its own: from bit 7 on, 0011_1011 -> 1011 ^ 1101 ^ 0 = 0110.
    assert_eq!(trellis_label(&[0x9d], 1, 7), 0b0110);
}

proptest! {
    #[test]
    fn weight_indices_come_back(weights in prop::collection::vec(any::<u8>(), 0..70), weight_bits in 0u8..=8) {
        let weights: Vec<u8> = weights.iter().map(|&w| (u32::from(w) & ((1 << weight_bits) - 1)) as u8).collect();
        let bytes = pack_weights(&weights, weight_bits);
        prop_assert_eq!(bytes.len(), packed_weights_bytes(weights.len(), weight_bits));
        let back: Vec<u8> = (0..weights.len()).map(|t| read_weight(&bytes, weight_bits, t) as u8).collect();
        prop_assert_eq!(back, weights);
    }
}
