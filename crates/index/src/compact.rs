//! The policy by which segments are merged.
//!
//! Segments belong to tiers by their size: tier 0 up to [`Policy::floor_tokens`], each further tier `fanout` times as
//! many. As soon as `fanout` neighbours are of a tier or below, and together of a higher one (or all of tier 0), they
//! are merged. A passage is therefore copied about once per tier, `log_fanout(tokens / floor_tokens)` times at most,
//! and an index that grows by additions of one size has at most `fanout - 1` segments per tier. Only neighbours are
//! merged, so that passages stay in the order in which they were added, by which ties in a ranking are broken. A
//! segment of which more than [`Policy::max_deleted`] is deleted is copied by itself.

use crate::manifest::SegmentEntry;
use std::ops::Range;

/// When segments are merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Number of neighbours of a tier that are merged, at least 2.
    pub fanout: usize,
    /// Number of tokens up to which a segment is of the lowest tier, at least 1.
    pub floor_tokens: u32,
    /// Number of tokens that a merged segment may have.
    pub max_tokens: u32,
    /// Largest share of deleted tokens of a segment that is left as it is.
    pub max_deleted: f64,
}

impl Policy {
    /// Places of the neighbours to merge next, ascending and without overlaps; none if all is well.
    pub fn plan(&self, segments: &[SegmentEntry]) -> Vec<Range<usize>> {
        let highest = segments.iter().map(|segment| self.tier(segment)).max().unwrap_or(0);
        let tokens = |run: &Range<usize>| segments[run.clone()].iter().map(|s| u64::from(s.num_alive_tokens())).sum();
        let merges = |tier| {
            let mut runs = self.runs(segments, |segment| self.tier(segment) <= tier, self.fanout);
            runs.retain(|run| tier == 0 || self.tier_of(tokens(run)) > tier);
            runs
        };
        let mut plan = (0..=highest).map(merges).find(|merges| !merges.is_empty()).unwrap_or_default();
        let is_thin = |segment: &SegmentEntry| {
            f64::from(segment.num_tokens - segment.num_alive_tokens())
                > self.max_deleted * f64::from(segment.num_tokens)
        };
        let thin = segments.iter().zip(0..).filter(|(segment, _)| is_thin(segment)).map(|(_, at)| at..at + 1);
        let thin: Vec<_> = thin.filter(|thin| plan.iter().all(|merge| !merge.contains(&thin.start))).collect();
        plan.extend(thin);
        plan.sort_unstable_by_key(|merge| merge.start);
        plan
    }

    /// Places of all neighbours that fit one segment, and of all segments with deleted passages or without columns of
    /// metadata. Merging them makes the index as small as it can be.
    pub fn plan_all(&self, segments: &[SegmentEntry]) -> Vec<Range<usize>> {
        let runs = self.runs(segments, |_| true, 1);
        let is_whole = |segment: &SegmentEntry| segment.deleted.is_none() && segment.columns.is_some();
        runs.into_iter().filter(|run| run.len() > 1 || !is_whole(&segments[run.start])).collect()
    }

    fn tier(&self, segment: &SegmentEntry) -> u32 {
        self.tier_of(segment.num_alive_tokens().into())
    }

    fn tier_of(&self, num_tokens: u64) -> u32 {
        let floors = num_tokens as f64 / f64::from(self.floor_tokens.max(1));
        if floors <= 1.0 { 0 } else { floors.log(self.fanout.max(2) as f64).ceil() as u32 }
    }

