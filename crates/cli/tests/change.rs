//! The commands that change an index: what they print, and what bad input gets.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use std::fs;
use support::{Collection, PASSAGES, write_floats, write_lens};

/// Arrays of three more passages, `more.npy`, `more-lens.npy` and `more-ids.txt`, with these components per embedding.
fn more(c: &Collection, dim: usize, ids: &str) {
    let rows: Vec<Vec<f32>> = (0..6).map(|i| (0..dim).map(|d| if d == i { 1.0 } else { 0.0 }).collect()).collect();
    write_floats(&c.path("more.npy"), &rows, &[6, dim]);
    write_lens(&c.path("more-lens.npy"), &[1, 2, 3]);
    c.write("more-ids.txt", ids);
}

const MORE: &str = "--embeddings more.npy --doclens more-lens.npy";

fn info(c: &Collection) -> Value {
    serde_json::from_str(&c.ok("info i --json")).unwrap()
}

#[test]
fn each_command_prints_the_generation_that_it_committed() {
    let c = Collection::new();
    c.index("i", "");
    more(&c, support::DIM, "a\nb\nc\n");
    assert_eq!(c.ok(&format!("add i {MORE} --ids more-ids.txt")), "2\n");
    assert_eq!(c.ok("delete i a passage-7"), "3\n");
    assert_eq!(info(&c)["passages"], PASSAGES + 1);
    let report: Value = serde_json::from_str(&c.ok(&format!("update i {MORE} --ids more-ids.txt --json"))).unwrap();
    assert_eq!((&report["added"], &report["deleted"]), (&3.into(), &2.into()), "{report}");
    c.write("gone.txt", "a\nnowhere\n\nb\n");
    c.ok("delete i --ids gone.txt --ignore-missing");
    let before = info(&c);
    assert_eq!((&before["passages"], before["deleted"].as_u64().unwrap() > 0), (&PASSAGES.into(), true), "{before}");
    let report: Value = serde_json::from_str(&c.ok("compact i --json")).unwrap();
    let after = info(&c);
    assert_eq!((&after["deleted"], &after["segments"], &report["segments"]), (&0.into(), &1.into(), &1.into()));
    assert_eq!(after["generation"], report["generation"]);
    assert_eq!(after["generations"].as_array().unwrap().len(), 1, "{after}");
    let found = c.ok("search i --query-embeddings queries.npy --exact -k 1 --json");
    let first: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    assert_eq!(first["results"][0]["id"], "passage-0");
    assert!(!found.contains("passage-7\""), "it was deleted");
    assert_eq!(c.ok(&format!("add i {MORE}")).lines().count(), 1, "without ids, numbers follow");
    let ids = info(&c)["passages"].as_u64().unwrap();
    assert_eq!(ids, PASSAGES as u64 + 3);
    c.ok("compact i --retrain");
    c.ok("verify i");
}

