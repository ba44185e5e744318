//! Ranking quality against judgments, as trec_eval defines it.
//!
//! - nDCG@k: gain is the grade (negative grades count as 0), discount `1 / log2(rank + 1)`, divided by the best
//!   possible.
//! - MRR@k: `1 / rank` of the first passage with a grade above 0, if among the first k.
//! - Recall@k: share of the passages with a grade above 0 that are among the first k.
//!
//! Means run over the queries that have at least one passage with a grade above 0.

use crate::lines::Lines;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// Grades of passages, by query id and pid.
#[derive(Clone, Debug, Default)]
pub struct Qrels {
    grades: HashMap<String, HashMap<String, i32>>,
}

/// Means over the judged queries.
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
}

impl Qrels {
    /// Reads `query passage grade` or TREC's `query 0 passage grade`, separated by tabs or spaces.
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::open(path)?;
        let mut qrels = Self::default();
        loop {
            let Some(line) = lines.next()? else { break };
            let parsed = parse(line).map(|(q, p, g)| (q.to_owned(), p.to_owned(), g));
            let (query, passage, grade) = parsed.map_err(|reason| lines.error(reason))?;
            qrels.grades.entry(query).or_default().insert(passage, grade);
        }
        if qrels.grades.is_empty() {
            return Err(Error::EmptyCollection { path: path.into() });
        }
        Ok(qrels)
    }

    /// Number of queries that count.
    pub fn num_judged<'a>(&self, query_ids: impl Iterator<Item = &'a String>) -> usize {
        query_ids.filter(|q| self.relevant(q).is_some()).count()
    }

    /// Quality of rankings (passage ids, best first).
    pub fn quality(&self, query_ids: &[String], rankings: &[Vec<String>]) -> Quality {
        let mut sum = Quality::default();
        let mut judged = 0.0f64;
        for (query, ranking) in query_ids.iter().zip(rankings) {
            let Some(grades) = self.relevant(query) else { continue };
            judged += 1.0;
            let grade = |id: &String| f64::from(grades.get(id).copied().unwrap_or(0).max(0));
            let dcg = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
                gains.take(10).enumerate().map(|(rank, gain)| gain / (rank as f64 + 2.0).log2()).sum()
            };
            let mut ideal: Vec<f64> = grades.values().map(|&g| f64::from(g.max(0))).collect();
            ideal.sort_by(|a, b| b.total_cmp(a));
            sum.ndcg_10 += dcg(&mut ranking.iter().map(grade)) / dcg(&mut ideal.iter().copied());
            let first = ranking.iter().take(10).position(|id| grade(id) > 0.0);
            sum.mrr_10 += first.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0));
            let relevant = ideal.iter().filter(|&&g| g > 0.0).count() as f64;
            sum.recall_100 += ranking.iter().take(100).filter(|id| grade(id) > 0.0).count() as f64 / relevant;
        }
        let mean = |x: f64| if judged > 0.0 { x / judged } else { 0.0 };
        Quality { ndcg_10: mean(sum.ndcg_10), mrr_10: mean(sum.mrr_10), recall_100: mean(sum.recall_100) }
    }

    fn relevant(&self, query: &str) -> Option<&HashMap<String, i32>> {
        self.grades.get(query).filter(|grades| grades.values().any(|&g| g > 0))
    }
}

fn parse(line: &str) -> Result<(&str, &str, i32), String> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (query, passage, grade) = match columns.as_slice() {
        [q, p, g] | [q, _, p, g] => (*q, *p, *g),
        _ => return Err(format!("expected query, passage and grade, found {} columns", columns.len())),
    };
    let grade = grade.parse::<f64>().map_err(|_| format!("the grade {grade} is not a number"))?;
    Ok((query, passage, grade as i32))
}

/// Mean share of the first `k` of each of `truth` that is among the first `k` of `found`.
pub fn overlap(found: &[Vec<u32>], truth: &[Vec<u32>], k: usize) -> f64 {
    let mut sum = 0.0;
    let mut queries = 0.0f64;
    for (found, truth) in found.iter().zip(truth).filter(|(_, truth)| !truth.is_empty()) {
        let found: std::collections::HashSet<_> = found.iter().take(k).collect();
        let truth = &truth[..truth.len().min(k)];
        sum += truth.iter().filter(|pid| found.contains(pid)).count() as f64 / truth.len() as f64;
        queries += 1.0;
    }
    if queries > 0.0 { sum / queries } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|s| (*s).to_owned()).collect()
    }

    /// Worked by hand: grades 3, 2 and 1 exist; the ranking has the 2 first, a stranger, then the 3.
    #[test]
    fn ndcg_mrr_recall_by_hand() {
        let mut qrels = Qrels::default();
        for (p, g) in [("a", 3), ("b", 2), ("c", 1), ("d", 0)] {
            qrels.grades.entry("q".into()).or_default().insert(p.into(), g);
        }
        qrels.grades.entry("unjudged".into()).or_default().insert("a".into(), 0);
        let found = qrels.quality(&strings(&["q", "unjudged"]), &[strings(&["b", "x", "a"]), strings(&["a"])]);
        let dcg = 2.0 + 3.0 / 2.0;
        let ideal = 3.0 + 2.0 / 3f64.log2() + 1.0 / 2.0;
        assert!((found.ndcg_10 - dcg / ideal).abs() < 1e-12);
        assert_eq!(found.mrr_10, 1.0);
        assert!((found.recall_100 - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn overlap_counts_shared_results() {
        assert_eq!(overlap(&[vec![1, 2, 3]], &[vec![3, 1, 9]], 2), 0.5);
        assert_eq!(overlap(&[vec![1, 2, 3], vec![]], &[vec![3, 1, 9], vec![]], 3), 2.0 / 3.0);
    }
}
