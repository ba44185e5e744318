//! Conversion of flags to the library's options.

use super::{BuildArgs, CodecArg, CompareArg, DepthArgs, EncoderArgs, PrecisionArg, QueryArgs, RankArgs, ScoreArgs};
use crate::change::read_ids;
use crate::{Error, Result};
use selvedge::eval::Compared;
use selvedge::queries::QuerySource;
use selvedge::{
    Assignment, BuildOptions, CodecKind, Fusion, LoadOptions, Model, OpenOptions, Precision, RankBy, SearchOptions,
};
use std::path::Path;
use std::sync::Arc;

impl EncoderArgs {
    /// Returns the options of loading an encoder.
    pub(crate) fn load_options(&self) -> LoadOptions {
        let precision = self.precision.map(|precision| match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Int8 => Precision::Int8,
        });
        let Self { query_maxlen, passage_maxlen, executor, .. } = *self;
        LoadOptions { query_maxlen, passage_maxlen, precision, executor, ..LoadOptions::default() }
    }

    /// Returns the options of opening an index with the model that `queries` names.
    pub(crate) fn open_options(&self, queries: &QueryArgs) -> OpenOptions {
        let model = queries.model.clone().map_or(Model::OfIndex, Model::Named);
        let any_model = queries.any_model;
        OpenOptions { model, any_model, encoder: self.load_options(), device: self.device, ..OpenOptions::default() }
    }
}

impl BuildArgs {
    /// Returns the options of a build with `model`.
    pub(crate) fn build_options(&self, model: &str, encode: &EncoderArgs) -> BuildOptions {
        BuildOptions {
            model: model.to_owned(),
            encoder: encode.load_options(),
            device: encode.device,
            codec: match self.codec {
                CodecArg::Selvedge => CodecKind::Selvedge,
                CodecArg::Colbertv2 => CodecKind::ColbertV2,
            },
            nbits: self.nbits,
            num_centroids: self.centroids.map(|k| k as usize),
            assignment: self.exact_assign.then_some(Assignment::Exact),
            pool: self.pool,
            memory_budget: self.memory_budget,
            language: (!self.no_words).then_some(self.language),
            seed: self.seed,
            ..BuildOptions::default()
        }
    }
}

impl ScoreArgs {
    /// Returns the score that passages are ranked by.
    pub(crate) fn rank_by(&self) -> RankBy {
        match (self.hybrid, self.lexical, self.lexical_first) {
            (true, ..) => RankBy::Hybrid(fusion(self.alpha)),
            (_, true, _) => RankBy::Lexical,
            (.., Some(first)) => RankBy::LexicalFirst(first),
            _ => RankBy::MaxSim,
        }
    }
}

/// Returns the fusion of a hybrid search with this weight of MaxSim, if there is one.
pub(crate) fn fusion(alpha: Option<f32>) -> Fusion {
    alpha.map_or(Fusion::ReciprocalRank, Fusion::Weighted)
}

impl CompareArg {
    /// Returns the ranking.
    pub(crate) fn compared(self) -> Compared {
        match self {
            Self::Dense => Compared::Dense,
            Self::Lexical => Compared::Lexical,
            Self::Maxsim => Compared::MaxSim,
            Self::Hybrid => Compared::Hybrid,
        }
    }
}

impl RankArgs {
    /// Returns the options of a search for `k` results; reads the file of ids, if there is one.
    pub(crate) fn search_options(&self, k: usize) -> Result<SearchOptions> {
        let stdin = Some(Path::new("-"));
        if self.filter.ids.as_deref() == stdin && self.source.queries.as_deref() == stdin {
            return Err(Error::Usage("--ids and --queries cannot both be standard input".into()));
        }
        let DepthArgs { exact, nprobe, ndocs, num_rescored } = self.depth;
        let filter = self.filter.filter.clone().map(Arc::new);
        let ids = self.filter.ids.as_deref().map(read_ids).transpose()?.map(Arc::from);
        Ok(SearchOptions { k, exact, nprobe, ndocs, num_rescored, filter, ids, ..SearchOptions::default() })
    }
}

impl QueryArgs {
    /// Whether there is no flag of queries.
    pub(crate) fn is_none(&self) -> bool {
        self.queries.is_none() && self.query_embeddings.is_none() && self.query_lens.is_none()
    }

    /// Returns the source of queries; `texts` are the queries on the command line.
    pub(crate) fn source(&self, texts: &[String]) -> Result<QuerySource> {
        // clap's `requires` does not hold where another flag conflicts with the required one.
        if self.query_lens.is_some() && self.query_embeddings.is_none() {
            return Err(Error::Usage("--query-lens needs --query-embeddings".into()));
        }
        match (&self.query_embeddings, &self.queries) {
            (Some(embeddings), texts) => Ok(QuerySource::Arrays {
                embeddings: embeddings.clone(),
                lens: self.query_lens.clone(),
                texts: texts.clone(),
            }),
            (None, Some(path)) => Ok(QuerySource::File(path.clone())),
            (None, None) if texts.is_empty() => {
                Err(Error::Usage("no query: give one as an argument, or --queries, or --query-embeddings".into()))
            }
            (None, None) => Ok(QuerySource::Texts(texts.to_vec())),
        }
    }
}
