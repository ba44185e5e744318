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
fn codes_lie_in_little_endian_bit_order() {
    assert_eq!(pack_codes(&[0b101, 0b011, 0b111], 3)[..2], [0b1101_1101, 0b1]);
}

#[test]
#[should_panic(expected = "does not fit")]
fn a_code_too_wide_is_refused() {
    pack_codes(&[8], 3);
}

#[test]
fn scale_indices_by_halves_bytes_or_not_at_all() {
    let bytes = [0x21, 0x43];
    assert_eq!([0, 1, 2, 3].map(|t| read_scale(&bytes, 4, t)), [1, 2, 3, 4]);
    assert_eq!([0, 1].map(|t| read_scale(&bytes, 8, t)), [0x21, 0x43]);
    assert_eq!(read_scale(&[], 0, 5), 0);
    assert_eq!([0, 4, 8].map(|scale_bits| packed_scales_bytes(3, scale_bits)), [0, 2, 3]);
}
