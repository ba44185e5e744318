//! An open index with its encoder and its device: the object that a program holds and queries.

mod encoder;

use crate::build::compress::{self, Compress};
use crate::change::{self, AddOptions, Additions, ChangeReport};
use crate::queries::{Queries, QuerySource};
use crate::{BuildOptions, BuildReport, Error, EvalOptions, EvalReport, OpenOptions, Progress, Qrels, Result};
use crate::{
    HitQuery, RankBy, SearchOptions, SearchOutput, Snapshot, TuneOptions, TuneReport, build, eval, queries, rank, tune,
    words,
};
use rayon::prelude::*;
use selvedge_backend::{Assignment, Backend};
use selvedge_encoder::Encoder;
use selvedge_index::{CodecEntry, Index, Writer};
use selvedge_search::Tuned;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// An open index, searched by any number of threads at the same time.
///
/// **In:** queries as texts or as embeddings `(Q, D) f32`. **Out:** a [`SearchOutput`] per query.
///
/// An engine is `Send + Sync`: share it by reference or in an [`Arc`](std::sync::Arc), without a lock. Calls block, and
/// their parallel work runs on the current rayon pool. An engine answers from the generation of the index that it
/// opened, whatever is committed meanwhile, until [`Engine::refresh`], or until it changes the index itself.
pub struct Engine {
    snapshot: RwLock<Arc<Snapshot>>,
    options: OpenOptions,
    encoder: OnceLock<Arc<Encoder>>,
    /// The codec that compresses what is added, once it is loaded, and its entry in the manifest.
    codec: Mutex<Option<(CodecEntry, Arc<dyn Compress>)>>,
}

impl Engine {
    /// Builds the index of a collection (a folder, a JSONL or TSV file, or `-` for standard input) at `path`. Documents
    /// in memory are indexed by [`build::from_documents`], arrays by [`build::from_arrays`].
    ///
    /// # Errors
    /// Nothing is left at `path` after an error:
    /// - [`Error::BadOption`] if an option is out of range.
    /// - [`Error::Encoder`] if the model does not load or fails.
    /// - [`Error::Io`], [`Error::Utf8`], [`Error::Line`], [`Error::BadFile`], [`Error::Glob`] if the collection or a
    ///   line of it cannot be read.
    /// - [`Error::EmptyCollection`], [`Error::NoTokens`] if there is nothing to index.
    /// - [`Error::Budget`] if the memory budget is too small.
    /// - [`Error::Index`] if `path` exists, an id is repeated, or the disk is full.
    /// - [`Error::Backend`] if the device is not available or fails, [`Error::Codec`] if the codec cannot be trained.
    /// - [`Error::Cancelled`] if `progress` asks to stop.
    pub fn build(
        collection: &Path,
        path: &Path,
        options: &BuildOptions,
        progress: &dyn Progress,
    ) -> Result<BuildReport> {
        options.check()?;
        let encoder = Encoder::load(&options.model, &options.encoder)?;
        build::from_text(collection, path, &encoder, options, progress)
    }

    /// Opens the index at `path` on a device. Files are mapped, not read: only an index of at most 1 GiB is read once,
    /// to verify its checksums.
    ///
    /// # Errors
    /// - [`Error::Index`] if there is no index, or if a file of it is missing, corrupt or of another format version.
    /// - [`Error::Backend`] or [`Error::Search`] if the device is not available, or lacks the memory.
    /// - With [`OpenOptions::load_model`], the errors of [`Engine::encoder`].
    pub fn open(path: &Path, options: OpenOptions) -> Result<Self> {
        Self::of_snapshot(Snapshot::open(path, options.device)?, options)
    }

