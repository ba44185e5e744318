//! Indexes of texts, split into segments.

use bytes::Bytes;
use roaring::RoaringBitmap;
use selvedge_lexical::{Builder, Language, Segment, Words};
use std::sync::Arc;

/// Texts in segments, searched with pids of the whole.
pub(crate) struct Split {
    pub(crate) words: Words,
    /// First pid of each segment.
    starts: Vec<u32>,
}

/// Builds the bytes of one segment.
pub(crate) fn segment_bytes<T: AsRef<str>>(language: Language, texts: &[T]) -> Bytes {
    let mut builder = Builder::new(language).unwrap();
    for text in texts {
        builder.push(text.as_ref()).unwrap();
    }
    Bytes::from(builder.finish().unwrap())
}

/// Opens a view over one segment.
pub(crate) fn one_segment<T: AsRef<str>>(language: Language, texts: &[T]) -> Words {
    Words::new(vec![Arc::new(Segment::open(segment_bytes(language, texts)).unwrap())]).unwrap()
}

/// Finds passages of a view over one segment, best first.
pub(crate) fn find(words: &Words, query: &str) -> Vec<u32> {
    words.search(query, 100, |_| None).unwrap().iter().map(|hit| hit.pid).collect()
}

impl Split {
    /// Splits `texts` at `cuts`, in any order and with any repetitions.
    pub(crate) fn new(language: Language, texts: &[String], cuts: &[usize]) -> Self {
        let cuts = ends(texts, cuts);
        let segments = cuts.windows(2).map(|cut| segment_bytes(language, &texts[cut[0]..cut[1]]));
        let segments = segments.map(|bytes| Arc::new(Segment::open(bytes).unwrap()));
        Self { words: Words::new(segments.collect()).unwrap(), starts: cuts.iter().map(|&cut| cut as u32).collect() }
    }

    /// Splits `texts` at `cuts` into views of their own, with the first pid of each.
    pub(crate) fn views(language: Language, texts: &[String], cuts: &[usize]) -> Vec<(u32, Words)> {
        let view = |cut: &[usize]| (cut[0] as u32, one_segment(language, &texts[cut[0]..cut[1]]));
        ends(texts, cuts).windows(2).map(view).collect()
    }

    /// Returns the hits as (pid, bits of the score).
    pub(crate) fn search(&self, query: &str, k: usize, allowed: Option<&RoaringBitmap>) -> Vec<(u32, u32)> {
        let parts: Option<Vec<RoaringBitmap>> = allowed.map(|allowed| {
            let part = |cut: &[u32]| allowed.range(cut[0]..cut[1]).map(|pid| pid - cut[0]).collect();
            self.starts.windows(2).map(part).collect()
        });
        let hits = self.words.search(query, k, |segment| parts.as_ref().map(|parts| &parts[segment])).unwrap();
        hits.iter().map(|hit| (self.starts[hit.segment] + hit.pid, hit.score.to_bits())).collect()
    }
}

/// The ends of the parts of `texts`, ascending.
fn ends(texts: &[String], cuts: &[usize]) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (texts.len() + 1)).chain([0, texts.len()]).collect();
    cuts.sort_unstable();
    cuts
}

/// Word of letters for a number.
pub(crate) fn word(mut number: usize) -> String {
    let mut word = String::from("w");
    while number > 0 {
        word.push((b'a' + (number % 26) as u8) as char);
        number /= 26;
    }
    word
}

/// Text of the words of `numbers`.
pub(crate) fn text(numbers: &[usize]) -> String {
    numbers.iter().map(|&number| word(number)).collect::<Vec<_>>().join(" ")
}
