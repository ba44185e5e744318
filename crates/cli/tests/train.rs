//! `selvedge train` through the binary: it writes a checkpoint, continues an interrupted run, and names wrong flags.

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
    // Without the trained checkpoint the run is one that was interrupted after its last checkpoint.
    std::fs::remove_file(out.join("model.safetensors")).unwrap();
    let again = train(&out, &data, &["--steps", "4", "--batch", "2"]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("checkpoints/4: holds") && said.contains("--resume"), "{said}");
    assert_eq!(std::fs::read_to_string(out.join("log.csv")).unwrap(), log);
    let resumed = train(&out, &data, &["--steps", "6", "--batch", "2", "--lr", "0.01", "--resume"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    assert_eq!(std::fs::read_to_string(out.join("log.csv")).unwrap().lines().count(), 7);

    // A run that was killed after its last checkpoint has logged steps that are repeated.
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
fn skipped_files_and_truncated_passages_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let collection = dir.path().join("texts");
    std::fs::create_dir(&collection).unwrap();
    std::fs::write(collection.join("a.txt"), "the woven edge keeps a cloth from fraying").unwrap();
    std::fs::write(collection.join("b.txt"), "the loom holds the threads").unwrap();
    std::fs::write(collection.join("c.bin"), b"\0\xff\0\x01").unwrap();
    let data = dir.path().join("triples.tsv");
    std::fs::write(&data, "what keeps a cloth\ta.txt\tb.txt\n").unwrap();
    let collection = collection.to_str().unwrap();
    let flags = ["--collection", collection, "--steps", "1", "--batch", "1", "--passage-maxlen", "5"];
    let done = train(&dir.path().join("trained"), &data, &flags);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("skipped") && said.contains("c.bin"), "{said}");
    assert!(said.contains("2 of 2 passages of all steps are longer than the model reads"), "{said}");
}

#[test]
fn losses_without_data_and_options_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (data(dir.path()), dir.path().join("trained"));
    for (flags, reason) in [
        (&["--divergence", "1"][..], "--divergence needs scores in the data, or --teacher"),
        (&["--tokens", "1"], "--tokens needs --teacher"),
        (&["--ways", "3"], "line 1: has 2 passages, but --ways 3"),
        (&["--ways", "1", "--batch", "1"], "has no negatives"),
        (&["--batch", "0"], "at least 1"),
        (&["--in-batch", "0"], "nothing would be learned (--divergence, --in-batch, --tokens)"),
        (&["--batch", "4294967296", "--accumulate", "4294967296"], "the product is too large"),
        (&["--batch", "4294967296"], "batch is 4294967296: expected 1 to 16384"),
        (&["--lr", "nan"], "rate is NaN: expected a finite number above 0 (--lr)"),
        (&["--clip=-1"], "clip is -1: expected a number above 0"),
        (&["--clip", "nan"], "clip is NaN: expected a number above 0"),
        (&["--epochs", "nan"], "--epochs NaN: expected a finite number above 0"),
        (&["--epochs=-3"], "--epochs -3: expected a finite number above 0"),
        (&["--steps", "0"], "steps is 0: expected at least 1"),
        (&["--device", "cuda"], "training runs on the CPU: leave --device cuda/0 out"),
    ] {
        let refused = train(&out, &data, flags);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(reason), "{flags:?}: {said}");
        assert!(!out.exists(), "{flags:?}: nothing is made");
    }
}
