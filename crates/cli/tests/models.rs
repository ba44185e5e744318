//! The model whose name an index stores: found from any folder, reported if missing, refused or accepted if it differs.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use serde_json::Value;
use std::path::Path;
use support::Collection;

/// Creates a folder with the checkpoint `mymodel` and an index that was built with it under this name.
fn indexed() -> Collection {
    let c = Collection::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pylate_bert");
    copy(&golden, &c.path("mymodel"));
    std::fs::create_dir(c.path("sub")).unwrap();
    c.write("c.tsv", "a\tthe woven edge\nb\tthe loom holds the threads\n");
    c.ok("index c.tsv i --model mymodel");
    c
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Searches from another folder; returns whether that succeeded, and the messages.
fn search_from_sub(c: &Collection, more: &str) -> (bool, String) {
    let output = c.command(&format!("search ../i woven {more}"), &[]).current_dir(c.path("sub")).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_folder_is_found_from_another_one_and_said_where_it_is_gone() {
    let c = indexed();
    let (found, said) = search_from_sub(&c, "");
    assert!(found, "{said}");
    let info: Value = serde_json::from_str(&c.ok("info i --json")).unwrap();
    let remembered = info["encoder"]["model"].as_str().unwrap();
    assert!(Path::new(remembered).is_absolute() && remembered.ends_with("mymodel"), "{remembered}");

    std::fs::rename(c.path("mymodel"), c.path("moved")).unwrap();
    let (found, said) = search_from_sub(&c, "");
    assert!(!found && said.contains("the index was made with the model") && said.contains(remembered), "{said}");
    assert!(said.contains("--model"), "{said}");
    let (found, said) = search_from_sub(&c, "--model ../moved");
    assert!(found, "{said}");
}

#[test]
fn a_model_that_was_saved_again_is_taken_where_that_is_asked_for() {
    let c = indexed();
    let before = c.ok("search i woven --json");
    let tokenizer = c.path("mymodel/tokenizer.json");
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(&tokenizer).unwrap()).unwrap();
    std::fs::write(&tokenizer, serde_json::to_string(&saved).unwrap()).unwrap();
    let refused = c.fails("search i woven", 1);
    assert!(
        refused.contains("fingerprint") && refused.contains("tokenizer") && refused.contains("--any-model"),
        "{refused}"
    );
    let (taken, said) = search_from_sub(&c, "--any-model");
    assert!(taken && said.contains("differs, and is used as requested"), "{said}");
    let results = |line: &str| serde_json::from_str::<Value>(line).unwrap()["results"].clone();
    assert_eq!(results(&before), results(&c.ok("search i woven --any-model --json")));
}

/// An index of either executor is searched by the other, under one fingerprint. A build without candle refuses it by
/// name; that of `cargo test --workspace` has it.
#[test]
fn either_executor_searches_an_index() {
    let c = indexed();
    let ranked = |line: &str| -> Vec<Value> {
        let results = serde_json::from_str::<Value>(line).unwrap()["results"].clone();
        results.as_array().unwrap().iter().map(|hit| hit["id"].clone()).collect()
    };
    let output = c.command("search i loom --json --executor candle", &[]).output().unwrap();
    if !output.status.success() {
        let said = String::from_utf8(output.stderr).unwrap();
        return assert!(said.contains("--features candle"), "{said}");
    }
    let own = ranked(&c.ok("search i loom --json"));
    assert_eq!(own.len(), 2);
    assert_eq!(ranked(&String::from_utf8(output.stdout).unwrap()), own);
    c.ok("index c.tsv j --model mymodel --executor candle");
    assert_eq!(ranked(&c.ok("search j loom --json")), own);
    let refused = c.fails("search i loom --executor candle --precision int8", 1);
    assert!(refused.contains("f32 only") && refused.contains("--precision"), "{refused}");
}
