//! Scores, against tantivy's over one index, and against the formula.

use crate::support::{Split, text};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roaring::RoaringBitmap;
use selvedge_lexical::{Error, Language, Statistics, Words};
use std::collections::{BTreeMap, HashMap};
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{DocAddress, Index, Searcher, TantivyDocument, Term};

/// One index of tantivy over all texts, in one segment.
struct Oracle {
    searcher: Searcher,
    field: tantivy::schema::Field,
}

impl Oracle {
    fn new(texts: &[String]) -> Self {
        let indexing = TextFieldIndexing::default().set_tokenizer("default");
        let indexing = indexing.set_index_option(IndexRecordOption::WithFreqs);
        let mut schema = Schema::builder();
        let field = schema.add_text_field("text", TextOptions::default().set_indexing_options(indexing));
        let directory = tantivy::directory::RamDirectory::create();
        let builder = Index::builder().schema(schema.build());
        let mut writer = builder.single_segment_index_writer(directory, 15_000_000).unwrap();
        for text in texts {
            let mut document = TantivyDocument::new();
            document.add_text(field, text);
            writer.add_document(document).unwrap();
        }
        Self { searcher: writer.finalize().unwrap().reader().unwrap().searcher(), field }
    }

    fn term(&self, word: &str) -> TermQuery {
        TermQuery::new(Term::from_field_text(self.field, word), IndexRecordOption::WithFreqs)
    }

    fn run(&self, query: &dyn Query, k: usize) -> Vec<(f32, DocAddress)> {
        self.searcher.search(query, &TopDocs::with_limit(k.max(1)).order_by_score()).unwrap()
    }

    /// Adds tantivy's scores of single words, the rarest first, and ranks all passages.
    fn sums(&self, words: &[&str], k: usize, allowed: Option<&RoaringBitmap>) -> Vec<(u32, u32)> {
        let num = self.searcher.num_docs() as usize;
        let mut lists: Vec<_> = words.iter().map(|word| (self.run(&self.term(word), num), word)).collect();
        lists.sort_by(|a, b| a.0.len().cmp(&b.0.len()).then(a.1.cmp(b.1)));
        let mut sums = BTreeMap::new();
        for (score, address) in lists.into_iter().flat_map(|list| list.0) {
            *sums.entry(address.doc_id).or_insert(0.0f32) += score;
        }
        let mut hits: Vec<_> = sums.into_iter().collect();
        hits.retain(|hit| allowed.is_none_or(|allowed| allowed.contains(hit.0)));
        hits.sort_by(|a, b| b.1.total_cmp(&a.1));
        hits.truncate(k);
        hits.into_iter().map(|(pid, score)| (pid, score.to_bits())).collect()
    }

    /// Searches with tantivy's block-max WAND.
    fn union(&self, words: &[&str], k: usize) -> Vec<f32> {
        let terms = words.iter().map(|word| (Occur::Should, Box::new(self.term(word)) as Box<dyn Query>)).collect();
        self.run(&BooleanQuery::new(terms), k).into_iter().map(|hit| hit.0).collect()
    }
}

/// Words of a query, each once.
fn distinct(query: &str) -> Vec<&str> {
    let mut words: Vec<_> = query.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn scores_are_those_of_tantivy_whatever_the_segments(
        numbers in vec(vec(0usize..12, 0..9), 1..40),
        cuts in vec(0usize..1000, 0..9),
        query in vec(0usize..14, 0..6),
        k in 0usize..12,
        denied in vec(0u32..40, 0..20),
    ) {
        let texts: Vec<String> = numbers.iter().map(|numbers| text(numbers)).collect();
        let (oracle, split) = (Oracle::new(&texts), Split::new(Language::None, &texts, &cuts));
        let query = text(&query);
        let words = distinct(&query);
        prop_assert_eq!(split.search(&words.join(" "), k, None), oracle.sums(&words, k, None));
        let allowed = (0..40).filter(|pid| !denied.contains(pid)).collect();
        prop_assert_eq!(split.search(&words.join(" "), k, Some(&allowed)), oracle.sums(&words, k, Some(&allowed)));
        // A repeated word has no counterpart there; but the segments must not matter.
        let whole = Split::new(Language::None, &texts, &[]);
        prop_assert_eq!(split.search(&query, k, None), whole.search(&query, k, None));
        // Each part as a view of its own, scored by the statistics of all.
        let parts = Split::views(Language::None, &texts, &cuts);
        let sum = |sum: Statistics, (_, words): &(u32, Words)| sum.plus(&words.statistics(&query).unwrap());
        let statistics = parts.iter().fold(Statistics::default(), sum);
        prop_assert_eq!(&statistics, &whole.words.statistics(&query).unwrap());
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (start, words) in &parts {
            let hits = words.search_by(&query, k, |_| None, Some(&statistics)).unwrap();
            merged.extend(hits.iter().map(|hit| (start + hit.pid, hit.score.to_bits())));
        }
        merged.sort_by(|a, b| f32::from_bits(b.1).total_cmp(&f32::from_bits(a.1)).then(a.0.cmp(&b.0)));
        merged.truncate(k);
        prop_assert_eq!(merged, whole.search(&query, k, None));
    }
}

