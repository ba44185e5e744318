//! The reports of the benchmarks: statistics, table, CSV and chart of made-up rows.

#![allow(dead_code, unreachable_pub)] // a test crate exports nothing

#[path = "../benches/support/mod.rs"]
mod support;

use clap::Parser;
use std::ffi::OsString;
use support::limits::{Limit, Peak};
use support::options::{Options, is_full};
use support::report::{Row, Subject, Units, Work, csv, markdown};
use support::{chart, sampler::Sample};

/// A call of 2 ms for 1000 passages and 10^8 products, on two threads of 10^11 products per second each.
fn row() -> Row {
    let peak = |amount| Peak { name: "limit", limit: Limit::Int8, amount, sample: Sample::of(&[1.0]) };
    let shape = "Q=32, \"prose\"".to_owned();
    let subject =
        Subject { op: "maxsim".to_owned(), engine: "selvedge", backend: "cpu/avx2".to_owned(), threads: 2, shape };
    let units = Units { amount: 1000, unit: "passages" };
    let peaks = [peak(50_000_000_000), peak(100_000_000_000)];
    Row::new(subject, Sample::of(&[0.002, 0.001, 0.002, 0.004]), units, Work::int8(100_000_000), &peaks)
}

#[test]
fn statistics_are_medians() {
    let sample = Sample::of(&[3.0, 1.0, 2.0, 10.0]);
    assert_eq!(sample, Sample { median: 2.5, mad: 1.0, least: 1.0, n: 4 });
    assert_eq!(Sample::of(&[7.0, 1.0, 2.0]), Sample { median: 2.0, mad: 1.0, least: 1.0, n: 3 });
}

#[test]
fn csv_has_the_schema_of_the_record() {
    let text = csv(&[row()], "a machine, 2 cores", "0123abc");
    let expected = "\
        name,engine,machine,isa,threads,shape,unit,median,mad,n,recall,commit\n\
        maxsim,selvedge,\"a machine, 2 cores\",avx2,2,\"Q=32, \"\"prose\"\"\",us,2000,500,4,,0123abc\n\
        maxsim_min,selvedge,\"a machine, 2 cores\",avx2,2,\"Q=32, \"\"prose\"\"\",us,1000,,4,,0123abc\n\
        maxsim,selvedge,\"a machine, 2 cores\",avx2,2,\"Q=32, \"\"prose\"\"\",passages/s,500000,,4,,0123abc\n\
        maxsim_of_limit,selvedge,\"a machine, 2 cores\",avx2,2,\"Q=32, \"\"prose\"\"\",ratio,0.25,,4,,0123abc\n";
    assert_eq!(text, expected);
}

#[test]
fn the_table_is_aligned_markdown() {
    let table = markdown(&[row()]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].chars().all(|c| c == '|' || c == '-'), "{}", lines[1]);
    for line in &lines {
        assert_eq!((line.chars().count(), line.matches('|').count()), (lines[0].chars().count(), 9), "{line}");
    }
    for cell in ["2 ms ± 25.0 %", "500000 passages/s", "0.25 of int8"] {
        assert!(lines[2].contains(cell), "{cell}: {}", lines[2]);
    }
}

#[test]
fn a_bar_is_as_long_as_the_part_of_the_limit() {
    let svg = chart::svg(&[row()], "a < b");
    assert!(svg.contains("width=\"75.0\"") && svg.contains("a &lt; b"), "{svg}");
}

#[test]
fn rows_are_selected_by_parts_of_their_names() {
    let name = row().subject.name();
    let select = |words: &[&str]| Options::parse_from([&["ops", "--bench"], words].concat()).select(&name);
    assert!(select(&[]) && select(&["avx2"]) && select(&["assign", "maxsim/cpu"]));
    assert!(!select(&["assign", "avx512"]));
}

#[test]
fn an_unknown_mode_lists_the_known_ones() {
    let mode = |text: &str| is_full(Some(OsString::from(text)));
    assert!(!is_full(None).unwrap() && !mode("default").unwrap() && mode("full").unwrap());
    let message = mode("fast").unwrap_err().to_string();
    assert!(["fast", "default", "full"].iter().all(|word| message.contains(word)), "{message}");
}
