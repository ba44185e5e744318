//! Candidates compared with their definition in the hard cases: two blocks of passages, more query tokens than
//! marks, gains whose sum needs a shift, floors with ties.

#![allow(unreachable_pub)] // nothing imports a test crate

mod support;

use selvedge_backend::Probed;
use selvedge_index::{InvertedLists, RoaringBitmap};
use selvedge_search::candidates::{BLOCK_PASSAGES, Candidate, Kept, Scratch, gain_shift, gather};
use support::index;

const CENTROIDS: u32 = 128;
const PASSAGES: usize = BLOCK_PASSAGES + 1000;

/// Cells `(query_len, nprobe)` spread over the codes, with entries that descend from `top` by `step`. With `nprobe` 1,
/// all tokens but every 254th have the first cell, so that a passage meets the same mark twice in a row.
fn probed(query_len: usize, nprobe: usize, top: i32, step: i32) -> Probed {
    let cell = |at: usize| {
        let (i, rank) = (at / nprobe, at % nprobe);
        let spread = if nprobe == 1 { usize::from(i % 254 == 5) } else { i * 37 + rank * 11 };
        ((spread % CENTROIDS as usize) as u32, top - step * (rank + i % 5) as i32)
    };
    let missing = (0..query_len).map(|i| top - step * (nprobe + i % 5) as i32).collect();
    Probed { cells: (0..query_len * nprobe).map(cell).collect(), missing }
}

/// Candidates by their definition, one query token and one cell at a time.
fn naive(lists: &InvertedLists, probed: &Probed) -> Vec<Candidate> {
    let mut sums: Vec<Option<i32>> = vec![None; PASSAGES];
    let mut list = Vec::new();
    for (i, missing) in probed.missing.iter().enumerate() {
        let mut best: Vec<Option<i32>> = vec![None; PASSAGES];
        for &(code, entry) in probed.token(i) {
            lists.decode(code, &mut list);
            list.iter().for_each(|&pid| best[pid as usize] = best[pid as usize].max(Some(entry)));
        }
        for (sum, best) in sums.iter_mut().zip(best) {
            if let Some(best) = best {
                *sum = Some(sum.unwrap_or(0) + ((best - missing) >> gain_shift(probed)));
            }
        }
    }
    let candidate = |(pid, sum): (usize, Option<i32>)| Some(Candidate { pid: pid as u32, segment: 3, approx: sum? });
    sums.into_iter().enumerate().filter_map(candidate).collect()
}

#[test]
fn candidates_follow_their_definition() {
    let doclens: Vec<u32> = (0..PASSAGES as u32).map(|pid| pid % 3).collect();
    let (_dir, index) = index(&doclens, CENTROIDS as usize);
    let lists = &index.segments()[0].lists;
    let mut scratch = Scratch::default();
    let shapes = [(1, 4, 100, 7), (12, 8, 1 << 20, 1000), (600, 3, 1 << 22, 1 << 20), (255, 2, 5, 0), (520, 1, 9, 3)];
    let shifts = shapes.map(|shape| {
        let (query_len, nprobe, top, step) = shape;
        let probed = probed(query_len, nprobe, top, step);
        let mut best = |ndocs: usize, allowed: Option<&RoaringBitmap>| {
            let mut kept = Kept::new(ndocs);
            gather(&mut scratch, lists, PASSAGES, 3, &probed, allowed, &mut kept);
            kept.into_sorted()
        };
        let expected = naive(lists, &probed);
        assert!(!expected.is_empty() && best(PASSAGES, None) == expected, "{shape:?}");
        // Every second passage, and so few that each is looked up.
        let sets = [2, 50].map(|step| (1..PASSAGES as u32).step_by(step).collect::<RoaringBitmap>());
        for ndocs in [1, 20, 1000] {
            let first = |mut candidates: Vec<Candidate>| {
                candidates.sort_by_key(|c| (std::cmp::Reverse(c.approx), c.pid));
                candidates.truncate(ndocs);
                candidates.sort_by_key(|c| c.pid);
                candidates
            };
            assert!(best(ndocs, None) == first(expected.clone()), "{shape:?}, {ndocs}");
            for allowed in &sets {
                let expected = expected.iter().copied().filter(|c| allowed.contains(c.pid)).collect();
                assert!(best(ndocs, Some(allowed)) == first(expected), "{shape:?}, {ndocs} of {}", allowed.len());
            }
        }
        gain_shift(&probed)
    });
    assert!(shifts[0] == 0 && shifts[1] == 0 && shifts[2] > 0, "{shifts:?}: with and without a shift");
}
