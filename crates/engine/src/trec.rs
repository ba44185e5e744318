//! Runs in the format of TREC: `query Q0 passage rank score tag`, one result per line.
//!
//! **In:** the results of each query, best first. **Out:** a file that trec_eval and other evaluation tools read.
//!
//! trec_eval ignores the rank: it sorts by score, as f32, and orders passages of one score by their id, descending. A
//! score that is not below the one before it is therefore written as the next smaller f32, with enough digits to
//! identify this f32. The order survives in trec_eval and in tools that sort by f64.

use crate::staged::Staged;
use crate::{Error, Result};
use std::fmt::Write as _;
use std::path::Path;

/// Last column: the name of the run.
const TAG: &str = "selvedge";

/// Formats the results of one query, best first, as lines of a run; an empty string for a query without results.
///
/// # Errors
/// [`Error::TrecId`] if an id is empty or contains white space, which separates the columns.
pub fn lines<S: AsRef<str>>(query: &str, results: impl IntoIterator<Item = (S, f32)>) -> Result<String> {
    let query = checked(query)?;
    let mut lines = String::new();
    let mut last = f32::INFINITY;
    for (rank, (passage, score)) in (1..).zip(results) {
        let score = if score < last { score } else { last.next_down() };
        let passage = checked(passage.as_ref())?;
        writeln!(lines, "{query} Q0 {passage} {rank} {} {TAG}", f64::from(score)).expect("a string takes all");
        last = score;
    }
    Ok(lines)
}

fn checked(id: &str) -> Result<&str> {
    if id.is_empty() || id.contains(char::is_whitespace) { Err(Error::TrecId { id: id.into() }) } else { Ok(id) }
}

/// File of a run, created before the searches and complete after [`Run::finish`].
///
/// The file appears under its name when it is finished; dropped before, it leaves the target as it was. A target that
/// is no regular file, such as a pipe, is written directly, and `-` is standard output.
pub struct Run(Staged);

impl Run {
    /// Creates the file, so that a place that cannot be written is found before the searches.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder of `path`, or a special file at `path`, cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self(Staged::create_or_stdout(path)?))
    }

    /// Appends the results of one query, best first.
    ///
    /// # Errors
    /// [`Error::TrecId`] as for [`lines`], [`Error::Io`] if the file cannot be written.
    pub fn push<S: AsRef<str>>(&mut self, query: &str, results: impl IntoIterator<Item = (S, f32)>) -> Result<()> {
        self.0.write(lines(query, results)?.as_bytes())
    }

    /// Completes the run: the file appears under its name.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn finish(self) -> Result<()> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passage ids as trec_eval sorts a run: by score in f32, descending, then by id, descending.
    fn sorted_as_trec_eval(lines: &str) -> Vec<&str> {
        let mut results: Vec<(f32, &str)> = lines
            .lines()
            .map(|line| {
                let columns: Vec<&str> = line.split_whitespace().collect();
                (columns[4].parse::<f64>().unwrap() as f32, columns[2])
            })
            .collect();
        results.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(a.1)));
        results.into_iter().map(|(_, id)| id).collect()
    }

    #[test]
    fn the_order_survives_trec_eval() {
        let scores = [
            vec![3.5, 3.5, 3.5, 3.4999998, 1.0],
            vec![0.0, 0.0, -0.0, 0.0, -1e-40],
            vec![1e10, 1e10, 1e10, -5.0, -5.0],
            vec![16_777_217.0, 16_777_216.0, 16_777_216.0, 7.0, 7.0],
            vec![0.1, 0.1, f32::MIN_POSITIVE, f32::MIN_POSITIVE, 0.0],
        ];
        for scores in scores {
            let ids = ["a", "z", "b", "y", "c"];
            let lines = lines("q", ids.into_iter().zip(scores.iter().copied())).unwrap();
            assert_eq!(sorted_as_trec_eval(&lines), ids, "{lines}");
        }
        // Scores that differ are printed as they are.
        let lines = lines("q", [("a", 12.345f32), ("b", 1.5)]).unwrap();
        assert_eq!(lines, format!("q Q0 a 1 {} selvedge\nq Q0 b 2 1.5 selvedge\n", f64::from(12.345f32)));
    }

    #[test]
    fn an_id_that_a_run_cannot_contain_is_an_error() {
        for id in ["my cat.txt", "tab\tid", "no\u{a0}break", ""] {
            assert!(matches!(lines("q", [(id, 1.0)]), Err(Error::TrecId { id: found }) if found == id));
            assert!(matches!(lines::<&str>(id, []), Err(Error::TrecId { .. })));
        }
    }

    #[test]
    fn a_run_is_written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.txt");
        let mut bad = Run::create(&path).unwrap();
        bad.push("q", [("a", 1.0)]).unwrap();
        assert!(matches!(bad.push("q2", [("a b", 1.0)]), Err(Error::TrecId { .. })));
        drop(bad);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        let mut run = Run::create(&path).unwrap();
        run.push("q", [("a", 1.0)]).unwrap();
        run.push::<&str>("q2", []).unwrap();
        run.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "q Q0 a 1 1 selvedge\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_found_before_the_first_result() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Run::create(&dir.path().join("none/run.txt")), Err(Error::Io { .. })));
        assert!(matches!(Run::create(dir.path()), Err(Error::Io { .. })));
    }
}