#[test]
fn bad_changes_are_named_and_change_nothing() {
    let c = Collection::new();
    c.index("i", "");
    let before = info(&c);
    let refused = |words: &str, code: i32, parts: &[&str]| {
        let complaint = c.fails(words, code);
        assert!(parts.iter().all(|part| complaint.contains(part)), "selvedge {words}: {complaint}");
        assert_eq!(info(&c), before, "selvedge {words}");
        assert!(fs::read_dir(c.path("i")).unwrap().all(|f| !f.unwrap().file_name().to_string_lossy().starts_with('.')));
    };
    more(&c, support::DIM, "a\nb\npassage-3\n");
    let add = &format!("add i {MORE} --ids more-ids.txt");
    refused(add, 1, &["more-ids.txt, line 3", "passage-3", "update"]);
    c.write("more-ids.txt", "a\nb\na\n");
    refused(add, 1, &["more-ids.txt, line 3", "\"a\"", "twice"]);
    refused(&add.replace("add", "update"), 1, &["line 3", "\"a\""]);
    c.write("more-ids.txt", "a\nb\n");
    refused(add, 1, &["more-ids.txt", "2 entries", "expected 3"]);
    refused(&format!("update i {MORE}"), 1, &["--ids"]);
    more(&c, 24, "a\nb\nc\n");
    refused(add, 1, &["24", "32"]);
    refused("add i more-ids.txt", 1, &["embeddings", "--doclens"]);
    refused("add i", 2, &["COLLECTION"]);
    refused("delete i", 2, &["ID"]);
    refused("delete i passage-1 what", 1, &["what", "--ignore-missing"]);
    refused("delete i --ids nothing.txt", 1, &["nothing.txt"]);
    for command in ["add none more-ids.txt", "delete none a", "compact none", "upgrade none"] {
        assert!(c.fails(command, 1).contains("there is no index"), "{command}");
        c.nothing_made("none");
    }
    let writer = selvedge_index::Writer::open(&c.path("i")).unwrap();
    let complaint = c.fails("delete i passage-1", 1);
    assert!(complaint.contains(&format!("process {} (", std::process::id())), "{complaint}");
    drop(writer);
    assert_eq!(info(&c), before);

    let manifest = c.path("i/manifest-0001");
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[8] = 9;
    let checksum = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    fs::write(c.path("i/manifest-0002"), &bytes).unwrap();
    let newer = c.fails("search i --query-embeddings queries.npy", 1);
    assert!(newer.contains("manifest-0002") && newer.contains("version 9"), "{newer}");
    assert!(c.fails("delete i passage-1", 1).contains("version 9"));
    assert!(manifest.exists(), "nothing is deleted where the newest generation cannot be read");
    fs::remove_file(c.path("i/manifest-0002")).unwrap();
    fs::rename(c.path("i/codes-0001"), c.path("codes")).unwrap();
    assert!(c.fails("delete i passage-1", 1).contains("codes-0001: missing"));
    fs::rename(c.path("codes"), c.path("i/codes-0001")).unwrap();
    assert_eq!(info(&c), before);
}

#[test]
#[cfg(unix)]
fn an_index_that_cannot_be_written_is_searched_and_not_changed() {
    use std::os::unix::fs::PermissionsExt;
    let c = Collection::new();
    c.index("i", "");
    let permit = |mode| fs::set_permissions(c.path("i"), fs::Permissions::from_mode(mode)).unwrap();
    permit(0o555);
    // The super-user may write anywhere.
    if fs::write(c.path("i/probe"), "").is_err() {
        assert!(c.fails("delete i passage-1", 1).contains("Permission denied"));
    } else {
        fs::remove_file(c.path("i/probe")).unwrap();
    }
    c.ok("search i --query-embeddings queries.npy");
    permit(0o755);
}

#[test]
fn a_reader_of_another_process_keeps_its_generation() {
    let c = Collection::new();
    c.index("i", "");
    let open = selvedge_index::Index::open(&c.path("i"), selvedge_index::Check::Checksums).unwrap();
    c.ok("delete i passage-1");
    c.ok("compact i");
    let info = info(&c);
    let generations = info["generations"].as_array().unwrap();
    let numbers: Vec<_> = generations.iter().map(|generation| generation["generation"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 3], "{info}");
    if cfg!(target_os = "linux") {
        assert_eq!(generations[0]["processes"], serde_json::json!([std::process::id()]), "{info}");
    }
    assert_eq!(open.pid("passage-1").unwrap(), Some(1));
    drop(open);
    c.ok("delete i passage-2");
    assert!(!c.path("i/manifest-0001").exists(), "no reader holds it any more");
}

#[test]
fn another_codec_is_trained_on_the_text_if_there_is_one() {
    let c = Collection::new();
    fs::create_dir(c.path("notes")).unwrap();
    c.write("notes/edge.md", "the woven edge keeps a cloth from fraying");
    c.write("notes/weft.md", "the weft is drawn over and under the warp");
    let codec_after = |index: &str, retrain: &str| {
        c.ok(&format!("index notes {index}"));
        c.ok(&format!("compact {index} {retrain}"));
        let mut files = fs::read_dir(c.path(index)).unwrap().map(|file| file.unwrap().path());
        fs::read(files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("codec-")).unwrap()).unwrap()
    };
    let [by_default, text, stored] = [("a", "--retrain"), ("b", "--retrain=text"), ("c", "--retrain=stored")]
        .map(|(index, flag)| codec_after(index, flag));
    assert!(by_default == text && by_default != stored);
}
