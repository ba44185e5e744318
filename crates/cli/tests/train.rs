//! `selvedge train` through the binary: what it leaves is a checkpoint, a cut run goes on, wrong flags say the way out.

#![allow(missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

fn train(out: &Path, data: &Path, more: &[&str]) -> Output {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pylate_bert");
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command.arg("train").arg(out).arg("--data").arg(data).arg("--model").arg(model).args(more);
    command.output().expect("selvedge starts")
}

fn data(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("triples.tsv");
    let lines = "what keeps a cloth\tthe woven edge keeps a cloth from fraying\tthe loom holds the threads\n\
                 who holds the threads\tthe loom holds the threads\tthe woven edge keeps a cloth from fraying\n";
    std::fs::write(&path, lines).unwrap();
    path
}

#[test]
fn a_trained_checkpoint_indexes_and_a_run_that_is_done_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (data(dir.path()), dir.path().join("trained"));
    let done = train(&out, &data, &["--steps", "4", "--batch", "2", "--lr", "0.01", "--save-every", "2"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let log = std::fs::read_to_string(out.join("log.csv")).unwrap();
    assert_eq!(log.lines().count(), 5, "{log}");
    let losses: Vec<f64> = log.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(losses[3] < losses[0], "{losses:?}");

    let again = train(&out, &data, &["--steps", "4", "--batch", "2"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("name another folder"));
    let resumed = train(&out, &data, &["--steps", "6", "--batch", "2", "--lr", "0.01", "--resume"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    assert_eq!(std::fs::read_to_string(out.join("log.csv")).unwrap().lines().count(), 7);

    // A run that was killed behind its last checkpoint has logged steps that are made again.
    std::fs::write(out.join("log.csv"), format!("{log}5,1,1,1,1\n6,1,1,1,1\n7,1,1,1,1\n")).unwrap();
    let resumed = train(&out, &data, &["--steps", "8", "--batch", "2", "--lr", "0.01", "--resume"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let steps = std::fs::read_to_string(out.join("log.csv")).unwrap();
    let steps: Vec<&str> = steps.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(steps, ["1", "2", "3", "4", "5", "6", "7", "8"]);

    let collection = dir.path().join("c.tsv");
    std::fs::write(&collection, "a\tthe woven edge keeps a cloth from fraying\nb\tthe loom holds the threads\n")
        .unwrap();
    let mut index = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    index.arg("index").arg(&collection).arg(dir.path().join("i.index")).arg("--model").arg(&out);
    let index = index.output().unwrap();
    assert!(index.status.success(), "{}", String::from_utf8_lossy(&index.stderr));
}

#[test]
fn losses_that_nothing_was_given_for_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (data(dir.path()), dir.path().join("trained"));
    for (flags, reason) in [
        (&["--divergence", "1"][..], "--divergence needs scores in the data, or --teacher"),
        (&["--tokens", "1"], "--tokens needs --teacher"),
        (&["--ways", "3"], "line 1: has 2 passages, but --ways 3"),
        (&["--ways", "1", "--batch", "1"], "has no negatives"),
        (&["--batch", "0"], "at least 1"),
        (&["--device", "cuda"], "training runs on the CPU: leave --device cuda/0 out"),
    ] {
        let refused = train(&out, &data, flags);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(reason), "{flags:?}: {said}");
        assert!(!out.exists(), "{flags:?}: nothing is made");
    }
}
