//! View over all segments of an index, and its statistics.
//!
//! Numbers of passages and terms are summed over all segments, and so are the numbers of passages that have a term: a
//! score does not depend on how passages are split into segments.

use crate::segment::{Reader, guarded};
use crate::terms::Analyzer;
use crate::topk::{Hit, TopK};
use crate::union::{List, Union};
use crate::{Error, Language, Result, Segment, Statistics};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tantivy::postings::TermInfo;
use tantivy::query::Bm25Weight;

/// Immutable view over the segments of an index, searched as one.
pub struct Words {
    segments: Vec<Arc<Segment>>,
    analyzer: Analyzer,
    num_passages: u64,
    num_tokens: u64,
}

/// Term of a query.
struct QueryTerm {
    weight: Bm25Weight,
    /// Score that no passage exceeds.
    bound: f32,
    /// Entry of the term in the dictionary of each segment.
    infos: Vec<Option<TermInfo>>,
}

impl Words {
    /// Makes a view over `segments`; without any, nothing is found.
    ///
    /// # Errors
    /// [`Error::MixedLanguages`] if the segments have more than one language.
    pub fn new(segments: Vec<Arc<Segment>>) -> Result<Self> {
        let expected = segments.first().map_or(Language::None, |first| first.language());
        for (segment, found) in segments.iter().map(|segment| segment.language()).enumerate() {
            if found != expected {
                return Err(Error::MixedLanguages { segment, expected, found });
            }
        }
        Ok(Self {
            analyzer: Analyzer::new(expected),
            num_passages: segments.iter().map(|segment| u64::from(segment.num_passages())).sum(),
            // Saturates on forged segments only.
            num_tokens: segments.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.num_tokens())),
            segments,
        })
    }

    /// Finds the `k` best passages for `query`, best first; ties go to the lower segment, then the lower pid.
    ///
    /// `allowed(segment)` has the passages that may be found; `None` stands for all of them. It changes no score:
    /// statistics count all passages. A passage without any term of the query is not found, whatever `k`.
    ///
    /// # Errors
    /// [`Error::BadBlock`] or [`Error::Inconsistent`] if a segment is damaged.
    pub fn search<'a>(
        &self,
        query: &str,
        k: usize,
        allowed: impl Fn(usize) -> Option<&'a RoaringBitmap>,
    ) -> Result<Vec<Hit>> {
        self.search_by(query, k, allowed, None)
    }

    /// Finds the `k` best passages as [`Words::search`], scored by the statistics of more passages than these, such as
    /// of all shards of a collection: [`Statistics::plus`] sums them. Scores are then the ones of one view over all
    /// of these passages, to the last bit. Terms that the statistics lack are not searched for.
    ///
    /// # Errors
    /// As [`Words::search`], and [`Error::BadStatistics`] if a term is in more passages than there are.
    pub fn search_by<'a>(
        &self,
        query: &str,
        k: usize,
        allowed: impl Fn(usize) -> Option<&'a RoaringBitmap>,
        statistics: Option<&Statistics>,
    ) -> Result<Vec<Hit>> {
        statistics.map_or(Ok(()), Statistics::check)?;
        if k == 0 {
            return Ok(Vec::new());
        }
        // Called first, so that its panics stay panics.
        let allowed: Vec<_> = (0..self.segments.len()).map(allowed).collect();
        guarded(|| {
            let readers = self.segments.iter().map(|segment| segment.reader()).collect::<Result<Vec<_>>>()?;
            let terms = self.query_terms(query, &readers, statistics)?;
            let mut topk = TopK::new(k);
            for (number, (reader, allowed)) in readers.iter().zip(allowed).enumerate() {
                if allowed.is_some_and(RoaringBitmap::is_empty) {
                    continue;
                }
                let mut lists = Vec::with_capacity(terms.len());
                for term in &terms {
                    if let Some(info) = &term.infos[number] {
                        lists.push(List::new(reader.postings(info)?, &term.weight, term.bound));
                    }
                }
                Union::new(lists, reader.lengths()).search(number, allowed, &mut topk);
            }
            Ok(topk.into_hits())
        })
    }

    /// Returns the statistics of the terms of a query, which [`Words::search_by`] takes.
    ///
    /// # Errors
    /// As [`Words::search`].
    pub fn statistics(&self, query: &str) -> Result<Statistics> {
        guarded(|| {
            let readers = self.segments.iter().map(|segment| segment.reader()).collect::<Result<Vec<_>>>()?;
            let having = self.counts(query).into_keys().map(|term| {
                let having = num_having(&infos(&readers, &term)?);
                Ok((term, having))
            });
            let having = having.collect::<Result<_>>()?;
            Ok(Statistics { passages: self.num_passages, tokens: self.num_tokens, having })
        })
    }

    /// Returns the terms of a query, each with the number of times that it occurs.
    fn counts(&self, query: &str) -> BTreeMap<String, u32> {
        let mut analyzer = self.analyzer.clone();
        let mut counts = BTreeMap::new();
        for term in analyzer.analyze(query).iter() {
            *counts.entry(term.to_owned()).or_insert(0u32) += 1;
        }
        counts
    }

    /// Returns the terms of a query that some passage has, those with the highest bound first.
    ///
    /// The order is that in which scores are added up. It depends on statistics of all passages alone.
    fn query_terms(&self, query: &str, readers: &[&Reader], statistics: Option<&Statistics>) -> Result<Vec<QueryTerm>> {
        let (passages, tokens) = match statistics {
            Some(statistics) => (statistics.passages, statistics.tokens),
            None => (self.num_passages, self.num_tokens),
        };
        let average_length = tokens as f32 / passages as f32;
        let mut terms = Vec::new();
        for (term, count) in self.counts(query) {
            let infos = infos(readers, &term)?;
            let num_having = match statistics {
                Some(statistics) => statistics.having.get(&term).copied().unwrap_or(0),
                None => num_having(&infos),
            };
            if num_having > 0 {
                let weight = Bm25Weight::for_one_term_without_explain(num_having, passages, average_length);
                // A word that the query repeats counts as often as it does so.
                let weight = weight.boost_by(count as f32);
                // The most frequent term of the shortest passage: its factor rounds to 1.
                let bound = weight.score(0, u32::MAX);
                terms.push(QueryTerm { weight, bound, infos });
            }
        }
        // Stable: equal bounds stay in the order of the terms.
        terms.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        Ok(terms)
    }
}

/// Entry of a term in the dictionary of each segment.
fn infos(readers: &[&Reader], term: &str) -> Result<Vec<Option<TermInfo>>> {
    readers.iter().map(|reader| reader.term(term)).collect()
}

/// Number of passages that have a term.
fn num_having(infos: &[Option<TermInfo>]) -> u64 {
    infos.iter().flatten().map(|info| u64::from(info.doc_freq)).sum()
}
