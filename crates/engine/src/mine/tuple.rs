//! Training tuples: an answer and negatives with their scores.

use super::{MineOptions, MineReport};
use crate::Result;
use selvedge_index::Index;

/// A query with the passages found for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Mined {
    /// Known answers that are in the index, in the order of their file.
    pub(super) answers: Vec<u32>,
    /// Passages found, best first, and after them the first answer if it was not found.
    pub(super) pids: Vec<u32>,
    /// Teacher's score of each passage, if there is one.
    pub(super) scores: Vec<Option<f32>>,
}

/// Returns the answer and its negatives with their scores, or counts the reason why there is no tuple.
///
/// The answer is the first known one, or the passage with the best score if no answers are given. No known answer is
/// among the negatives.
pub(super) fn tuple(options: &MineOptions, query: &Mined, report: &mut MineReport) -> Option<Vec<(u32, f32)>> {
    let scored = query.pids.iter().zip(&query.scores).filter_map(|(&pid, &score)| Some((pid, score?)));
    let scored: Vec<(u32, f32)> = scored.collect();
    let best = || scored.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    if options.answers.is_some() && query.answers.is_empty() {
        report.unanswered += 1;
        return None;
    }
    let known = query.answers.first();
    let answer = known.map_or_else(best, |answer| scored.iter().copied().find(|(pid, _)| pid == answer));
    let Some((answer, most)) = answer else {
        report.unscored += 1;
        return None;
    };
    let least = scored.iter().map(|&(_, score)| score).fold(f32::INFINITY, f32::min);
    let limit = most - options.margin as f32 * (most - least);
    let others = scored.iter().copied().filter(|(pid, _)| *pid != answer && !query.answers.contains(pid));
    let (negatives, dropped): (Vec<_>, Vec<_>) = others.partition(|&(_, score)| score < limit);
    report.dropped += dropped.len();
    if negatives.len() < options.negatives {
        report.few_negatives += 1;
        return None;
    }
    Some([(answer, most)].into_iter().chain(negatives.into_iter().take(options.negatives)).collect())
}

/// Formats a tuple as Stanford's ColBERT does: `[query, [passage, score], ...]`.
pub(super) fn in_stanford_form(query: &str, passages: &[(u32, f32)], index: &Index) -> Result<serde_json::Value> {
    let passages = passages.iter().map(|&(pid, score)| Ok(serde_json::json!([index.id(pid)?, score])));
    let mut line = vec![serde_json::Value::from(query)];
    line.extend(passages.collect::<Result<Vec<_>>>()?);
    Ok(line.into())
}

#[cfg(test)]
mod tests {
    use super::super::Teacher;
    use super::*;

    fn mined(answers: &[u32], scored: &[(u32, f32)]) -> Mined {
        let (pids, scores) = scored.iter().map(|&(pid, score)| (pid, Some(score))).unzip();
        Mined { answers: answers.to_vec(), pids, scores }
    }

    #[test]
    fn no_known_answer_is_a_negative() {
        let options = MineOptions {
            answers: Some("answers.tsv".into()),
            negatives: 2,
            margin: 0.1,
            ..MineOptions::new(Teacher::Scores("s.tsv".into()))
        };
        let mut report = MineReport::default();
        // Passage 8 answers too, 3 is within the margin, 4 and 5 are negatives.
        let query = mined(&[7, 8], &[(8, 4.0), (3, 9.5), (4, 3.0), (5, 0.0), (7, 10.0)]);
        assert_eq!(tuple(&options, &query, &mut report), Some(vec![(7, 10.0), (4, 3.0), (5, 0.0)]));
        assert_eq!((report.dropped, report.few_negatives), (1, 0), "a known answer is not counted as dropped");
        assert_eq!(tuple(&options, &mined(&[], &[(1, 1.0)]), &mut report), None);
        assert_eq!(tuple(&options, &mined(&[9], &[(1, 1.0)]), &mut report), None);
        assert_eq!((report.unanswered, report.unscored), (1, 1));
    }
}
