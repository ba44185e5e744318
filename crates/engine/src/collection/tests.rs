//! Tests of reading collections: skipped files, ignore files, links, encodings, long files.

use super::*;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::ops::Range;

/// A folder of files; names with `/` make folders.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn read_all(path: &Path, split: Split<'_>, options: &ReadOptions) -> Result<(Vec<Document>, ReadReport)> {
    let mut documents = Vec::new();
    let report = read_split(path, split, options, None, |document| {
        documents.push(document);
        Ok(())
    })?;
    assert_eq!(report.passages, documents.len());
    Ok((documents, report))
}

fn ids(path: &Path, options: &ReadOptions) -> Vec<String> {
    let (documents, report) = read_all(path, Split::Never, options).unwrap();
    assert_eq!(report.skipped, Skipped::default());
    documents.into_iter().map(|document| document.id).collect()
}

fn globs(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|&glob| glob.to_owned()).collect()
}

#[test]
fn a_bad_file_is_skipped_and_named_or_an_error() {
    let dir = folder(&[
        ("a.txt", b"fine"),
        ("b.bin", b"\x89PNG\0\0"),
        ("c.txt", b"one\ntwo caf\xe9\n"),
        ("d.gz", b"\x1f\x8b\x08 broken"),
        ("e/z.txt", b"fine, too"),
    ]);
    let (documents, report) = read_all(dir.path(), Split::Never, &ReadOptions::default()).unwrap();
    assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["a.txt", "e/z.txt"]);
    let named: Vec<_> = report.skipped.named.iter().map(|file| (file.path.clone(), file.reason.as_str())).collect();
    assert_eq!(report.skipped.total, 3);
    assert_eq!(named[0], (dir.path().join("b.bin"), "not text"));
    assert_eq!(named[1], (dir.path().join("c.txt"), "line 2: not valid UTF-8"));
    assert_eq!(named[2].0, dir.path().join("d.gz"));

    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    let error = read_all(dir.path(), Split::Never, &strict).unwrap_err();
    assert!(matches!(&error, Error::BadFile { path, reason } if path.ends_with("b.bin") && reason == "not text"));
}

#[test]
fn only_the_first_skipped_files_are_named_and_all_are_counted() {
    let dir = folder(&[("text", b"fine")]);
    for number in 0..Skipped::MAX_NAMED + 5 {
        fs::write(dir.path().join(format!("{number}.bin")), b"\0").unwrap();
    }
    let skipped = read_all(dir.path(), Split::Never, &ReadOptions::default()).unwrap().1.skipped;
    assert_eq!((skipped.total, skipped.named.len()), (Skipped::MAX_NAMED + 5, Skipped::MAX_NAMED));
}

#[test]
fn ignored_and_hidden_files_are_left_out_unless_asked_for() {
    let dir = folder(&[
        (".gitignore", b"*.log\n/built\n"),
        (".hidden/a.txt", b"x"),
        ("a.log", b"x"),
        ("a.txt", b"x"),
        ("built/a.txt", b"x"),
        ("deep/.b.txt", b"x"),
        ("deep/b.log", b"x"),
        ("deep/built/a.txt", b"x"),
    ]);
    assert_eq!(ids(dir.path(), &ReadOptions::default()), ["a.txt", "deep/built/a.txt"]);
    let hidden = ReadOptions { hidden: true, ..ReadOptions::default() };
    let with_hidden = [".gitignore", ".hidden/a.txt", "a.txt", "deep/.b.txt", "deep/built/a.txt"];
    assert_eq!(ids(dir.path(), &hidden), with_hidden);
    let all = ReadOptions { no_ignore: true, ..ReadOptions::default() };
    assert_eq!(ids(dir.path(), &all), ["a.log", "a.txt", "built/a.txt", "deep/b.log", "deep/built/a.txt"]);
}

/// A `.gitignore` above the folder is heeded where git would heed it.
#[test]
fn a_gitignore_above_counts_inside_a_repository() {
    let dir = folder(&[(".gitignore", b"*.log\n"), ("notes/a.log", b"x"), ("notes/a.txt", b"x")]);
    let notes = dir.path().join("notes");
    assert_eq!(ids(&notes, &ReadOptions::default()), ["a.log", "a.txt"]);
    fs::create_dir(dir.path().join(".git")).unwrap();
    assert_eq!(ids(&notes, &ReadOptions::default()), ["a.txt"]);
}

