//! Indexes that follow the folder they were made from: what is read again, what is kept, what is refused.

#![allow(missing_docs)]

mod edits;
mod tree;

use selvedge::build::from_text;
use selvedge::change::{self, update_folder};
use selvedge::{
    AddOptions, Additions, BuildOptions, Document, Error, FileCounts, FolderReport, LoadOptions, Model, Progress,
    Result, Step,
};
use selvedge_index::{Index, Writer};
use std::collections::BTreeSet;
use std::fs;
#[cfg(unix)]
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tree::{ENCODER, Tree, words};

fn counts(report: &FolderReport) -> [usize; 6] {
    let FileCounts { added, changed, deleted, touched, unchanged, skipped } = report.files;
    [added, changed, deleted, touched, unchanged, skipped]
}

#[test]
fn only_what_changed_is_added_updated_and_deleted() {
    let tree = Tree::new(&[("a.md", "the woven edge"), ("deep/b.md", "the weft"), ("c.md", "old log files")]);
    assert_eq!(tree.build().generation(), 1);
    assert_eq!(counts(&tree.update()), [0, 0, 0, 0, 3, 0]);

    tree.write("a.md", "the selvedge", 1);
    tree.write("new.md", "a mail server", 0);
    fs::remove_file(tree.at("c.md")).unwrap();
    let report = tree.update();
    assert_eq!(counts(&report), [1, 1, 1, 0, 1, 0]);
    let change = &report.change;
    // The segment that lost most of its passages was merged in a commit of its own.
    assert_eq!((change.generation, change.added, change.deleted, change.passages), (3, 2, 2, 3));
    assert_eq!(change.read.passages, 2, "the others are not read");

    fs::rename(tree.at("new.md"), tree.at("deep/renamed.md")).unwrap();
    assert_eq!(counts(&tree.update()), [1, 0, 1, 0, 2, 0]);

    // A file becomes a folder, and a folder a file.
    fs::remove_dir_all(tree.at("deep")).unwrap();
    fs::remove_file(tree.at("a.md")).unwrap();
    tree.write("deep", "the warp", 0);
    tree.write("a.md/inner", "a cloth", 0);
    assert_eq!(counts(&tree.update()), [2, 0, 3, 0, 0, 0]);
}

