//! Words of an index that are nothing but its texts, so that what a segment must have is known.

use selvedge_index::{Index, MakeWords, SegmentWords, WordsError, Writer};
use std::sync::Arc;

struct Texts;

#[derive(Default)]
struct Written(Vec<u8>);

impl MakeWords for Texts {
    fn language(&self) -> String {
        "texts".to_owned()
    }

    fn start(&self) -> Result<Box<dyn SegmentWords>, WordsError> {
        Ok(Box::new(Written::default()))
    }
}

impl SegmentWords for Written {
    fn push(&mut self, text: &str) -> Result<(), WordsError> {
        self.0.extend(text.as_bytes());
        self.0.push(0);
        Ok(())
    }

    fn bytes_held(&self) -> usize {
        self.0.len()
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, WordsError> {
        Ok(self.0)
    }
}

/// Lets a writer give its segments these words.
pub fn give(writer: &mut Writer) {
    writer.set_words(Arc::new(Texts));
}

/// Checks that each segment has the words of its texts, of deleted passages too.
pub fn check(index: &Index) {
    let mut documents = index.documents().reader();
    for segment in index.segments() {
        let pids = segment.first_pid..segment.first_pid + segment.passages.num_passages() as u32;
        let expected: Vec<u8> = pids.flat_map(|pid| (documents.text(pid).unwrap() + "\0").into_bytes()).collect();
        assert_eq!(segment.words.as_deref(), Some(&expected[..]), "words of segment from {}", segment.first_pid);
    }
}