#[test]
fn globs_choose_files_and_never_bring_back_hidden_or_ignored_ones() {
    let dir = folder(&[
        (".gitignore", b"old.md\n"),
        (".secret.md", b"x"),
        ("a.md", b"x"),
        ("a.rs", b"x"),
        ("docs/b.md", b"x"),
        ("docs/draft/c.md", b"x"),
        ("old.md", b"x"),
    ]);
    let options = |include: &[&str], exclude: &[&str]| ReadOptions {
        include: globs(include),
        exclude: globs(exclude),
        ..ReadOptions::default()
    };
    assert_eq!(ids(dir.path(), &options(&["*.md"], &[])), ["a.md", "docs/b.md", "docs/draft/c.md"]);
    assert_eq!(ids(dir.path(), &options(&["*.md"], &["draft"])), ["a.md", "docs/b.md"]);
    assert_eq!(ids(dir.path(), &options(&[], &["*.md"])), ["a.rs"]);
    assert_eq!(ids(dir.path(), &options(&["docs/*.md", "*.rs"], &[])), ["a.rs", "docs/b.md"]);
    let error = read_all(dir.path(), Split::Never, &options(&["a[.md"], &[])).unwrap_err();
    assert!(matches!(error, Error::Glob { glob, .. } if glob == "a[.md"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_each_folder_is_read_once() {
    use std::os::unix::fs::symlink;
    let dir = folder(&[("notes/a.txt", b"x"), ("notes/deep/c.txt", b"x"), ("elsewhere/b.txt", b"x")]);
    let at = |name: &str| dir.path().join(name);
    symlink("../elsewhere/b.txt", at("notes/b-linked.txt")).unwrap();
    symlink("../elsewhere", at("notes/linked")).unwrap();
    symlink("../elsewhere", at("notes/linked-twice")).unwrap();
    symlink("deep", at("notes/a-folder-that-is-here")).unwrap();
    symlink(".", at("notes/loop")).unwrap();
    symlink("../..", at("notes/deep/above")).unwrap();
    symlink("../notes", at("elsewhere/back")).unwrap();
    let found = ["a.txt", "b-linked.txt", "deep/c.txt", "linked/b.txt"];
    assert_eq!(ids(&at("notes"), &ReadOptions::default()), found);
    // The folder itself may be a link.
    symlink("notes", at("link")).unwrap();
    assert_eq!(ids(&at("link"), &ReadOptions::default()), found);

    symlink("nowhere", at("notes/broken")).unwrap();
    let skipped = read_all(&at("notes"), Split::Never, &ReadOptions::default()).unwrap().1.skipped;
    assert_eq!((skipped.total, &skipped.named[0].path), (1, &at("notes/broken")));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_no_id_can_hold_are_skipped_and_named() {
    use std::os::unix::ffi::OsStrExt;
    let dir = folder(&[("a\nb", b"x")]);
    for name in [b"x\xfe.txt", b"x\xff.txt"] {
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    let (documents, report) = read_all(dir.path(), Split::Never, &ReadOptions::default()).unwrap();
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0].id, "x\u{fffd}.txt");
    let reasons: Vec<&str> = report.skipped.named.iter().map(|file| file.reason.as_str()).collect();
    let look_alike = "its name is not valid UTF-8, and looks like that of another file";
    assert_eq!(reasons, ["the id \"a\\nb\" holds a line break", look_alike]);
}

#[test]
fn an_index_and_unfinished_files_are_no_text() {
    let dir = folder(&[
        ("a.txt", b"x"),
        ("i.index/manifest", b"SELVEDGE and more"),
        ("i.index/notes.txt", b"x"),
        ("web/manifest", b"{}"),
        ("j.index/.selvedge.lock", b""),
        ("j.index/.selvedge.partial/documents", b"x"),
        (".docs.partial", b"x"),
    ]);
    let hidden = ReadOptions { hidden: true, ..ReadOptions::default() };
    assert_eq!(ids(dir.path(), &hidden), ["a.txt", "web/manifest"]);
}

#[test]
fn text_is_decompressed_and_decoded() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"packed").unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::stream::encode_all(b"packed".as_slice(), 1).unwrap();
    let files: [(&str, &[u8]); 4] =
        [("a.txt.gz", &gzip), ("b.zst", &zstd), ("c.txt", b"\xef\xbb\xbfhello"), ("d.txt", b"\xff\xfeh\0i\0")];
    let (documents, _) = read_all(folder(&files).path(), Split::Never, &ReadOptions::default()).unwrap();
    let texts: Vec<_> = documents.iter().map(|d| (d.id.as_str(), d.text.as_str())).collect();
    assert_eq!(texts, [("a.txt.gz", "packed"), ("b.zst", "packed"), ("c.txt", "hello"), ("d.txt", "hi")]);
}

#[test]
fn compressed_lines_are_read_by_the_name_below_the_compression() {
    let zstd = |text: &str| zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    let dir = folder(&[
        ("c.tsv.zst", &zstd("id\ttext\na\t{one}\n")),
        ("c.jsonl.zst", &zstd("{\"id\": \"a\", \"text\": \"{one}\"}\n")),
        ("c.unknown", &zstd(" {\"id\": \"a\", \"text\": \"{one}\"}\n")),
    ]);
    for (name, had_header) in [("c.tsv.zst", true), ("c.jsonl.zst", false), ("c.unknown", false)] {
        let (documents, report) = read_all(&dir.path().join(name), Split::Never, &ReadOptions::default()).unwrap();
        let expected = Document { id: "a".into(), text: "{one}".into(), metadata: None };
        assert_eq!((documents, report.had_header), (vec![expected], had_header), "{name}");
    }
}

#[test]
fn a_bad_line_has_one_number_that_of_the_file() {
    let dir = folder(&[("c.jsonl", b"{\"id\": \"a\", \"text\": \"x\"}\n\n{\"id\": \"b\", \"text\": \n")]);
    let error = read_all(&dir.path().join("c.jsonl"), Split::Never, &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("c.jsonl, line 3: malformed JSON at column 20: EOF while parsing a value"));
}

#[test]
fn a_beir_folder_is_its_corpus() {
    let dir = folder(&[
        ("corpus.jsonl", b"{\"_id\": \"1\", \"title\": \"Foxes\", \"text\": \"are red.\"}\n"),
        ("queries.jsonl", b"{\"_id\": \"q\", \"text\": \"fox\"}\n"),
        ("qrels/test.tsv", b"query-id\tcorpus-id\tscore\nq\t1\t1\n"),
    ]);
    let (documents, _) = read_all(dir.path(), Split::Words(1), &ReadOptions::default()).unwrap();
    assert_eq!(documents.len(), 1);
    assert_eq!((documents[0].id.as_str(), documents[0].text.as_str()), ("1", "Foxes are red."));
}

#[test]
fn parts_are_numbered_and_every_passage_knows_its_file_and_line() {
    let dir = folder(&[("a.txt", b"\none two\nthree four\n\nfive\n"), ("blank", b" \n"), ("b.txt", b"\n short ")]);
    let (documents, _) = read_all(dir.path(), Split::Words(2), &ReadOptions::default()).unwrap();
    let found: Vec<_> = documents.iter().map(|d| (d.id.as_str(), d.text.as_str(), d.metadata.clone())).collect();
    let at = |file: &str, line: usize| Some(json!({"file": file, "line": line}));
    let expected = [
        ("a.txt#1", "one two", at("a.txt", 2)),
        ("a.txt#2", "three four", at("a.txt", 3)),
        ("a.txt#3", "five", at("a.txt", 5)),
        ("b.txt", "short", at("b.txt", 2)),
        ("blank", "", at("blank", 1)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_part_never_has_the_id_of_a_file() {
    let dir = folder(&[("a.txt", b"one two three"), ("a.txt#1", b"one two three"), ("b.txt", b"one two three")]);
    let (documents, _) = read_all(dir.path(), Split::Words(2), &ReadOptions::default()).unwrap();
    let ids: Vec<&str> = documents.iter().map(|d| d.id.as_str()).collect();
    let expected = ["a.txt/#1", "a.txt/#2", "a.txt#1#1", "a.txt#1#2", "b.txt#1", "b.txt#2"];
    assert_eq!(ids, expected);
}

/// Passages of 100 bytes that share 20 with the next, over a file of several pieces.
#[test]
fn a_long_file_is_split_as_if_it_were_whole() {
    let splitter = |text: &str| -> Result<Vec<Range<usize>>> {
        let starts = (0..text.len()).step_by(80);
        Ok(starts.take_while(|&at| at == 0 || at + 20 < text.len()).map(|at| at..(at + 100).min(text.len())).collect())
    };
    let text: String = (0..90_000).map(|number| format!("{number:06}\n")).collect();
    let dir = folder(&[("a.txt", text.as_bytes())]);
    let (documents, _) = read_all(dir.path(), Split::By(&splitter), &ReadOptions::default()).unwrap();
    let whole = splitter(&text).unwrap();
    assert_eq!(documents.len(), whole.len());
    for (document, range) in documents.iter().zip(whole) {
        assert_eq!(document.text, text[range.clone()].trim());
        // A passage that begins with the end of a line is on the next one.
        let line = 1 + (range.start + 1) / 7;
        assert_eq!(document.metadata, Some(json!({"file": "a.txt", "line": line})), "{}", document.id);
    }
}

/// Nothing of a file is given out before all of it is known to be text.
#[test]
fn a_long_file_that_turns_bad_is_skipped_whole() {
    let mut bytes = b"some words and \n".repeat(60_000);
    bytes.push(0xff);
    let dir = folder(&[("a.txt", &bytes), ("b.txt", b"fine")]);
    for split in [Split::Never, Split::Words(100)] {
        let (documents, report) = read_all(dir.path(), split, &ReadOptions::default()).unwrap();
        assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["b.txt"]);
        assert_eq!(report.skipped.named[0].reason, "line 60001: not valid UTF-8");
    }
}

/// A compressed file is known to be complete only at its end.
#[test]
fn a_long_compressed_file_that_is_cut_off_is_skipped_whole() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&b"some words and \n".repeat(60_000)).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut flipped = gzip.clone();
    let checksum = gzip.len() - 8;
    flipped[checksum] ^= 1;
    let dir = folder(&[("a.gz", &gzip[..gzip.len() - 1]), ("b.gz", &flipped), ("c.gz", &gzip)]);
    for split in [Split::Never, Split::Words(100)] {
        let (documents, report) = read_all(dir.path(), split, &ReadOptions::default()).unwrap();
        assert!(documents.iter().all(|document| document.id.starts_with("c.gz")));
        assert_eq!((documents.is_empty(), report.skipped.total), (false, 2));
    }
}

/// A megabyte without a space has no boundary to split at; it is cut, and nothing of it is lost.
#[test]
fn a_long_word_is_not_held_whole() {
    let bytes = [b"x".repeat(1 << 20).as_slice(), b" end"].concat();
    let dir = folder(&[("a.txt", &bytes)]);
    let (documents, _) = read_all(dir.path(), Split::Words(100), &ReadOptions::default()).unwrap();
    assert!(documents.len() > 2 && documents.iter().all(|d| d.text.len() < 600 << 10));
    assert_eq!(documents.iter().map(|d| d.text.replace(' ', "").len()).sum::<usize>(), (1 << 20) + 3);
}

/// Passages of more bytes than a piece of a file: long words, and many words.
#[test]
fn words_are_whole_across_pieces() {
    let long = (0..300).map(|number| format!("{number:05000} ")).collect::<String>();
    let many = "word ".repeat(150_000);
    for (text, words) in [(long, 100), (many, 100_000)] {
        let dir = folder(&[("a.txt", text.as_bytes())]);
        let (documents, _) = read_all(dir.path(), Split::Words(words), &ReadOptions::default()).unwrap();
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        assert_eq!(texts.join(" "), text.trim_end());
        let counts: Vec<usize> = texts.iter().map(|text| text.split(' ').count()).collect();
        let whole = |&count: &usize| (words / 2..=words + words / 4).contains(&count);
        assert!(counts.len() > 1 && counts.iter().all(whole), "{counts:?}");
    }
}

/// 5 MiB without a boundary between passages: the cut is at a space.
#[test]
fn a_passage_that_never_ends_is_cut_at_a_space() {
    let text = (0..5 << 10).map(|number| format!("{number:01000} ")).collect::<String>();
    let dir = folder(&[("a.txt", text.as_bytes())]);
    let (documents, _) = read_all(dir.path(), Split::Words(1 << 20), &ReadOptions::default()).unwrap();
    assert!(documents.len() > 1);
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    assert_eq!(texts.join(" "), text.trim_end());
}

#[test]
fn options_of_folders_are_refused_for_other_collections() {
    let line = b"{\"_id\": \"1\", \"text\": \"are red.\"}\n";
    let dir = folder(&[("beir/corpus.jsonl", line), ("beir/queries.jsonl", line), ("c.jsonl", line)]);
    let default = ReadOptions::default;
    for (options, name) in [
        (ReadOptions { split_words: Some(100), ..default() }, "split"),
        (ReadOptions { include: globs(&["*.md"]), ..default() }, "include"),
        (ReadOptions { exclude: globs(&["*.md"]), ..default() }, "exclude"),
    ] {
        for collection in ["beir", "c.jsonl"] {
            let error = read(&dir.path().join(collection), None, &options, |_| Ok(())).unwrap_err();
            let is_right = |path: &Path, option: &str| path.ends_with(collection) && option == name;
            assert!(matches!(&error, Error::FolderOption { path, option } if is_right(path, option)), "{error}");
        }
        // A missing file is reported before an option that does not apply.
        let error = read(&dir.path().join("none"), None, &options, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
    // 0 words, which never split a file, is allowed: other collections are not split either.
    let never = ReadOptions { split_words: Some(0), ..default() };
    assert_eq!(read(&dir.path().join("c.jsonl"), None, &never, |_| Ok(())).unwrap().passages, 1);
}