    /// Runs of neighbours that are `included`, of `least` segments or more, each with as many tokens as a segment may
    /// have.
    fn runs(
        &self,
        segments: &[SegmentEntry],
        included: impl Fn(&SegmentEntry) -> bool,
        least: usize,
    ) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut tokens = 0u64;
        for (at, segment) in segments.iter().enumerate() {
            let more = u64::from(segment.num_alive_tokens());
            let fits = tokens + more <= u64::from(self.max_tokens);
            match runs.last_mut().filter(|run| run.end == at && fits && included(segment)) {
                Some(run) => {
                    run.end = at + 1;
                    tokens += more;
                }
                None if included(segment) => {
                    runs.push(at..at + 1);
                    tokens = more;
                }
                None => {}
            }
        }
        runs.retain(|run| run.len() >= least);
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeletedEntry, FileEntry};

    const POLICY: Policy = Policy { fanout: 4, floor_tokens: 10, max_tokens: 2000, max_deleted: 0.25 };

    /// Segments with these numbers of tokens, of which some are deleted.
    fn segments(sizes: &[(u32, u32)]) -> Vec<SegmentEntry> {
        let file = FileEntry { bytes: 0, crc32: 0 };
        let segment = |&(num_tokens, deleted): &(u32, u32)| SegmentEntry {
            number: 0,
            count: num_tokens,
            num_tokens,
            residual: None,
            offsets: file,
            codes: file,
            residuals: file,
            weights: file,
            lists: file,
            documents: file,
            ids: file,
            columns: Some(file),
            words: None,
            deleted: (deleted > 0).then_some(DeletedEntry { number: 0, count: deleted, num_tokens: deleted, file }),
        };
        sizes.iter().map(segment).collect()
    }

    fn whole(sizes: &[u32]) -> Vec<SegmentEntry> {
        segments(&sizes.iter().map(|&size| (size, 0)).collect::<Vec<_>>())
    }

    #[test]
    fn neighbours_of_a_tier_are_merged() {
        assert_eq!(POLICY.plan(&whole(&[])), []);
        assert_eq!(POLICY.plan(&whole(&[1, 1, 1])), []);
        assert_eq!(POLICY.plan(&whole(&[500, 1, 9, 10, 1])), [1..5]);
        assert_eq!(POLICY.plan(&whole(&[500, 40, 11, 40, 1])), [1..5], "a lower tier among them");
        assert_eq!(POLICY.plan(&whole(&[1, 1, 500, 1, 1])), [], "not neighbours");
        assert_eq!(POLICY.plan(&whole(&[500, 500, 500, 500, 500])), [0..4], "as many as a segment may have");
    }

    #[test]
    fn segments_with_many_deleted_passages_are_copied() {
        assert_eq!(POLICY.plan(&segments(&[(100, 25), (100, 26), (100, 0)])), [1..2]);
        assert_eq!(POLICY.plan(&segments(&[(1, 0), (9, 8), (3, 2), (1, 0), (500, 400)])), [0..4, 4..5]);
        assert_eq!(
            POLICY.plan(&segments(&[(1, 0), (9, 8), (3, 2), (1, 0), (500, 499)])),
            [0..5],
            "all of the lowest tier"
        );
    }

    #[test]
    fn all_that_fits_is_merged_on_demand() {
        assert_eq!(POLICY.plan_all(&segments(&[(1500, 0), (400, 0), (200, 0), (1, 0)])), [0..2, 2..4]);
        assert_eq!(POLICY.plan_all(&segments(&[(1500, 0)])), []);
        assert_eq!(POLICY.plan_all(&segments(&[(1500, 1), (1900, 0)])), [0..1]);
        let mut old = whole(&[1500, 1900]);
        old[1].columns = None;
        assert_eq!(POLICY.plan_all(&old), [1..2], "a segment without columns");
    }

    /// 100,000 single additions: the number of segments stays below `fanout - 1` per tier, and each passage is copied
    /// about once per tier.
    #[test]
    fn single_additions_leave_few_segments_and_copy_little() {
        let policy = Policy { max_tokens: u32::MAX, ..POLICY };
        let (mut sizes, mut copied, mut most) = (Vec::new(), 0u64, 0);
        for _ in 0..100_000 {
            sizes.push(1);
            loop {
                let plan = policy.plan(&whole(&sizes));
                let Some(merge) = plan.first() else { break };
                let size: u32 = sizes[merge.clone()].iter().sum();
                copied += u64::from(size);
                sizes.splice(merge.clone(), [size]);
            }
            most = most.max(sizes.len());
        }
        let tiers = (100_000f64 / 10.0).log(4.0).ceil() as usize + 1;
        assert!(most <= tiers * 3, "{most} segments");
        assert!(copied <= 100_000 * (tiers as u64 + 3), "{copied} copies");
    }
}
