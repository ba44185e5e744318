//! Checks the diagram of crates in CONTRIBUTING.md against the manifests: the same crates, the same dependencies.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Map from each crate to the crates that it uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns the name of a package in the diagram.
fn short(package: &str) -> String {
    if package == "selvedge" { "engine".to_owned() } else { package.trim_start_matches("selvedge-").to_owned() }
}

/// Returns the normal dependencies between the packages of this workspace, except for the root package, which only has
/// tests and benchmarks.
fn manifests() -> Graph {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let uses = |package: &Value| -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        normal
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| names.contains(name))
            .map(short)
            .collect()
    };
    let graph = packages.iter().map(|package| (short(package["name"].as_str().expect("a name")), uses(package)));
    graph.filter(|(name, _)| name != "house").collect()
}

/// Whether `from` uses `to`, directly or through other crates.
fn reaches(graph: &Graph, from: &str, to: &str) -> bool {
    graph[from].iter().any(|next| next == to || reaches(graph, next, to))
}

/// Returns the graph without the dependencies that follow from others.
fn reduced(graph: &Graph) -> Graph {
    let follows = |from: &str, to: &str| graph[from].iter().any(|next| next != to && reaches(graph, next, to));
    let direct = |from: &str, uses: &BTreeSet<String>| uses.iter().filter(|to| !follows(from, to)).cloned().collect();
    graph.iter().map(|(from, uses)| (from.clone(), direct(from, uses))).collect()
}

/// Returns the dependencies in the diagram: each line is a chain in which every crate is used by the next.
fn diagram() -> Graph {
    let text = include_str!("../CONTRIBUTING.md");
    let diagram = text.split("```house\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a diagram");
    let mut graph = Graph::new();
    for line in diagram.lines() {
        let chain: Vec<&str> = line.split(['─', '>']).map(str::trim).filter(|name| !name.is_empty()).collect();
        chain.iter().for_each(|&name| _ = graph.entry(name.to_owned()).or_default());
        for pair in chain.windows(2) {
            graph.entry(pair[1].to_owned()).or_default().insert(pair[0].to_owned());
        }
    }
    graph
}

#[test]
fn the_diagram_of_crates_matches_the_manifests() {
    assert_eq!(diagram(), reduced(&manifests()));
}
