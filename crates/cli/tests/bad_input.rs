//! Bad input gets an error that names the file, line or value, a non-zero exit, and nothing half-written.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod support;

use support::Collection;

/// The folder holds no index `name`, and nothing left over from making one.
fn nothing_made(c: &Collection, name: &str) {
    let left: Vec<String> = std::fs::read_dir(c.dir.path())
        .unwrap()
        .map(|f| f.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|f| f == name || f.contains(".partial"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn usage_errors_exit_with_2() {
    let c = Collection::new();
    for words in ["", "index", "search", "frobnicate", "index a b --nbits 3", "index a b --memory-budget lots"] {
        c.fails(words, 2);
    }
    assert!(c.fails("index docs.npy i", 2).contains("--model"));
    assert!(c.fails("index --embeddings docs.npy i", 2).contains("--doclens"));
    c.index("i", "");
    assert!(c.fails("search i", 2).contains("no query"));
    assert!(c.fails("search i words", 2).contains("--query-embeddings"));
}

#[test]
fn missing_and_misshapen_arrays() {
    let c = Collection::new();
    let index = |docs: &str, lens: &str| c.fails(&format!("index --embeddings {docs} --doclens {lens} i"), 1);
    assert!(index("none.npy", "lens.npy").contains("none.npy"));
    assert!(index("docs.npy", "none.npy").contains("none.npy"));
    assert!(index("ids.txt", "lens.npy").contains("ids.txt: is not a NumPy file"));
    assert!(index("docs.npy", "docs.npy").contains("docs.npy: holds <f4"));
    assert!(index("queries.npy", "lens.npy").contains("expected (total_tokens, D)"));
    let bytes = std::fs::read(c.path("docs.npy")).unwrap();
    std::fs::write(c.path("cut.npy"), &bytes[..bytes.len() - 5]).unwrap();
    assert!(index("cut.npy", "lens.npy").contains("cut.npy"));
    let mut nan = bytes.clone();
    let at = nan.len() - 4;
    nan[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(c.path("nan.npy"), nan).unwrap();
    assert!(index("nan.npy", "lens.npy").contains("not finite"));
    c.write("few.txt", "a\nb\n");
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy --ids few.txt i", 1);
    assert!(complaint.contains("few.txt") && complaint.contains("300"), "{complaint}");
    c.write("twice.txt", &"same\n".repeat(300));
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy --ids twice.txt i", 1);
    assert!(complaint.contains("same"), "{complaint}");
    nothing_made(&c, "i");
}

#[test]
fn an_index_that_exists_is_left_alone() {
    let c = Collection::new();
    c.index("i", "");
    let before = c.ok("info i --json");
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy i --nbits 4", 1);
    assert!(complaint.contains("exists"), "{complaint}");
    assert_eq!(before, c.ok("info i --json"));
}

#[test]
fn a_budget_that_cannot_hold_the_centroids() {
    let c = Collection::new();
    let complaint = c.fails("index --embeddings docs.npy --doclens lens.npy i --memory-budget 10k", 1);
    assert!(complaint.contains("--memory-budget"), "{complaint}");
    nothing_made(&c, "i");
}

#[test]
fn queries_that_do_not_fit() {
    let c = Collection::new();
    c.index("i", "");
    let search = |words: &str| c.fails(&format!("search i {words}"), 1);
    assert!(search("--query-embeddings none.npy").contains("none.npy"));
    assert!(search("--query-embeddings docs.npy").contains("expected (queries, tokens, D)"));
    assert!(search("--query-embeddings queries.npy --query-lens lens.npy").contains("do not fit"));
    c.write("bad.tsv", "q1\tfine\nno tab here\n");
    let complaint = search("--queries bad.tsv --query-embeddings queries.npy");
    assert!(complaint.contains("bad.tsv, line 2"), "{complaint}");
}

#[test]
fn every_flipped_or_missing_byte_is_noticed() {
    let c = Collection::new();
    c.index("i", "--nbits 1 --centroids 16");
    let files: Vec<_> = std::fs::read_dir(c.path("i")).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 7);
    c.ok("verify i");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).unwrap();
        for damage in ["flip", "cut", "gone"] {
            match damage {
                "flip" => {
                    let mut broken = bytes.clone();
                    let middle = broken.len() / 2;
                    broken[middle] ^= 4;
                    std::fs::write(&file, broken).unwrap();
                }
                "cut" => std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
                _ => std::fs::remove_file(&file).unwrap(),
            }
            let complaint = c.fails("search i --query-embeddings queries.npy", 1);
            assert!(complaint.contains(&name), "{damage} {name}: {complaint}");
            let output = c.run("verify i");
            let report = String::from_utf8_lossy(&output.stdout);
            let line = report.lines().find(|l| l.starts_with(&name)).unwrap_or_default();
            assert!(output.status.code() == Some(1) && line.contains("BROKEN"), "{damage} {name}: {report}");
            std::fs::write(&file, &bytes).unwrap();
        }
    }
    c.ok("verify i");
    let complaint = c.fails("search nowhere --query-embeddings queries.npy", 1);
    assert!(complaint.contains("nowhere"), "{complaint}");
}
