//! A folder and its index, and the checks after each update.

use selvedge::build::from_text;
use selvedge::change::update_folder;
use selvedge::collection::{self, ReadOptions};
use selvedge::{AddOptions, BuildOptions, Document, Encoder, Error, FileCounts, FolderReport, LoadOptions, Result};
use selvedge_index::{Check, Index, verify};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

pub(crate) static ENCODER: LazyLock<Encoder> =
    LazyLock::new(|| Encoder::load("shipped", &LoadOptions::default()).expect("it is in the crate"));

/// Words per passage.
pub(crate) const WORDS: usize = 6;

/// A folder, and a place for an index beside it.
pub(crate) struct Tree {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) read: ReadOptions,
}

impl Tree {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let read = ReadOptions { split_words: Some(WORDS), ..ReadOptions::default() };
        let tree = Self { dir: tempfile::tempdir().unwrap(), read };
        fs::create_dir(tree.folder()).unwrap();
        files.iter().for_each(|(name, text)| tree.write(name, text, 0));
        tree
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("folder")
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.path().join("index")
    }

    /// Writes a file, `seconds` after a time long ago.
    pub(crate) fn write(&self, name: &str, text: &str, seconds: u64) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.set_time(name, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds));
    }

    pub(crate) fn set_time(&self, name: &str, time: SystemTime) {
        File::options().append(true).open(self.at(name)).unwrap().set_modified(time).unwrap();
    }

    pub(crate) fn build(&self) -> Index {
        let options = BuildOptions { nbits: 4, read: self.read.clone(), ..BuildOptions::default() };
        from_text(&self.folder(), &self.index(), &ENCODER, &options, &()).unwrap();
        self.open()
    }

    pub(crate) fn open(&self) -> Index {
        Index::open(&self.index(), Check::Checksums).unwrap()
    }

    pub(crate) fn options(&self) -> AddOptions {
        AddOptions { read: self.read.clone(), ..AddOptions::default() }
    }

    pub(crate) fn try_update(&self) -> Result<FolderReport> {
        update_folder(&self.folder(), &self.index(), &self.options(), &())
    }

    /// Updates the index, checks that it holds the folder, and that another update finds nothing to do.
    pub(crate) fn update(&self) -> FolderReport {
        let report = self.try_update().unwrap();
        let index = self.open();
        assert_eq!(report.change.generation, index.generation());
        assert_eq!(documents(&index), self.documents());
        let again = self.try_update().unwrap();
        assert_eq!(again.change.generation, report.change.generation, "{again:?}");
        let FileCounts { added, changed, touched, unchanged, skipped, .. } = report.files;
        let unchanged = added + changed + touched + unchanged;
        assert_eq!(again.files, FileCounts { unchanged, skipped, ..FileCounts::default() });
        report
    }

    /// Documents of the folder, as a build reads them.
    pub(crate) fn documents(&self) -> Vec<Document> {
        let mut documents = Vec::new();
        let each = |document| {
            documents.push(document);
            Ok(())
        };
        collection::read(&self.folder(), Some(&ENCODER), &self.read, each).unwrap();
        documents.sort_by(|a, b| a.id.cmp(&b.id));
        documents
    }

    /// Runs `act`, which must be refused, and checks that the index stays as it is.
    pub(crate) fn refused(&self, act: impl FnOnce() -> Result<FolderReport>) -> Error {
        let names = || -> BTreeSet<_> { fs::read_dir(self.index()).unwrap().map(|f| f.unwrap().file_name()).collect() };
        let before = names();
        let error = act().unwrap_err();
        assert_eq!(names(), before, "{error}");
        assert!(verify(&self.index()).unwrap().is_sound());
        error
    }
}

/// Documents of an index, by id.
pub(crate) fn documents(index: &Index) -> Vec<Document> {
    let mut documents: Vec<_> = index.pids().map(|pid| index.document(pid).unwrap()).collect();
    documents.sort_by(|a, b| a.id.cmp(&b.id));
    documents
}

pub(crate) fn words(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| format!("word{number} ")).collect()
}
