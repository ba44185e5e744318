//! Ranking quality against judgments, by the definitions of trec_eval.
//!
//! | name | trec_eval | definition |
//! |---|---|---|
//! | nDCG@10 | `ndcg_cut_10` | sum of `grade / log2(rank + 1)` over the first 10, divided by that of the best ranking |
//! | MRR@10 | `recip_rank` of a run cut at 10 | `1 / rank` of the first relevant passage among the first 10, or 0 |
//! | Recall@100 | `recall_100` | share of the relevant passages that are among the first 100 |
//! | MAP | `map` | mean, over all relevant passages, of the precision at their rank, or 0 for one that is not found |
//! | success@k | `success_k` | 1 if a relevant passage is among the first k, or 0 |
//!
//! A grade below 0 counts as 0. A passage is relevant if its grade is above 0; relevant passages that are not in the
//! index count, too. Means run over the queries that have a judgment. Of these, a query without a relevant passage
//! counts as 0, as in trec_eval, and so does a query that finds nothing, as in `trec_eval -c`. A query without a
//! judgment, and judgments of other queries, are ignored.
//!
//! Rankings are not sorted again: passages of one score are in the order of the collection. trec_eval sorts a run by
//! score and then by id, descending; [`crate::trec`] writes runs that keep their order there.

use crate::qrels::Qrels;
use std::collections::{HashMap, HashSet};

/// Quality of one ranking, or the mean over queries; every measure is between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Quality {
    /// nDCG@10.
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: f64,
    /// MRR@10.
    #[serde(rename = "mrr@10")]
    pub mrr_10: f64,
    /// Recall@100.
    #[serde(rename = "recall@100")]
    pub recall_100: f64,
    /// Mean average precision of the whole ranking.
    #[serde(rename = "map")]
    pub map: f64,
    /// success@1.
    #[serde(rename = "success@1")]
    pub success_1: f64,
    /// success@5.
    #[serde(rename = "success@5")]
    pub success_5: f64,
    /// success@10.
    #[serde(rename = "success@10")]
    pub success_10: f64,
}

impl Quality {
    /// Computes the quality of a ranking (passage ids, best first) against the grades of its query by passage id.
    pub fn of<S: AsRef<str>>(ranking: &[S], grades: &HashMap<String, i32>) -> Self {
        let grade_of = |id: &S| grades.get(id.as_ref()).copied().unwrap_or(0);
        let relevant = grades.values().filter(|&&grade| grade > 0).count();
        if relevant == 0 {
            return Self::default();
        }
        // Ranks from 1 of the relevant passages that were found, ascending.
        let ranks: Vec<usize> = (1..).zip(ranking).filter(|(_, id)| grade_of(id) > 0).map(|(rank, _)| rank).collect();
        let within = |k: usize| ranks.iter().filter(|&&rank| rank <= k).count() as f64;
        let success = |k: usize| f64::from(u8::from(within(k) > 0.0));
        let mut best: Vec<i32> = grades.values().copied().collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        let precisions = (1..).zip(&ranks).map(|(found, &rank)| f64::from(found) / rank as f64);
        Self {
            ndcg_10: dcg(ranking.iter().take(10).map(grade_of)) / dcg(best.into_iter().take(10)),
            mrr_10: ranks.first().filter(|&&rank| rank <= 10).map_or(0.0, |&rank| 1.0 / rank as f64),
            recall_100: within(100) / relevant as f64,
            map: precisions.sum::<f64>() / relevant as f64,
            success_1: success(1),
            success_5: success(5),
            success_10: success(10),
        }
    }

    /// Adds two qualities, measure by measure.
    fn plus(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    /// Divides each measure by `count`.
    fn divided_by(self, count: f64) -> Self {
        self.each(self, |a, _| a / count)
    }

    fn each(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            ndcg_10: f(self.ndcg_10, other.ndcg_10),
            mrr_10: f(self.mrr_10, other.mrr_10),
            recall_100: f(self.recall_100, other.recall_100),
            map: f(self.map, other.map),
            success_1: f(self.success_1, other.success_1),
            success_5: f(self.success_5, other.success_5),
            success_10: f(self.success_10, other.success_10),
        }
    }
}

/// Returns the sum of the grades above 0, each divided by the base-2 logarithm of its rank plus 1.
fn dcg(grades: impl Iterator<Item = i32>) -> f64 {
    (2..).zip(grades).map(|(place, grade)| f64::from(grade.max(0)) / f64::from(place).log2()).sum()
}

impl Qrels {
    /// Counts the queries with a judgment, over which means run.
    pub fn num_judged<'a>(&self, query_ids: impl IntoIterator<Item = &'a String>) -> usize {
        query_ids.into_iter().filter(|query| self.of_query(query).is_some()).count()
    }

    /// Computes the mean quality of rankings (passage ids, best first), one for each query; zeros if no query is
    /// judged.
    pub fn quality<S: AsRef<str>>(&self, query_ids: &[String], rankings: &[Vec<S>]) -> Quality {
        let judged =
            query_ids.iter().zip(rankings).filter_map(|(query, ranking)| Some((ranking, self.of_query(query)?)));
        let (mut sum, mut count) = (Quality::default(), 0.0f64);
        for (ranking, grades) in judged {
            sum = sum.plus(Quality::of(ranking, grades));
            count += 1.0;
        }
        sum.divided_by(count.max(1.0))
    }
}

