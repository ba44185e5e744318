//! `selvedge index --update`: an index that follows its folder.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};
use support::Collection;

/// Writes a file of the folder, `seconds` after a time long ago.
fn write(c: &Collection, name: &str, text: &str, seconds: u64) {
    fs::create_dir_all(c.path("notes/deep")).unwrap();
    c.write(&format!("notes/{name}"), text);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds);
    File::options().append(true).open(c.path("notes").join(name)).unwrap().set_modified(time).unwrap();
}

fn fill(c: &Collection) {
    write(c, "edge.md", "the woven edge keeps a cloth from fraying", 0);
    write(c, "deep/weft.md", "the weft is drawn over and under the warp", 0);
    write(c, "logs.md", "old log files are rotated every night", 0);
}

/// Runs `selvedge index --update`, and returns the generation and the messages.
fn update(c: &Collection, flags: &str) -> (u32, String) {
    let output = c.run(&format!("index --update notes notes.index {flags}"));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{messages}");
    (String::from_utf8(output.stdout).unwrap().trim().parse().unwrap(), messages)
}

/// Ids and texts that a search finds. All passages are found; a codec of so few passages ranks those that come later
/// badly.
fn texts(c: &Collection) -> BTreeMap<String, String> {
    let found: Value = serde_json::from_str(&c.ok("search notes.index selvedge --json -k 50")).unwrap();
    let word = |hit: &Value, key: &str| hit[key].as_str().unwrap().to_owned();
    found["results"].as_array().unwrap().iter().map(|hit| (word(hit, "id"), word(hit, "text"))).collect()
}

#[test]
fn only_what_changed_is_added_updated_and_deleted() {
    let c = Collection::new();
    fill(&c);
    let (generation, messages) = update(&c, "");
    assert!(generation == 1 && messages.contains("notes.index: 3 passages"), "a missing index is built: {messages}");
    let (generation, messages) = update(&c, "");
    let files = "of the files, 0 added, 0 changed, 0 deleted, 0 touched, 3 unchanged, 0 skipped";
    assert!(generation == 1 && messages.contains(files), "{generation} {messages}");

    write(&c, "edge.md", "a selvedge", 1);
    write(&c, "mail.md", "the mail server delivers messages", 0);
    write(&c, "image.png", "\0", 0);
    fs::remove_file(c.path("notes/logs.md")).unwrap();
    let (generation, messages) = update(&c, "");
    let files = "of the files, 1 added, 1 changed, 1 deleted, 0 touched, 1 unchanged, 1 skipped";
    assert!(generation > 1 && messages.contains(files), "{messages}");
    assert!(messages.contains("2 passages added, 2 deleted; 3 passages"), "{messages}");
    assert!(messages.contains("skipped notes/image.png: not text"), "{messages}");
    let expected = [
        ("deep/weft.md", "the weft is drawn over and under the warp"),
        ("edge.md", "a selvedge"),
        ("mail.md", "the mail server delivers messages"),
    ];
    assert_eq!(texts(&c), expected.map(|(id, text)| (id.to_owned(), text.to_owned())).into());
    c.ok("verify notes.index");

    let (again, messages) = update(&c, "");
    assert_eq!(again, generation, "{messages}");
    assert!(!messages.contains("image.png"), "a skipped file is named once: {messages}");
    assert!(c.fails("index --update notes notes.index --strict", 1).contains("image.png: not text"));
}

/// A build without --update is updated as well.
#[test]
fn reports_are_json() {
    let c = Collection::new();
    fill(&c);
    let json = |words: &str| serde_json::from_str::<Value>(&c.ok(words)).unwrap();
    let built = json("index notes notes.index --nbits 4 --json");
    assert_eq!((&built["generation"], &built["passages"]), (&1.into(), &3.into()));
    write(&c, "edge.md", "a selvedge", 1);
    let report = json("index --update notes notes.index --json");
    assert_eq!((&report["added"], &report["deleted"], &report["passages"]), (&1.into(), &1.into(), &3.into()));
    assert!(report["generation"].as_u64().unwrap() > 1);
    let files = serde_json::json!({
        "added": 0, "changed": 1, "deleted": 0, "touched": 0, "unchanged": 2, "skipped": 0,
    });
    assert_eq!(report["files"], files);
    assert_eq!(json("info notes.index --json")["nbits"], 4, "the codec stays");
    let built = json("index --update notes other.index --json");
    assert_eq!((&built["generation"], &built["passages"]), (&1.into(), &3.into()));
    assert_eq!(c.ok("index notes quiet.index"), "", "a build prints nothing");
}

#[test]
fn flags_of_a_build_and_indexes_of_something_else_are_refused() {
    let c = Collection::new();
    fill(&c);
    for flags in ["--nbits 4", "--codec colbertv2", "--centroids 4", "--pool 2", "--seed 1", "--save-embeddings e"] {
        assert!(c.fails(&format!("index --update notes notes.index {flags}"), 2).contains("--update"), "{flags}");
    }
    c.fails("index --update --embeddings docs.npy --doclens lens.npy notes.index", 2);
    assert!(c.fails("index --update notes", 2).contains("expected FOLDER and INDEX"));
    assert!(c.fails("index notes notes.index --any-model", 2).contains("--update"));
    c.write("c.tsv", "a\tthe weft\n");
    assert!(c.fails("index --update c.tsv notes.index", 1).contains("c.tsv: not a folder of text files"));
    assert!(c.fails("index --update none notes.index", 1).contains("none: No such file"));
    c.nothing_made("notes.index");

    c.ok("index c.tsv tsv.index");
    assert!(c.fails("index --update notes tsv.index", 1).contains("build it anew from the folder"));
    update(&c, "");
    fs::rename(c.path("notes"), c.path("moved")).unwrap();
    let complaint = c.fails("index --update moved notes.index", 1);
    assert!(complaint.contains("/notes,") && complaint.contains("/moved:"), "{complaint}");
    assert_eq!(c.ok("index --update moved moved.index"), "1\n");
}
