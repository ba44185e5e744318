//! Bytes that are damaged or forged: errors, no panic.

use crate::support::{segment_bytes, text};
use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_lexical::{Error, Language, Result, Segment, Words};
use std::sync::Arc;

/// Bytes of a header before the checksums of its blocks.
const HEADER_BYTES: usize = 88;

/// Segment of 600 passages, whose posting lists have several blocks.
fn intact() -> Vec<u8> {
    let texts: Vec<String> = (0..600).map(|i| text(&[i % 2, i % 7, i % 300, i / 3])).collect();
    segment_bytes(Language::English, &texts).to_vec()
}

/// Searches for every word of [`intact`].
fn search(bytes: Vec<u8>) -> Result<usize> {
    let words = Words::new(vec![Arc::new(Segment::open(Bytes::from(bytes))?)])?;
    let query = text(&(0..300).collect::<Vec<_>>());
    Ok(words.search(&query, 1000, |_| None)?.len())
}

#[test]
fn intact_bytes_are_found() {
    assert_eq!(search(intact()).unwrap(), 600);
}

#[test]
fn every_shorter_or_longer_file_is_an_error() {
    let intact = intact();
    for length in 0..intact.len() {
        let error = Segment::open(Bytes::copy_from_slice(&intact[..length])).err().unwrap();
        assert!(matches!(error, Error::WrongLength { .. }), "{length}: {error}");
    }
    let longer = [intact.as_slice(), &[0]].concat();
    assert!(matches!(search(longer), Err(Error::WrongLength { .. })));
}

#[test]
fn every_changed_byte_is_an_error() {
    let intact = intact();
    for place in (0..HEADER_BYTES + 4).chain((HEADER_BYTES + 4..intact.len()).step_by(17)) {
        let mut damaged = intact.clone();
        damaged[place] ^= 1 << (place % 8);
        match search(damaged) {
            Err(Error::NotASegment { .. }) if place < 8 => {}
            Err(Error::FormatVersion { .. }) if (8..12).contains(&place) => {}
            Err(Error::BadHeader { .. } | Error::WrongLength { .. }) if place < HEADER_BYTES + 4 => {}
            Err(Error::BadBlock { block: 0, .. }) if place >= HEADER_BYTES + 4 => {}
            other => panic!("byte {place}: {other:?}"),
        }
    }
}

#[test]
fn damage_is_found_by_the_searches_that_read_it() {
    // Most of the bytes are posting lists, here of 545 words.
    let words = |i: usize| (0..10).map(|j| 60 * j + i % (50 + j)).collect::<Vec<_>>();
    let texts: Vec<String> = (0..20_000).map(|i| text(&words(i))).collect();
    let intact = segment_bytes(Language::None, &texts).to_vec();
    let (mut found, mut damaged) = (0, 0);
    for block in 0..intact.len() / (1 << 16) {
        let mut bytes = intact.clone();
        bytes[1000 + (block << 16)] ^= 1;
        let words = Words::new(vec![Arc::new(Segment::open(Bytes::from(bytes)).unwrap())]).unwrap();
        for word in [0, 300].map(|number| text(&[number])) {
            match words.search(&word, 10, |_| None) {
                Ok(hits) => found += usize::from(!hits.is_empty()),
                Err(Error::BadBlock { block: bad, .. }) => damaged += usize::from(bad == block),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(found > 0 && damaged > 1, "{found} {damaged}");
}

/// Makes the checksums of a segment of one block right.
fn forge(bytes: &mut [u8]) {
    let checksum = crc32fast::hash(&bytes[HEADER_BYTES + 4..]);
    bytes[HEADER_BYTES..][..4].copy_from_slice(&checksum.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[16..HEADER_BYTES + 4]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn forged_bytes_do_not_panic() {
    // The panics of this thread are expected: keep them out of the output.
    let (hook, this) = (std::panic::take_hook(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != this {
            hook(info);
        }
    }));
    let intact = intact();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (mut found, mut inconsistent) = (0, 0);
    for _ in 0..800 {
        let mut forged = intact.clone();
        let place = random.random_range(16..forged.len());
        forged[place] = random.random();
        forge(&mut forged);
        match search(forged) {
            Ok(_) => found += 1,
            Err(Error::Inconsistent { .. }) => inconsistent += 1,
            Err(_) => {}
        }
    }
    // Many contents are possible; others make tantivy panic, which is caught.
    assert!(found > 50 && inconsistent > 50, "{found} {inconsistent}");
}

#[test]
fn a_forged_number_of_passages_is_an_error() {
    let mut forged = intact();
    forged[32..40].copy_from_slice(&601u64.to_le_bytes());
    forge(&mut forged);
    assert!(matches!(search(forged), Err(Error::Inconsistent { .. })));
    let mut forged = intact();
    forged[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    forge(&mut forged);
    assert!(matches!(search(forged), Err(Error::Inconsistent { .. })));
}
