//! A small synthetic collection, and the binary under test.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge::npy::NpyWriter;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const DIM: usize = 32;
pub const PASSAGES: usize = 300;
pub const QUERIES: usize = 12;

/// Folder with embeddings around 40 topics, of passages and of queries: query `i` is a copy of passage `7 * i`.
pub struct Collection {
    pub dir: tempfile::TempDir,
}

impl Collection {
    pub fn new() -> Self {
        Self::of(DIM, PASSAGES, QUERIES)
    }

    /// Creates a collection of other sizes; `passages` is above `7 * (num_queries - 1)`.
    pub fn of(dim: usize, passages: usize, num_queries: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let topics: Vec<Vec<f32>> = (0..40).map(|_| unit(&mut rng, dim, None)).collect();
        let (mut docs, mut lens) = (Vec::new(), Vec::new());
        for passage in 0..passages {
            let len = if passage == 5 { 0 } else { rng.random_range(1..20) };
            lens.push(len as u32);
            for _ in 0..len {
                let topic = &topics[rng.random_range(0..topics.len())];
                docs.push(unit(&mut rng, dim, Some(topic)));
            }
        }
        let starts: Vec<usize> = (0..passages).map(|p| lens[..p].iter().map(|&l| l as usize).sum()).collect();
        let mut queries = Vec::new();
        for q in 0..num_queries {
            let (start, len) = (starts[7 * q], lens[7 * q] as usize);
            for token in 0..8 {
                // Rows beyond the passage's length are padding: zero.
                queries.push(if token < len { docs[start + token].clone() } else { vec![0.0; dim] });
            }
        }
        let this = Self { dir };
        write_floats(&this.path("docs.npy"), &docs, &[docs.len(), dim]);
        write_floats(&this.path("queries.npy"), &queries, &[num_queries, 8, dim]);
        write_lens(&this.path("lens.npy"), &lens);
        let lines = |lines: Vec<String>| lines.join("\n") + "\n";
        this.write("ids.txt", &lines((0..passages).map(|p| format!("passage-{p}")).collect()));
        this.write("queries.tsv", &lines((0..num_queries).map(|q| format!("q{q}\tquestion {q}")).collect()));
        this.write("qrels.tsv", &lines((0..num_queries).map(|q| format!("q{q}\tpassage-{}\t1", 7 * q)).collect()));
        this
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Runs `selvedge` in the folder; `words` are split at spaces.
    pub fn run(&self, words: &str) -> Output {
        self.command(words, &[]).output().unwrap()
    }

    /// Returns the command of [`Self::run`] with more environment variables.
    pub fn command(&self, words: &str, variables: &[(&str, &OsStr)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        command.args(words.split_whitespace()).current_dir(self.dir.path());
        command.env("HF_HUB_OFFLINE", "1").envs(variables.iter().copied());
        command
    }

    /// Runs a command that must succeed, and returns its output.
    pub fn ok(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "selvedge {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with `code`, and returns its messages.
    pub fn fails(&self, words: &str, code: i32) -> String {
        let output = self.run(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "selvedge {words}: {stderr}");
        assert!(!stderr.contains("panicked"), "selvedge {words}: {stderr}");
        stderr
    }

    /// Asserts that the folder has no `name` and no unfinished files.
    pub fn nothing_made(&self, name: &str) {
        let left: Vec<String> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|f| f.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|f| f == name || f.contains(".partial"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }

    /// Builds an index of the embeddings.
    pub fn index(&self, name: &str, options: &str) {
        self.ok(&format!("index --embeddings docs.npy --doclens lens.npy --ids ids.txt {name} {options}"));
    }
}

fn unit(rng: &mut ChaCha8Rng, dim: usize, around: Option<&[f32]>) -> Vec<f32> {
    let mut row: Vec<f32> = (0..dim).map(|_| (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>()).collect();
    if let Some(topic) = around {
        row.iter_mut().zip(topic).for_each(|(x, t)| *x = *x * 0.06 + t);
    }
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.iter_mut().for_each(|x| *x /= norm);
    row
}

pub fn write_floats(path: &Path, rows: &[Vec<f32>], shape: &[usize]) {
    let mut writer = NpyWriter::create(path).unwrap();
    rows.iter().flatten().for_each(|x| writer.write(&x.to_le_bytes()).unwrap());
    writer.finish("<f4", shape).unwrap();
}

pub fn write_lens(path: &Path, lens: &[u32]) {
    let mut writer = NpyWriter::create(path).unwrap();
    lens.iter().for_each(|x| writer.write(&x.to_le_bytes()).unwrap());
    writer.finish("<i4", &[lens.len()]).unwrap();
}
