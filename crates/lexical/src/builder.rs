//! Building a segment from texts.
//!
//! Texts in, one packed tantivy segment out: term frequencies and lengths of passages, no positions, no texts. All work
//! happens on the calling thread.

use crate::pack::{self, PARTS};
use crate::terms::{Analyzer, Terms};
use crate::{Error, Language, Result};
use std::path::PathBuf;
use tantivy::directory::{Directory, RamDirectory};
use tantivy::indexer::SingleSegmentIndexWriter;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer, TokenizerManager};
use tantivy::{Index, IndexSettings, SegmentReader, TantivyDocument};

/// Most passages of a segment: tantivy numbers them below `i32::MAX`.
pub(crate) const MAX_PASSAGES: u32 = i32::MAX as u32 - 1;

/// Most memory of a segment that is built: tantivy's arena has 32-bit addresses.
const MAX_HELD_BYTES: usize = 3 << 30;

/// Decides the first size of tantivy's hash table of terms (which doubles when it is full) and nothing else: the writer
/// of a single segment never flushes. Small, since many segments hold a few passages.
const TABLE_BUDGET_BYTES: usize = 1 << 20;

/// Name of the only field and of its tokenizer.
const FIELD: &str = "text";

/// Builds one segment of passages `0, 1, ...`.
pub struct Builder {
    language: Language,
    directory: RamDirectory,
    writer: SingleSegmentIndexWriter,
    field: Field,
    num_passages: u32,
}

impl Builder {
    /// Starts a segment of texts in `language`.
    ///
    /// # Errors
    /// Failures of tantivy.
    pub fn new(language: Language) -> Result<Self> {
        let (schema, field) = schema();
        let directory = RamDirectory::create();
        let tokenizers = TokenizerManager::new();
        // Positions are not stored, but counted: the default would overflow.
        let token = Token { position: 0, ..Token::default() };
        tokenizers.register(FIELD, WordTokenizer { analyzer: Analyzer::new(language), token });
        let writer = Index::builder()
            .schema(schema)
            .settings(settings())
            .tokenizers(tokenizers)
            .single_segment_index_writer(directory.clone(), TABLE_BUDGET_BYTES)?;
        Ok(Self { language, directory, writer, field, num_passages: 0 })
    }

    /// Adds the next passage.
    ///
    /// # Errors
    /// [`Error::SegmentFull`] if the segment has 2^31 - 2 passages or holds 3 GiB of memory (some 10 million short
    /// passages); the passage is not added.
    pub fn push(&mut self, text: &str) -> Result<()> {
        let held_bytes = self.bytes_held();
        if self.num_passages >= MAX_PASSAGES || held_bytes.saturating_add(text.len()) >= MAX_HELD_BYTES {
            return Err(Error::SegmentFull { num_passages: self.num_passages, held_bytes });
        }
        let mut document = TantivyDocument::new();
        document.add_text(self.field, text);
        self.writer.add_document(document)?;
        self.num_passages += 1;
        Ok(())
    }

    /// Number of passages so far.
    pub fn num_passages(&self) -> u32 {
        self.num_passages
    }

    /// Memory of the segment so far, in bytes, approximately.
    pub fn bytes_held(&self) -> usize {
        self.writer.mem_usage()
    }

    /// Returns the bytes of the segment. The same texts give the same bytes.
    ///
    /// # Errors
    /// Failures of tantivy.
    pub fn finish(self) -> Result<Vec<u8>> {
        let index = self.writer.finalize()?;
        let paths = index.directory().list_managed_files();
        let mut files = Vec::with_capacity(PARTS.len());
        for part in PARTS {
            // There is one segment, so one file of each kind.
            let is_part = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == part);
            let path = paths.iter().find(is_part).ok_or_else(|| missing(part))?;
            files.push(self.directory.open_read(path).map_err(tantivy::TantivyError::from)?.read_bytes()?);
        }
        let segment = &index.searchable_segments()?[0];
        let num_tokens = SegmentReader::open(segment)?.inverted_index(self.field)?.total_num_tokens();
        let files: [_; PARTS.len()] = std::array::from_fn(|i| files[i].as_slice());
        Ok(pack::write(self.language, self.num_passages, num_tokens, files))
    }
}

fn missing(part: &str) -> Error {
    Error::Inconsistent { reason: format!("tantivy wrote no file .{part}") }
}

/// Schema of every segment: one field of text, with term frequencies.
pub(crate) fn schema() -> (Schema, Field) {
    let indexing = TextFieldIndexing::default().set_tokenizer(FIELD).set_index_option(IndexRecordOption::WithFreqs);
    let mut schema = Schema::builder();
    let field = schema.add_text_field(FIELD, TextOptions::default().set_indexing_options(indexing));
    (schema.build(), field)
}

/// Settings of every segment: no thread for the document store, which stays empty.
pub(crate) fn settings() -> IndexSettings {
    IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() }
}

/// [`Analyzer`] as a tokenizer of tantivy.
#[derive(Clone)]
struct WordTokenizer {
    analyzer: Analyzer,
    token: Token,
}

/// Terms of one text as tantivy takes them.
struct WordStream<'a> {
    terms: &'a Terms,
    next: usize,
    token: &'a mut Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        WordStream { terms: self.analyzer.analyze(text), next: 0, token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        if self.next == self.terms.len() {
            return false;
        }
        self.token.text.clear();
        self.token.text.push_str(self.terms.get(self.next));
        self.next += 1;
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
