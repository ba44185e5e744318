//! Runs as TREC writes them: `query Q0 passage rank score tag`, one result a line.
//!
//! trec_eval ignores the rank: it sorts by score, which it keeps in 32 bits, and passages of one score by their id, from
//! last to first. A score is therefore printed as the next smaller f32 where it would not be below the one before, and in
//! digits enough for exactly this f32; so the order survives, in trec_eval and in judges that keep 64 bits.

use crate::{Error, Result};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Last column: the name of the run.
const TAG: &str = "selvedge";

/// Lines of one query's results, best first; none where nothing was found.
///
/// # Errors
/// If an id is empty or holds white space, which parts the columns.
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

/// Writes a run of such lines, one entry a query, whole or not at all.
///
/// # Errors
/// If an entry is an error, or the file cannot be written.
pub fn save(path: &Path, queries: impl IntoIterator<Item = Result<String>>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref());
    // A file of its own folder gets the usual permissions, which a temporary file does not have.
    let staging = tempfile::tempdir_in(folder).map_err(Error::io(folder))?;
    let new = staging.path().join("run");
    let mut out = BufWriter::new(File::create(&new).map_err(Error::io(&new))?);
    for lines in queries {
        out.write_all(lines?.as_bytes()).map_err(Error::io(path))?;
    }
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(Error::io(path))?;
    std::fs::rename(&new, path).map_err(Error::io(path))
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
    fn an_id_that_a_run_cannot_hold_is_an_error() {
        for id in ["my cat.txt", "tab\tid", "no\u{a0}break", ""] {
            assert!(matches!(lines("q", [(id, 1.0)]), Err(Error::TrecId { id: found }) if found == id));
            assert!(matches!(lines::<&str>(id, []), Err(Error::TrecId { .. })));
        }
    }

    #[test]
    fn a_run_is_written_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.txt");
        let bad = [lines("q", [("a", 1.0)]), lines("q2", [("a b", 1.0)])];
        assert!(save(&path, bad).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        save(&path, [lines("q", [("a", 1.0)]), lines::<&str>("q2", [])]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "q Q0 a 1 1 selvedge\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
