//! `assign` on two levels: the groups whose representatives are nearest to an embedding, then the nearest of all
//! centroids of these groups.
//!
//! ```text
//! block of rows (n, D) i8 --products with representatives--> (n, G) i32 --best of each row--> (n, searched) groups
//!     group by group: its rows x its centroids --> merged, lane by lane, into the best products of each row
//! ```
//!
//! A block is so long that a group has enough rows to keep its centroids in L1, and so short that rows and their best
//! products stay in L2.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{Interleaved, Part, TOGETHER, interleave, lanes};
use crate::cpu::{
    aligned::AlignedVec,
    largest::{LEAST, largest},
    products::products,
};
use crate::groups::{Groups, SEARCHED};
use crate::{Isa, round_to_int8};
use rayon::prelude::*;
use std::cmp::Reverse;

/// Rows of a block.
const BLOCK_ROWS: usize = 2048;
/// Rows whose products with all representatives are stored at a time.
const FIRST_ROWS: usize = 64;

/// Centroids, interleaved group by group.
#[derive(Clone, Debug)]
pub(super) struct GroupedCentroids {
    representatives: Interleaved,
    /// `(panels, D / 4, lanes, 4) i8`: each group has whole pairs of panels, filled with copies of its last centroid.
    data: AlignedVec<i8>,
    /// Sum of each centroid's components, `(panels, lanes) i32`.
    sums: Vec<i32>,
    /// Code of each centroid, `(panels, lanes)`.
    codes: Vec<u32>,
    /// First centroid of each group, in `codes`, and the end of the last.
    starts: Vec<usize>,
}

/// A group, and the rows that are searched in it.
struct Search<'a> {
    part: Part<'a>,
    /// Code of each centroid.
    codes: &'a [u32],
    /// `(n, D) i8`.
    rows: &'a [i8],
    /// Numbers of the rows that are multiplied.
    picked: &'a [u32],
}

/// The best products so far of a row, lane by lane, and the codes that they are from. Bodies use as many lanes as a
/// register has.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Nearest16 {
    products: [i32; 16],
    codes: [u32; 16],
}

impl Nearest16 {
    const NONE: Self = Self { products: [i32::MIN; 16], codes: [i32::MAX as u32; 16] };

    /// Code of the best lane; among equals the lowest.
    fn code(self) -> u32 {
        let lanes = self.products.into_iter().zip(self.codes);
        lanes.max_by_key(|&(product, code)| (product, Reverse(code))).map(|(_, code)| code).expect("sixteen lanes")
    }
}

impl GroupedCentroids {
    /// Interleaves each group of `centroids (K, D) i8`.
    pub(super) fn new(isa: Isa, dim: usize, centroids: &[i8], groups: &Groups) -> Self {
        let lanes = lanes(isa);
        let (mut codes, mut starts) = (Vec::new(), vec![0]);
        for members in &groups.members {
            codes.extend_from_slice(members);
            let end = codes.len().next_multiple_of(lanes * TOGETHER);
            codes.resize(end, members.last().copied().unwrap_or_default());
            starts.push(end);
        }
        let row = |code: u32| &centroids[code as usize * dim..][..dim];
        let (mut data, mut sums) = (AlignedVec::zeros(codes.len() * dim), vec![0; codes.len()]);
        let panels = data.par_chunks_exact_mut(lanes * dim).zip(sums.par_chunks_exact_mut(lanes));
        panels.zip(codes.par_chunks_exact(lanes)).for_each(|((data, sums), codes)| {
            let rows = codes.iter().map(|&code| row(code));
            sums.iter_mut().zip(rows.clone()).for_each(|(sum, row)| *sum = row.iter().map(|&c| i32::from(c)).sum());
            interleave(lanes, rows, data);
        });
        let representatives = Interleaved::new(isa, dim, &groups.representatives);
        Self { representatives, data, sums, codes, starts }
    }

    /// Codes `(N) u32` of `embeddings (N, D) f32`.
    pub(super) fn assign(&self, isa: Isa, embeddings: &[f32]) -> Vec<u32> {
        let dim = self.representatives.dim;
        assert_eq!(
            self.representatives.isa, isa,
            "centroids are used with the instruction set that they were loaded for"
        );
        assert!(embeddings.len().is_multiple_of(dim), "whole embeddings of {dim}");
        let mut codes = vec![0u32; embeddings.len() / dim];
        assert!(codes.is_empty() || !self.codes.is_empty(), "no centroid to assign to");
        // Every thread has a block.
        let block = codes.len().div_ceil(rayon::current_num_threads()).clamp(1, BLOCK_ROWS);
        let blocks = codes.par_chunks_mut(block).zip(embeddings.par_chunks(block * dim));
        blocks.for_each(|(codes, embeddings)| {
            let mut rows = vec![0i8; embeddings.len()];
            for (x, row) in embeddings.chunks_exact(dim).zip(rows.chunks_exact_mut(dim)) {
                round_to_int8(x, row);
            }
            codes.iter_mut().zip(self.nearest(isa, &rows)).for_each(|(to, code)| *to = code);
        });
        codes
    }

    /// The code of each of `rows (n, D) i8`: the nearest centroid among the groups that are searched for it.
    fn nearest(&self, isa: Isa, rows: &[i8]) -> impl Iterator<Item = u32> {
        let mut best = vec![Nearest16::NONE; rows.len() / self.representatives.dim];
        for (group, picked) in self.rows_of_groups(isa, rows).iter().enumerate() {
            let (part, codes) = self.group(group);
            dispatch!(isa, &Search { part, codes, rows, picked }, &mut best);
        }
        best.into_iter().map(Nearest16::code)
    }

    /// Centroids of a group, and their codes.
    fn group(&self, group: usize) -> (Part<'_>, &[u32]) {
        let (start, end) = (self.starts[group], self.starts[group + 1]);
        let Interleaved { dim, lanes, .. } = self.representatives;
        let data = &self.data[start * dim..end * dim];
        (Part { dim, lanes, first: 0, data, sums: &self.sums[start..end] }, &self.codes[start..end])
    }

    /// Numbers of the rows for which each group is searched, ascending.
    fn rows_of_groups(&self, isa: Isa, rows: &[i8]) -> Vec<Vec<u32>> {
        let (dim, width, num) = (self.representatives.dim, self.representatives.sums.len(), self.starts.len() - 1);
        let mut rows_of = vec![Vec::new(); num];
        let (mut all, mut groups) = (vec![0i32; FIRST_ROWS * width], Vec::new());
        for (block, rows) in rows.chunks(FIRST_ROWS * dim).enumerate() {
            let all = &mut all[..rows.len() / dim * width];
            products(isa, rows, self.representatives.whole(), all);
            // Copies of the last representative, which fill its panels, are no groups.
            all.chunks_exact_mut(width).for_each(|products| products[num..].fill(LEAST));
            groups.clear();
            largest(isa, all, width, SEARCHED.min(num), &mut groups);
            for (row, groups) in groups.chunks_exact(SEARCHED.min(num)).enumerate() {
                let number = (block * FIRST_ROWS + row) as u32;
                groups.iter().for_each(|&group| rows_of[group as usize].push(number));
            }
        }
        rows_of
    }
}
