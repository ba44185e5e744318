//! Peak memory of tokenizing a text of two megabytes, in a process of its own.

#![allow(missing_docs, unreachable_pub, dead_code)]
#![cfg(target_os = "linux")]

mod support;

use selvedge_encoder::TextKind;
use support::{golden, load};

/// Largest accepted peak of resident memory, in KiB.
const MAX_KIB: u64 = 200 * 1024;
/// Bytes of a text.
const LEN: usize = 2 << 20;

/// Peak of resident memory so far, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The texts are one line of prose, and one long word. No prefix of the word determines its tokens, so the longest
/// allowed prefix is tokenized.
#[test]
fn a_long_line_is_tokenized_in_bounded_memory() {
    let prose = "the woven edge keeps a cloth from fraying, thread by thread. ";
    for model in ["plain_bert", "plain_modernbert", "stanford_xlm_roberta"] {
        let encoder = load(golden(model)).unwrap();
        for (kind, unit) in [("prose", prose), ("word", "fray")] {
            let text = unit.repeat(LEN / unit.len());
            let tokens = encoder.pipeline().tokenize(&[&text], TextKind::Passage).unwrap();
            assert!(tokens[0].is_truncated, "{model}, {kind}");
            encoder.passage_token_spans(&text).unwrap();
            println!("{model}, {kind}: {} MiB", peak_kib() / 1024);
            assert!(peak_kib() < MAX_KIB, "{model}, {kind}: {} KiB", peak_kib());
        }
    }
}
