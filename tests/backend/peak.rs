//! The loops that `benches/support/limits.rs` and `benches/roof` time on a GPU: they copy and read every byte and
//! calculate as often as they report.

use crate::gpu;
use selvedge_backend::cuda::{Instruction, Work};

/// Copies of no byte, one 16-byte load, whole blocks and an odd number of loads; products by their sum.
#[test]
fn loops_of_the_peaks_do_all_their_work() {
    let Some(cuda) = gpu::cuda() else { return };
    for num in [0, 16, 4096, 16 * 300_001] {
        let data: Vec<u8> = (0..num).map(|i| (i * 7 + i / 251) as u8).collect();
        let peak = cuda.peak(&data).unwrap();
        peak.copy().unwrap();
        assert!(peak.copied().unwrap() == data, "{num} bytes");
    }
    let peak = cuda.peak(&[]).unwrap();
    let sum = |rounds| {
        peak.products(rounds).unwrap();
        peak.sum_of_products().unwrap()
    };
    assert_ne!(peak.expected_sum(), 0);
    assert_eq!(sum(3).wrapping_sub(sum(0)), peak.expected_sum().wrapping_mul(3));
    peak.multiply_adds(3).unwrap();
}

/// Pseudorandom bits, as kernels/peak.cu has them.
fn mixed(number: u32) -> u32 {
    let bits = number.wrapping_mul(0x9e37_79b1);
    let bits = (bits ^ bits >> 15).wrapping_mul(0x85eb_ca6b);
    bits ^ bits >> 13
}

/// Data that is made on the device, whole and in part, rows of each size, and one row.
#[test]
fn gathered_rows_are_read_once_for_each_index() {
    let Some(cuda) = gpu::cuda() else { return };
    let micro = cuda.micro(16 * 1003).unwrap();
    let words: Vec<u32> = (0..4 * 1003).map(mixed).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(micro.data().unwrap() == bytes);
    for (row_bytes, within) in [(16, 16), (32, 32), (32, 4096), (64, 999), (128, 16 * 1003)] {
        assert!(micro.seconds(Work::Gather { row_bytes, within, rounds: 2 }).unwrap() >= 0.0);
        let (row_words, num_rows) = (row_bytes / 4, within / row_bytes);
        let read = |thread: usize| {
            let (unit, first) = (thread % (row_words / 4), thread / (row_words / 4) * 8);
            let row = |load| ((u64::from(mixed((first + load) as u32)) * num_rows as u64) >> 32) as usize;
            let unit = |load| &words[row(load) * row_words + 4 * unit..][..4];
            (0..8).flat_map(unit).fold(0, |all, word| all ^ word)
        };
        let found = micro.words().unwrap();
        assert!(found.iter().enumerate().all(|(thread, &all)| all == read(thread)), "{row_bytes} within {within}");
    }
}

#[test]
fn chains_of_instructions_have_as_many_as_they_report() {
    let Some(cuda) = gpu::cuda() else { return };
    let micro = cuda.micro(0).unwrap();
    let dot = |x: u32, y: u32| {
        x.to_le_bytes().into_iter().zip(y.to_le_bytes()).map(|(x, y)| u32::from(x) * u32::from(y)).sum::<u32>()
    };
    for instruction in Instruction::ALL {
        let step = |x: u32, y: u32, z: u32| match instruction {
            Instruction::Lop3 => (x & y) ^ z,
            Instruction::Prmt => x >> 24 | (y & 0xff) << 8 | (x << 8 & 0x00ff_0000) | (y << 8 & 0xff00_0000),
            Instruction::Imad => x.wrapping_mul(y).wrapping_add(x),
            Instruction::Idp => dot(x, y).wrapping_add(x),
        };
        micro.seconds(Work::Integers(instruction, 3)).unwrap();
        let found = micro.words().unwrap();
        assert_eq!(micro.num_instructions(), found.len() * 8 * 8);
        for (thread, &all) in found.iter().enumerate() {
            let mut chains: [u32; 8] = std::array::from_fn(|chain| mixed((thread * 8 + chain) as u32));
            for at in 0..3 * 8 * 8 {
                let at = at % 8;
                chains[at] = step(chains[at], chains[(at + 1) % 8], chains[(at + 2) % 8]);
            }
            assert_eq!(all, chains.into_iter().fold(0, |all, chain| all ^ chain), "{} {thread}", instruction.name());
        }
    }
}