/// Word numbers whose frequencies fall as 1 / number.
fn zipf(random: &mut impl Rng, vocabulary: f64, num: usize) -> Vec<usize> {
    (0..num).map(|_| vocabulary.powf(random.random::<f64>()) as usize).collect()
}

#[test]
fn pruning_and_windows_change_nothing() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let texts: Vec<String> = (0..9000)
        .map(|_| {
            let num = random.random_range(1..60);
            text(&zipf(&mut random, 3000.0, num))
        })
        .collect();
    let oracle = Oracle::new(&texts);
    for num_cuts in 0..9 {
        let cuts: Vec<usize> = (0..num_cuts).map(|_| random.random_range(0..texts.len())).collect();
        let split = Split::new(Language::None, &texts, &cuts);
        for _ in 0..12 {
            let num = random.random_range(1..=30);
            let query = text(&zipf(&mut random, 3000.0, num));
            let words = distinct(&query);
            let k = [1, 10, 100, 2000][random.random_range(0..4)];
            let hits = split.search(&words.join(" "), k, None);
            assert_eq!(hits, oracle.sums(&words, k, None), "{query}");
            let share = random.random_range(0.0..0.5);
            let allowed = (0..9000).filter(|_| random.random_bool(share)).collect();
            assert_eq!(split.search(&words.join(" "), k, Some(&allowed)), oracle.sums(&words, k, Some(&allowed)));
            // Its sums are in an order that depends on what it skips.
            for (&(_, bits), score) in hits.iter().zip(oracle.union(&words, k)) {
                assert!(
                    (f32::from_bits(bits) - score).abs() <= 4e-6 * score,
                    "{} is not {score}",
                    f32::from_bits(bits)
                );
            }
        }
    }
}

/// Sums up BM25 of every passage from the formula, in f64.
fn naive(texts: &[String], query: &str) -> HashMap<u32, f64> {
    let texts: Vec<Vec<&str>> = texts.iter().map(|text| text.split_whitespace().collect()).collect();
    let num = texts.len() as f64;
    let average = texts.iter().map(Vec::len).sum::<usize>() as f64 / num;
    let mut scores = HashMap::new();
    for word in query.split_whitespace() {
        let having = texts.iter().filter(|text| text.contains(&word)).count() as f64;
        let idf = (1.0 + (num - having + 0.5) / (having + 0.5)).ln();
        for (pid, text) in texts.iter().enumerate().filter(|(_, text)| text.contains(&word)) {
            let tf = text.iter().filter(|w| **w == word).count() as f64;
            let norm = 1.2 * (1.0 - 0.75 + 0.75 * text.len() as f64 / average);
            *scores.entry(pid as u32).or_insert(0.0) += idf * 2.2 * tf / (tf + norm);
        }
    }
    scores
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // Texts of at most 40 words: longer ones have rounded lengths.
    #[test]
    fn scores_are_bm25(
        numbers in vec(vec(0usize..20, 0..40), 1..60),
        cuts in vec(0usize..1000, 0..4),
        query in vec(0usize..20, 0..10),
    ) {
        let texts: Vec<String> = numbers.iter().map(|numbers| text(numbers)).collect();
        let expected = naive(&texts, &text(&query));
        let hits = Split::new(Language::None, &texts, &cuts).search(&text(&query), texts.len(), None);
        prop_assert_eq!(hits.len(), expected.len());
        for (pid, bits) in hits {
            // About 10 roundings of 6e-8, of the sum; and of 1 + x in each logarithm, which may itself be near 0.
            let (found, expected) = (f64::from(f32::from_bits(bits)), expected[&pid]);
            prop_assert!((found - expected).abs() <= 2e-6 * (expected + 1.0), "{} is not {}", found, expected);
        }
    }
}

#[test]
fn statistics_that_cannot_be_are_refused() {
    let whole = Split::new(Language::None, &[text(&[1, 2])], &[]);
    let statistics = Statistics { passages: 1, tokens: 2, having: [(text(&[1]), 2)].into() };
    let refused = whole.words.search_by(&text(&[1]), 1, |_| None, Some(&statistics));
    assert!(matches!(refused, Err(Error::BadStatistics { having: 2, passages: 1, .. })), "{refused:?}");
    let none = Statistics { passages: 1, tokens: 2, having: BTreeMap::new() };
    assert_eq!(whole.words.search_by(&text(&[1]), 1, |_| None, Some(&none)).unwrap(), []);
}