/// Computes the mean share of the first `k` of each ranking of `truth` that is among the first `k` of `found`; empty
/// rankings of `truth` are ignored.
pub fn overlap(found: &[Vec<u32>], truth: &[Vec<u32>], k: usize) -> f64 {
    let mut sum = 0.0;
    let mut queries = 0.0f64;
    for (found, truth) in found.iter().zip(truth).filter(|(_, truth)| !truth.is_empty()) {
        let found: HashSet<_> = found.iter().take(k).collect();
        let truth = &truth[..truth.len().min(k)];
        sum += truth.iter().filter(|pid| found.contains(pid)).count() as f64 / truth.len() as f64;
        queries += 1.0;
    }
    if queries > 0.0 { sum / queries } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(grades: &[(&str, i32)]) -> HashMap<String, i32> {
        grades.iter().map(|&(passage, grade)| (passage.to_owned(), grade)).collect()
    }

    /// Values computed by hand: grades 3, 2 and 1 exist; the ranking has the 2, an unjudged passage, and the 3.
    #[test]
    fn every_measure_by_hand() {
        let found = Quality::of(&["b", "x", "a"], &grades(&[("a", 3), ("b", 2), ("c", 1), ("d", 0)]));
        let dcg = 2.0 + 3.0 / 2.0;
        let ideal = 3.0 + 2.0 / 3f64.log2() + 1.0 / 2.0;
        assert!((found.ndcg_10 - dcg / ideal).abs() < 1e-12);
        assert!((found.recall_100 - 2.0 / 3.0).abs() < 1e-12);
        assert!((found.map - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert_eq!((found.mrr_10, found.success_1, found.success_5, found.success_10), (1.0, 1.0, 1.0, 1.0));
    }

    /// A relevant passage at the last rank of each cut-off, and at the rank after it.
    #[test]
    fn every_measure_is_cut_at_its_depth() {
        let at = |rank: usize| {
            let mut ranking: Vec<String> = (0..150).map(|i| format!("x{i}")).collect();
            ranking[rank - 1] = "a".into();
            Quality::of(&ranking, &grades(&[("a", 1)]))
        };
        assert!(at(10).ndcg_10 > 0.0 && at(11).ndcg_10 == 0.0);
        assert_eq!((at(10).mrr_10, at(11).mrr_10), (0.1, 0.0));
        assert_eq!((at(100).recall_100, at(101).recall_100), (1.0, 0.0));
        assert_eq!((at(1).success_1, at(2).success_1), (1.0, 0.0));
        assert_eq!((at(5).success_5, at(6).success_5), (1.0, 0.0));
        assert_eq!((at(10).success_10, at(11).success_10), (1.0, 0.0));
        assert_eq!(at(150).map, 1.0 / 150.0, "the whole ranking counts");
        // Of twelve passages of grade 1, ten fill the first ten ranks.
        let many: Vec<String> = (0..12).map(|i| format!("r{i}")).collect();
        let grades = many.iter().map(|id| (id.clone(), 1)).collect();
        assert_eq!(Quality::of(&many, &grades).ndcg_10, 1.0);
    }

    #[test]
    fn grades_below_zero_count_as_zero() {
        let with = Quality::of(&["bad", "a"], &grades(&[("bad", -2), ("a", 1), ("worse", -3)]));
        assert_eq!(with, Quality::of(&["x", "a"], &grades(&[("a", 1)])));
    }

    /// A query without a relevant passage and one that finds nothing count as 0; one without a judgment does not count.
    #[test]
    fn means_run_over_judged_queries() {
        let judged = [("q", "a", 1), ("none", "a", 0), ("negative", "a", -1), ("empty", "a", 1), ("not asked", "a", 1)];
        let judgment = |(query, passage, grade): (&str, &str, i32)| crate::qrels::Judgment {
            query: query.into(),
            passage: passage.into(),
            grade,
        };
        let qrels: Qrels = judged.into_iter().map(judgment).collect();
        let queries = ["q", "none", "negative", "empty", "not judged"].map(String::from);
        let found = ["a", "a", "a", "", "a"].map(|id| if id.is_empty() { Vec::new() } else { vec![id] });
        assert_eq!(qrels.num_judged(&queries), 4);
        let mean = qrels.quality(&queries, &found);
        assert_eq!(
            (mean.ndcg_10, mean.mrr_10, mean.recall_100, mean.map, mean.success_1),
            (0.25, 0.25, 0.25, 0.25, 0.25)
        );
        assert_eq!(qrels.quality(&queries[4..], &found[4..]), Quality::default());
    }

    #[test]
    fn overlap_counts_shared_results() {
        assert_eq!(overlap(&[vec![1, 2, 3]], &[vec![3, 1, 9]], 2), 0.5);
        assert_eq!(overlap(&[vec![1, 2, 3], vec![]], &[vec![3, 1, 9], vec![]], 3), 2.0 / 3.0);
    }
}