/// The content is replaced by another one of the same size and time: only a file that is opened shows it.
#[test]
fn unchanged_files_are_not_opened() {
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    tree.build();
    tree.write("a", "the woven weft", 0);
    let report = tree.try_update().unwrap();
    assert_eq!((counts(&report), report.change.generation), ([0, 0, 0, 0, 2, 0], 1));
    tree.write("a", "the woven weft", 1);
    assert_eq!(counts(&tree.update()), [0, 1, 0, 0, 1, 0]);
    // Another size is enough.
    tree.write("a", "the woven", 1);
    assert_eq!(counts(&tree.update()), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn a_file_of_another_time_and_the_same_content_is_not_read() {
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    tree.build();
    tree.set_time("a", SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    let report = tree.update();
    assert_eq!((counts(&report), report.change.read.passages), ([0, 0, 0, 1, 1, 0], 0));
    assert_eq!(report.change.generation, 2, "the new time is recorded");
    // Only the new time could tell that this file is as it was.
    tree.write("a", "the woven weft", 0);
    tree.set_time("a", SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    assert_eq!(counts(&tree.try_update().unwrap()), [0, 0, 0, 0, 2, 0]);
}

/// A write within the same tick of the file system's clock leaves the time as it was. The time is ahead, so that it is
/// as recent at each update.
#[test]
fn a_file_that_changed_just_before_it_was_read_is_looked_at_again() {
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    let now = SystemTime::now() + Duration::from_secs(3600);
    tree.set_time("a", now);
    tree.build();
    assert_eq!(counts(&tree.try_update().unwrap()), [0, 0, 0, 0, 2, 0]);
    tree.write("a", "the woven weft", 0);
    tree.set_time("a", now);
    assert_eq!(counts(&tree.update()), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn passages_of_a_changed_file_that_stay_are_kept() {
    let tree = Tree::new(&[("long", &words(0..30)), ("other", "x")]);
    let index = tree.build();
    assert_eq!(index.num_passages(), 6);
    tree.write("long", &(words(0..24) + &words(50..56)), 1);
    let report = tree.update();
    assert_eq!((report.change.read.passages, report.change.added, report.change.deleted), (5, 1, 1));
    assert_eq!(tree.open().pid("long#1").unwrap(), index.pid("long#1").unwrap());

    // The number of parts shrinks to one, whose id is another, and grows again.
    for (text, passages) in [(words(0..12), 2), (words(0..6), 1), (String::new(), 1), (words(0..30), 5)] {
        tree.write("long", &text, 2 + passages + text.len() as u64);
        assert_eq!(u64::from(tree.update().change.passages), passages + 1);
    }
}

#[test]
fn the_mark_of_parts_follows_the_names_of_other_files() {
    let tree = Tree::new(&[("a", &words(0..12)), ("b", &words(0..12)), ("c", "x")]);
    let ids = |index: &Index| index.ids().map(Result::unwrap).collect::<BTreeSet<_>>();
    assert_eq!(ids(&tree.build()), ["a#1", "a#2", "b#1", "b#2", "c"].map(String::from).into());
    tree.write("a#1", &words(0..6), 0);
    assert_eq!(counts(&tree.update()), [1, 1, 0, 0, 2, 0]);
    assert_eq!(ids(&tree.open()), ["a/#1", "a/#2", "a#1", "b#1", "b#2", "c"].map(String::from).into());
    // The ids of a file with a single passage do not change with its mark.
    tree.write("c#7", "y", 0);
    assert_eq!(counts(&tree.update()), [1, 0, 0, 1, 3, 0]);
    fs::remove_file(tree.at("a#1")).unwrap();
    assert_eq!(counts(&tree.update()), [0, 1, 1, 0, 3, 0]);
}

#[test]
fn files_that_are_not_text_are_skipped_once_or_refused() {
    let mut tree = Tree::new(&[("a", "the woven edge"), ("image", "\u{1}\0"), ("b", "text")]);
    tree.build();
    let report = tree.update();
    assert_eq!((counts(&report), report.change.read.skipped.total), ([0, 0, 0, 0, 2, 1], 0), "it is not named again");
    tree.write("b", "\0", 1);
    let report = tree.update();
    assert_eq!((counts(&report), report.change.deleted), ([0, 0, 0, 0, 1, 2], 1));
    assert_eq!(report.change.read.skipped.named[0].reason, "not text");
    tree.write("image", "text now", 1);
    assert_eq!(counts(&tree.update()), [0, 1, 0, 0, 1, 1]);
    tree.read.strict = true;
    let error = tree.refused(|| tree.try_update());
    assert!(
        matches!(&error, Error::BadFile { path, reason } if path.ends_with("b") && reason == "not text"),
        "{error}"
    );
}

/// A file that cannot be read has no passage, and is tried again even though its time and size stay.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_tried_again() {
    use std::os::unix::fs::PermissionsExt;
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    let allow = |mode| fs::set_permissions(tree.at("b"), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    if File::open(tree.at("b")).is_ok() {
        // The superuser reads every file.
        return;
    }
    assert_eq!(tree.build().num_passages(), 1);
    assert_eq!(counts(&tree.update()), [0, 0, 0, 0, 1, 1]);
    allow(0o644);
    assert_eq!(counts(&tree.update()), [0, 1, 0, 0, 1, 0]);
    // It was read, and is not opened again.
    allow(0o000);
    assert_eq!(counts(&tree.try_update().unwrap()), [0, 0, 0, 0, 2, 0]);
}

#[test]
fn other_options_of_splitting_change_every_file() {
    let mut tree = Tree::new(&[("a", &words(0..30)), ("b", "the weft"), ("c.log", "x")]);
    tree.build();
    tree.read.split_words = Some(10);
    let report = tree.update();
    assert_eq!((counts(&report), report.change.added), ([0, 3, 0, 0, 0, 0], 3), "passages that stay are kept");
    tree.read.split_words = None;
    assert_eq!(counts(&tree.update()), [0, 3, 0, 0, 0, 0]);
    // Globs choose files; those that stay are as they were.
    tree.read.exclude = vec!["*.log".into()];
    assert_eq!(counts(&tree.update()), [0, 0, 1, 0, 2, 0]);

    // Text after the maximum length is cut: the passages are encoded again.
    tree.read.split_words = Some(0);
    tree.update();
    let options =
        AddOptions { encoder: LoadOptions { passage_maxlen: Some(20), ..LoadOptions::default() }, ..tree.options() };
    let update = || update_folder(&tree.folder(), &tree.index(), &options, &()).unwrap();
    let before = tree.open().num_tokens();
    let report = update();
    assert_eq!((counts(&report), report.change.added), ([0, 2, 0, 0, 0, 0], 2));
    assert!(report.change.tokens < before);
    assert_eq!(update().change.generation, report.change.generation);
}

#[test]
fn an_index_of_something_else_is_refused() {
    let tree = Tree::new(&[("a", "the woven edge")]);
    let none = tree.try_update().unwrap_err();
    assert!(matches!(none, Error::Index(selvedge_index::Error::NoIndex { .. })), "{none}");
    tree.build();
    let other = Tree::new(&[("a", "the woven edge")]);
    let error = tree.refused(|| update_folder(&other.folder(), &tree.index(), &tree.options(), &()));
    let name = |tree: &Tree| tree.folder().canonicalize().unwrap().to_str().unwrap().to_owned();
    let is_right = matches!(&error, Error::OtherFolder { expected, found, .. }
        if *expected == name(&tree) && *found == name(&other));
    assert!(is_right, "{error}");

    let file = tree.dir.path().join("c.tsv");
    fs::write(&file, "a\tthe weft\n").unwrap();
    for path in [&file, Path::new("-")] {
        let error = tree.refused(|| update_folder(path, &tree.index(), &tree.options(), &()));
        assert!(matches!(error, Error::FolderOption { option: "update", .. }), "{error}");
    }
    let error = tree.refused(|| update_folder(&tree.dir.path().join("none"), &tree.index(), &tree.options(), &()));
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("none")), "{error}");

    let from_file = tree.dir.path().join("from-file");
    from_text(&file, &from_file, &ENCODER, &BuildOptions::default(), &()).unwrap();
    let error = update_folder(&tree.folder(), &from_file, &tree.options(), &()).unwrap_err();
    assert!(matches!(&error, Error::NoSources { path } if *path == from_file), "{error}");

    let stored = String::from_utf8(tree.open().sources().unwrap().unwrap().to_vec()).unwrap();
    let forged = |passages: u64| stored.replace("\"passages\":1,", &format!("\"passages\":{passages},"));
    let cases = [
        ("{}".to_owned(), "missing field"),
        ("{\"version\": 2}".to_owned(), "it is of version 2"),
        ("[".to_owned(), "EOF"),
        (forged(2), "its files have more passages"),
        (forged(u64::MAX), "its files have more passages"),
    ];
    for (bytes, expected) in cases {
        let mut writer = Writer::open(&tree.index()).unwrap();
        writer.set_sources(bytes.as_bytes()).unwrap();
        writer.commit().unwrap();
        let error = tree.refused(|| tree.try_update());
        let is_right = matches!(&error, Error::Sources { path, reason } if *path == tree.index()
            && reason.starts_with(expected));
        assert!(is_right, "{error}");
    }
}

/// Two hooks at a time: the second update sees what the first one left.
#[test]
fn an_update_waits_for_another_change() {
    struct Impatient;
    impl Progress for Impatient {
        fn report(&self, _: Step) {}
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    tree.build();
    let mut writer = Writer::open(&tree.index()).unwrap();
    let error = update_folder(&tree.folder(), &tree.index(), &tree.options(), &Impatient).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    fs::remove_file(tree.at("b")).unwrap();
    std::thread::scope(|scope| {
        let update = scope.spawn(|| tree.update());
        std::thread::sleep(Duration::from_millis(200));
        assert!(!update.is_finished());
        writer.set_search(None);
        assert_eq!(writer.commit().unwrap().generation, 2);
        assert_eq!(counts(&update.join().unwrap()), [0, 0, 1, 0, 1, 0]);
    });
}

/// The folder of a disk that is not mounted is empty.
#[test]
fn an_empty_folder_does_not_empty_the_index() {
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    tree.build();
    fs::remove_file(tree.at("a")).unwrap();
    fs::rename(tree.at("b"), tree.dir.path().join("b")).unwrap();
    let error = tree.refused(|| tree.try_update());
    assert!(matches!(&error, Error::EmptyFolder { folder, .. } if *folder == tree.folder()), "{error}");
    fs::rename(tree.dir.path().join("b"), tree.at("b")).unwrap();
    assert_eq!(counts(&tree.update()), [0, 0, 1, 0, 1, 0]);
}

/// The folder of a disk that is not mounted may also be a link to nothing.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_loses_no_passage() {
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft")]);
    let elsewhere = tree.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("c"), "a mail server").unwrap();
    std::os::unix::fs::symlink(&elsewhere, tree.at("link")).unwrap();
    assert_eq!(tree.build().num_passages(), 3);
    fs::rename(&elsewhere, tree.dir.path().join("away")).unwrap();
    let error = tree.refused(|| tree.try_update());
    assert!(matches!(&error, Error::NotRead { path, .. } if *path == tree.at("link")), "{error}");
    fs::remove_file(tree.at("link")).unwrap();
    assert_eq!(counts(&tree.update()), [0, 0, 1, 0, 2, 0]);
}

#[test]
fn passages_from_elsewhere_stay() {
    let tree = Tree::new(&[("a", "the woven edge")]);
    tree.build();
    let document = |id: &str| Document { id: id.into(), text: "a mail server".into(), metadata: None };
    let documents = [document("mail"), document("b")];
    let additions = Additions::Documents(Box::new(documents.clone().into_iter().map(Ok)));
    change::add(&tree.index(), additions, &AddOptions::default(), &()).unwrap();
    tree.write("a", "the selvedge", 1);
    tree.write("b", "the weft", 0);
    tree.try_update().unwrap();
    let index = tree.open();
    let text = |id| index.document(index.pid(id).unwrap().unwrap()).unwrap().text;
    assert_eq!((index.num_passages(), text("mail").as_str()), (3, "a mail server"));
    assert_eq!(text("b"), "the weft", "a file takes the place of the passage with its id");
}

#[test]
fn the_encoder_is_loaded_only_to_encode() {
    let tree = Tree::new(&[("a", "the woven edge"), ("b", "the weft"), ("c", &words(0..12))]);
    tree.build();
    let options = AddOptions { model: Model::Named("/nowhere".into()), ..tree.options() };
    let update = || update_folder(&tree.folder(), &tree.index(), &options, &());
    tree.set_time("a", SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    fs::remove_file(tree.at("b")).unwrap();
    // Another length, and the same passages.
    tree.write("c", &(words(0..12) + "\n"), 1);
    assert_eq!(counts(&update().unwrap()), [0, 1, 1, 1, 0, 0]);
    tree.write("a", "the selvedge", 6);
    let error = tree.refused(update);
    assert!(matches!(error, Error::Encoder(_)), "{error}");
    tree.update();
}