    /// Opens the index at `path` on a backend that the caller has made, such as a GPU in the context of another
    /// library, or [several](selvedge_backend::Several) GPUs. [`OpenOptions::device`] compresses what is added.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_on(path: &Path, backend: impl Backend + 'static, options: OpenOptions) -> Result<Self> {
        Self::of_snapshot(Snapshot::open_on(path, backend)?, options)
    }

    fn of_snapshot(snapshot: Snapshot, options: OpenOptions) -> Result<Self> {
        let snapshot = RwLock::new(Arc::new(snapshot));
        let engine = Self { snapshot, options, encoder: OnceLock::new(), codec: Mutex::new(None) };
        if engine.options.load_model {
            engine.encoder()?;
        }
        Ok(engine)
    }

    /// Returns the generation that the engine answers from. It stays as it is: several calls on it see the same pids.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows to the newest generation of the index, and returns its number. Only segments that are new are opened
    /// and loaded to the device. Searches that run meanwhile end on the generation on which they began.
    ///
    /// # Errors
    /// As [`Engine::open`]; [`Error::OtherModel`] if the index was replaced by one of another model. The engine then
    /// stays on its generation.
    pub fn refresh(&self) -> Result<u32> {
        loop {
            let before = self.snapshot();
            let Some(followed) = before.followed()? else { return Ok(before.generation()) };
            self.check_model(&before, followed.index())?;
            let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have followed meanwhile, and further; then this one looks again. No lock is held while
            // a generation is opened: that runs on the thread pool, whose threads may call the engine in between.
            if Arc::ptr_eq(&snapshot, &before) {
                let generation = followed.generation();
                *snapshot = Arc::new(followed);
                return Ok(generation);
            }
        }
    }

    /// Checks that an index has embeddings of the model of the generation that the engine answers from.
    fn check_model(&self, before: &Snapshot, index: &Index) -> Result<()> {
        let encoder = |index: &Index| index.encoder().map(|encoder| encoder.fingerprint.clone());
        match encoder(before.index()) == encoder(index) {
            true => Ok(()),
            false => Err(Error::OtherModel { path: index.path().into() }),
        }
    }

    /// Adds passages to the index, or replaces those that have their ids, and follows to the generation that has them.
    ///
    /// As [`change::add`], but with what the engine has loaded: its encoder, the segments that it has open, and, from
    /// the second call on, the codec on its device, ready to compress. Of the options, `model`, `encoder` and `device`
    /// are not used. The files of the generation before stay until the next change, as the engine holds them meanwhile.
    ///
    /// # Errors
    /// As [`change::add`] and [`Engine::encoder`]; [`Error::OtherModel`] if the index was replaced by one of another
    /// model. [`Error::NotFollowed`] if the passages are added, but the engine stays on its generation.
    pub fn add(&self, additions: Additions<'_>, options: &AddOptions, progress: &dyn Progress) -> Result<ChangeReport> {
        self.changed(|writer| change::add_to(writer, Some(self), additions, options, progress))
    }

    /// Deletes passages by their ids, as [`change::delete`], and follows to the generation that lacks them.
    ///
    /// # Errors
    /// As [`change::delete`]; [`Error::OtherModel`] and [`Error::NotFollowed`] as [`Engine::add`].
    pub fn delete(&self, ids: &[impl AsRef<str>], ignore_missing: bool) -> Result<ChangeReport> {
        self.changed(|writer| change::delete_in(writer, ids, ignore_missing))
    }

    /// Changes the index, and follows to the change.
    fn changed(&self, change: impl FnOnce(Writer) -> Result<ChangeReport>) -> Result<ChangeReport> {
        let before = self.snapshot();
        let mut writer = Writer::open_from(before.index())?;
        words::keep(&mut writer)?;
        self.check_model(&before, change::index_of(&writer))?;
        drop(before);
        let report = change(writer)?;
        match self.refresh() {
            Ok(_) => Ok(report),
            Err(source) => Err(Error::NotFollowed { report: Box::new(report), source: Box::new(source) }),
        }
    }

    /// The codec of an index on the engine's device, ready to compress.
    pub(crate) fn codec_of(&self, index: &Index) -> Result<Arc<dyn Compress>> {
        let mut loaded = self.codec.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = index.manifest().codec;
        if let Some((_, codec)) = loaded.as_ref().filter(|(of, _)| *of == entry) {
            return Ok(Arc::clone(codec));
        }
        let codec = compress::on(self.options.device, index.codec()?, Some(Assignment::Exact))?;
        *loaded = Some((entry, Arc::clone(&codec)));
        Ok(codec)
    }

    /// Answers a query given as text.
    ///
    /// # Errors
    /// The errors of [`Engine::encoder`], unless passages are ranked by words alone, and of
    /// [`Engine::search_embeddings`].
    pub fn search(&self, text: &str, options: &SearchOptions) -> Result<SearchOutput> {
        options.check()?; // before the model is loaded
        if !options.rank_by.needs_embeddings() {
            return self.answer(&[], Some(text), options);
        }
        let query = self.encoder()?.encode_queries(&[text])?;
        self.answer(&query.data, Some(text), options)
    }

    /// Answers queries given as texts, in order. Queries share the threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`Engine::search`]; one bad query fails the batch.
    pub fn search_batch(&self, texts: &[impl AsRef<str> + Sync], options: &SearchOptions) -> Result<Vec<SearchOutput>> {
        options.check()?;
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        if !options.rank_by.needs_embeddings() {
            return self.answers(&vec![&[][..]; texts.len()], Some(&texts), options);
        }
        let queries = self.encoder()?.encode_queries(&texts)?;
        self.answers(&queries.iter().collect::<Vec<_>>(), Some(&texts), options)
    }

    /// Answers a query given as embeddings `(Q, D) f32`, row-major.
    ///
    /// # Errors
    /// - [`Error::BadOption`] if an option is out of range.
    /// - [`Error::Search`] if the embeddings do not fit the index or are not finite, the filter has a mistake, or the
    ///   device fails.
    /// - [`Error::NoQueryTexts`] if passages are to be ranked by words, whose query is a text; with a text,
    ///   [`Error::NoWords`] if the index has no words, and [`Error::Words`] if they are damaged.
    /// - [`Error::Index`] if an id, a text or metadata cannot be read.
    /// - [`Error::Encoder`] if a snippet is requested and the text cannot be tokenized.
    pub fn search_embeddings(&self, query: &[f32], options: &SearchOptions) -> Result<SearchOutput> {
        self.answer(query, None, options)
    }

    /// Answers queries given as embeddings `(Q, D) f32` each, in order. Queries share the threads of the current rayon
    /// pool.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`]; one bad query fails the batch.
    pub fn search_embeddings_batch(&self, queries: &[&[f32]], options: &SearchOptions) -> Result<Vec<SearchOutput>> {
        self.answers(queries, None, options)
    }

    /// Answers queries that were read by [`Engine::queries`], in order: their texts are searched for where passages are
    /// ranked by words. Queries share the threads of the current rayon pool.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`], and [`Error::NoQueryEmbeddings`] if they were read without; one bad query
    /// fails the batch.
    pub fn search_queries(&self, queries: &Queries, options: &SearchOptions) -> Result<Vec<SearchOutput>> {
        queries.check(options.rank_by.needs_embeddings())?;
        let texts: Option<Vec<&str>> = queries.texts.as_ref().map(|texts| texts.iter().map(String::as_str).collect());
        // Snippets are chosen by embeddings, if there are any.
        let rows = if queries.embeddings.is_empty() { vec![&[][..]; queries.ids.len()] } else { queries.rows() };
        self.answers(&rows, texts.as_deref(), options)
    }

    /// Answers a query `(Q, D) f32` on the calling thread; its text is needed where passages are ranked by words.
    fn answer(&self, embeddings: &[f32], text: Option<&str>, options: &SearchOptions) -> Result<SearchOutput> {
        let query = HitQuery { embeddings, text };
        Ok(self.search_generation(&self.snapshot(), &[query], options)?.remove(0))
    }

    /// Answers queries `(Q, D) f32` each, which have these texts if they are known.
    fn answers(
        &self,
        queries: &[&[f32]],
        texts: Option<&[&str]>,
        options: &SearchOptions,
    ) -> Result<Vec<SearchOutput>> {
        let query = |(number, embeddings)| HitQuery { embeddings, text: texts.map(|texts| texts[number]) };
        let queries: Vec<HitQuery<'_>> = queries.iter().copied().enumerate().map(query).collect();
        self.search_generation(&self.snapshot(), &queries, options)
    }

    /// Answers queries on one generation of the index, in order. Their texts are needed where passages are ranked by
    /// words. Queries share the threads of the current rayon pool; a single one runs on the calling thread.
    ///
    /// # Errors
    /// As [`Engine::search_embeddings`]; one bad query fails the batch.
    pub fn search_generation(
        &self,
        snapshot: &Snapshot,
        queries: &[HitQuery<'_>],
        options: &SearchOptions,
    ) -> Result<Vec<SearchOutput>> {
        options.check()?;
        if let &[query] = queries {
            let ranking = snapshot.rank(query, options)?;
            return Ok(vec![self.output(snapshot, query, ranking, options)?]);
        }
        let set = snapshot.passages(options)?;
        let rankings = match options.rank_by {
            RankBy::MaxSim => {
                let params = options.params(snapshot.searcher(), set.as_deref());
                let rows: Vec<&[f32]> = queries.iter().map(|query| query.embeddings).collect();
                snapshot.searcher().search_batch(&rows, &params, set.as_deref())?
            }
            _ => {
                let ranking = |query: &HitQuery<'_>| {
                    let text = query.text.ok_or(Error::NoQueryTexts)?;
                    rank::ranking(snapshot, query.embeddings, text, set.as_deref(), options)
                };
                queries.par_iter().map(ranking).collect::<Result<_>>()?
            }
        };
        let output = |(ranking, &query)| self.output(snapshot, query, ranking, options);
        rankings.into_par_iter().zip(queries).map(output).collect()
    }

    /// Reads queries from a file, an array or texts, and encodes those that are texts.
    ///
    /// # Errors
    /// - [`Error::Io`], [`Error::Utf8`], [`Error::Line`] if a file of texts or a line of it cannot be read.
    /// - [`Error::Empty`] if there is no query.
    /// - [`Error::Npy`], [`Error::NotFinite`], [`Error::Count`] if an array is malformed, or does not fit the index or
    ///   the other files.
    /// - The errors of [`Engine::encoder`] if texts have to be encoded.
    pub fn queries(&self, source: &QuerySource) -> Result<Queries> {
        queries::load(source, self, true)
    }

    /// Reads queries for a search that ranks passages by this score: without their embeddings if it is the words alone.
    ///
    /// # Errors
    /// As [`Engine::queries`].
    pub fn queries_for(&self, source: &QuerySource, rank_by: RankBy) -> Result<Queries> {
        queries::load(source, self, rank_by.needs_embeddings())
    }

    /// Measures quality against judgments, and speed: see [`mod@eval`].
    ///
    /// # Errors
    /// Before the first search:
    /// - [`Error::BadOption`] if a search option is out of range, or passages are to be ranked by another score than
    ///   MaxSim: [`EvalOptions::compare`] measures the others.
    /// - [`Error::NothingJudged`] if no query has a judgment, [`Error::NoneIndexed`] if the index has no judged
    ///   passage.
    /// - [`Error::Count`] if lists of `queries` differ in length, or the number of passages of the uncompressed
    ///   embeddings is not the index's.
    /// - [`Error::Io`], [`Error::Npy`] if the uncompressed embeddings cannot be read, or their dimension is not the
    ///   index's.
    /// - [`Error::NoText`] if text has to be encoded and the index was made from embeddings, [`Error::NoQueryTexts`] if
    ///   [`EvalOptions::dense`] is set and the queries have no texts, [`Error::NoQueryEmbeddings`] if these were read
    ///   without embeddings, [`Error::NoWords`] if words are compared that the index does not have, and the errors of
    ///   [`Engine::encoder`].
    ///
    /// Later:
    /// - [`Error::Search`], [`Error::Backend`], [`Error::Encoder`], [`Error::Index`] if a search, the encoder or the
    ///   index fails.
    /// - [`Error::Io`], [`Error::NotFinite`] if rows of the uncompressed embeddings cannot be read or are not finite.
    /// - [`Error::Cancelled`] if `progress` asks to stop.
    pub fn eval(
        &self,
        queries: &Queries,
        qrels: &Qrels,
        options: &EvalOptions,
        progress: &dyn Progress,
    ) -> Result<EvalReport> {
        eval::eval(self, queries, qrels, options, progress)
    }

    /// Finds the fastest search parameters for a recall, and stores them in the index; stored parameters for other `k`
    /// are kept. This engine keeps the parameters that it was opened with.
    ///
    /// # Errors
    /// The index is left as it was after an error:
    /// - [`Error::BadOption`] if an option is out of range.
    /// - [`Error::Index`] if the index cannot be written, before the first search.
    /// - [`Error::NothingFound`] if no query finds a passage.
    /// - [`Error::Search`] if a query does not fit the index, or the device fails.
    /// - [`Error::Cancelled`] if `progress` asks to stop.
    pub fn tune(&self, queries: &Queries, options: &TuneOptions, progress: &dyn Progress) -> Result<TuneReport> {
        tune::tune(self, queries, options, progress)
    }

    /// Stores search parameters that a dry run of [`Engine::tune`] found, as [`Engine::tune`] does.
    ///
    /// # Errors
    /// [`Error::Index`] if the index cannot be written.
    pub fn store_tuned(&self, best: &[Tuned]) -> Result<()> {
        tune::store(self, best)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("snapshot", &self.snapshot())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
