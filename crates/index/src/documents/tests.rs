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
