//! The loops that `benches/support/limits.rs` times on a GPU: they copy every byte and multiply as often as they
//! report.

use crate::gpu;

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
