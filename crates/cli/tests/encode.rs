//! `selvedge encode` writes the same arrays as `index --save-embeddings`, and `index` and `search` read them.

#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;

fn selvedge(folder: &Path, words: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    let output = command.args(words.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "selvedge {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Prints what a search finds in the index of these embeddings, by these queries.
fn found(folder: &Path, index: &str, queries: &str) -> Vec<String> {
    selvedge(folder, &format!("index --embeddings {index} {index}.index"));
    let found = selvedge(folder, &format!("search {index}.index --query-embeddings {queries} --json"));
    let results = |line: &str| {
        let hit: serde_json::Value = serde_json::from_str(line).unwrap();
        format!("{} {}", hit["query_id"], hit["results"])
    };
    found.lines().map(results).collect()
}

/// Passages and queries have the same ids and scores as a folder, an `.npz` and safetensors.
#[test]
fn one_file_holds_what_a_folder_holds() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("c.tsv", "a\tthe woven edge of a cloth\nb\t\nc\tlate interaction\nd\ta loom holds threads\n");
    write("q.tsv", "one\tcloth\ntwo\tweaving threads\n");
    for out in ["folder", "d.npz", "d.safetensors"] {
        selvedge(dir.path(), &format!("encode c.tsv {out}"));
        selvedge(dir.path(), &format!("encode q.tsv q-{out} --queries --f32"));
    }
    let expected =
        found(dir.path(), "folder", "q-folder/queries.npy --query-lens q-folder/querylens.npy --queries q.tsv");
    assert!(expected[0].starts_with("\"one\"") && expected[0].contains("\"id\":\"a\""), "{expected:?}");
    std::fs::remove_dir_all(dir.path().join("folder.index")).unwrap();
    assert_eq!(found(dir.path(), "folder", "q-folder"), expected, "ids of the folder");
    for out in ["d.npz", "d.safetensors"] {
        assert_eq!(found(dir.path(), out, &format!("q-{out}")), expected, "{out}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        let again = command.args(["encode", "c.tsv", out]).current_dir(dir.path()).output().unwrap();
        assert_eq!(again.status.code(), Some(2), "{out} was there");
    }
    // Ids of their own, and a build that saves what it read.
    write("ids.txt", "1\n2\n3\n4\n");
    selvedge(dir.path(), "index --embeddings d.npz --ids ids.txt i");
    let hits = selvedge(dir.path(), "search i --query-embeddings q-d.npz --json");
    assert!(hits.contains("\"id\":\"1\"") && !hits.contains("\"id\":\"a\""), "{hits}");
    let fails = |words: &str, reason: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        let output = command.args(words.split_whitespace()).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{words}: {said}");
    };
    // Embeddings of other passages, or in another order, are no truth about an index; numbers are an order alone.
    write("r.tsv", "one\t1\t1\n");
    let eval = "eval i --query-embeddings q-d.npz --qrels r.tsv --embeddings";
    fails(&format!("{eval} d.npz"), "d.npz: passage 0 has the id \"a\", in the index \"1\"");
    std::fs::remove_file(dir.path().join("folder/ids.txt")).unwrap();
    selvedge(dir.path(), &format!("{eval} folder"));
    // Ids of queries are what lines of queries are: none is blank, and none there twice.
    for (ids, reason) in [("one\none\n", "query 2: the id \"one\" is used twice"), ("one\n", "2")] {
        write("q-folder/queryids.txt", ids);
        fails("search i --query-embeddings q-folder", reason);
    }
    selvedge(dir.path(), "index c.tsv t --save-embeddings saved.npz");
    assert_eq!(std::fs::read(dir.path().join("saved.npz")).unwrap(), std::fs::read(dir.path().join("d.npz")).unwrap());
}

#[test]
fn arrays_that_index_and_search_read() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    write("c.tsv", "a\tthe woven edge of a cloth\nb\t\nc\tlate interaction\nd\ta loom holds threads\n");
    write("q.tsv", "one\tcloth\ntwo\tweaving threads\n");
    selvedge(dir.path(), "index c.tsv text.index --save-embeddings saved");
    selvedge(dir.path(), "encode c.tsv vectors");
    for name in ["docs.npy", "doclens.npy", "ids.txt"] {
        assert_eq!(read(&format!("vectors/{name}")), read(&format!("saved/{name}")), "{name}");
    }
    selvedge(dir.path(), "encode c.tsv wide --f32");
    assert!(read("wide/docs.npy").len() > 3 * read("vectors/docs.npy").len() / 2);

    selvedge(dir.path(), "encode q.tsv vectors --queries");
    let before = read("vectors/docs.npy");
    for words in ["encode c.tsv vectors --f32", "index c.tsv j --save-embeddings vectors"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        let output = command.args(words.split_whitespace()).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("vectors/docs.npy"), "{words}: {said}");
    }
    assert_eq!(read("vectors/docs.npy"), before);
    selvedge(dir.path(), "encode c.tsv vectors --force");
    selvedge(dir.path(), "index --embeddings vectors/docs.npy --doclens vectors/doclens.npy --ids vectors/ids.txt i");
    let found = selvedge(
        dir.path(),
        "search i --query-embeddings vectors/queries.npy --query-lens vectors/querylens.npy --queries q.tsv --json",
    );
    let best = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["results"][0]["id"].clone();
    assert_eq!(found.lines().map(best).collect::<Vec<_>>(), ["a", "d"]);
}
