//! Splits a long text into parts that each fit a passage's maximum length, counted in the model's own tokens.
//!
//! **In:** a text, an overlap in tokens. **Out:** byte ranges, in order. A window of the text is tokenized, slightly
//! more than fits; the part ends at the best boundary before the first token that does not fit. Every byte is therefore
//! tokenized a bounded number of times, and never more than a window at once.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::pipeline::{TextPipeline, first_prefix, is_blank, longest_prefix, prefix};
use crate::text_rules::TextKind;

/// Splits `text`; each part begins about `overlap` tokens before the end of the previous one.
pub(crate) fn split(model: &str, pipeline: &TextPipeline, text: &str, overlap: usize) -> Result<Vec<Range<usize>>> {
    let capacity = pipeline.passage_capacity();
    let num_prompt = pipeline.num_tokens("")?;
    if num_prompt >= capacity {
        let taken = pipeline.passage_maxlen() - capacity;
        return Err(Error::MaxLength {
            model: model.to_owned(),
            kind: TextKind::Passage,
            requested: pipeline.passage_maxlen(),
            least: taken + num_prompt + 1,
            most: pipeline.max_tokens,
        });
    }
    let end = text.trim_end_matches(is_blank).len();
    let mut parts = Vec::new();
    let mut window = first_prefix(capacity);
    let mut start = skip_blank(text, 0);
    // Start of the text that is in no part yet.
    let mut fresh = start;
    while fresh < end {
        let part = Part::find(pipeline, &text[start..end], fresh - start, window)?;
        if part.len <= fresh - start {
            start = fresh;
            continue;
        }
        parts.push(start..start + text[start..start + part.len].trim_end_matches(is_blank).len());
        window = part.limit + part.limit / 4 + 256;
        fresh = skip_blank(text, start + part.len);
        start = skip_blank(text, start + part.overlap_start(&text[start..], overlap));
    }
    Ok(parts)
}

/// First part of a text; all positions count from the start of that text.
struct Part {
    /// Number of bytes.
    len: usize,
    /// Number of bytes that fit, regardless of boundaries.
    limit: usize,
    /// Start of each token of the part, without the prompt's tokens.
    starts: Vec<usize>,
}

impl Part {
    /// Finds the first part of `rest`, whose first `shared` bytes are in the previous part too. About `window` bytes
    /// are tokenized.
    fn find(pipeline: &TextPipeline, rest: &str, shared: usize, window: usize) -> Result<Self> {
        let capacity = pipeline.passage_capacity();
        let longest = longest_prefix(capacity);
        let mut window = window.min(longest);
        let (head, spans, limit) = loop {
            let head = prefix(rest, window);
            let is_whole = head.len() == rest.len();
            let (spans, num_sure) = pipeline.all_spans(head)?;
            let num_known = if is_whole { spans.len() } else { num_sure };
            if num_known > capacity {
                let limit = spans[capacity].start;
                break (head, spans, limit);
            }
            if is_whole || window >= longest {
                let limit = if spans.len() > capacity { spans[capacity].start } else { head.len() };
                break (head, spans, limit);
            }
            window = (2 * window).min(longest);
        };
        let mut starts: Vec<usize> = spans.iter().filter(|span| !span.is_empty()).map(|span| span.start).collect();
        let len = if limit == rest.len() { limit } else { Self::cut(pipeline, head, &starts, shared, limit)? };
        starts.retain(|&at| at < len);
        Ok(Self { len, limit, starts })
    }

    /// Returns the length of `head` up to its best boundary at or before `limit`, after the `shared` bytes if possible.
    fn cut(pipeline: &TextPipeline, head: &str, starts: &[usize], shared: usize, mut limit: usize) -> Result<usize> {
        let least = head.chars().next().map_or(0, char::len_utf8);
        loop {
            limit = limit.max(least);
            let num_tokens = starts.partition_point(|&at| at < limit);
            let middle = starts.get(num_tokens / 2).copied().unwrap_or(0);
            let len = boundary(head, middle.max(shared).min(limit), limit).max(least);
            // A cut can change the last tokens: the part can have more tokens than the text has before `len`.
            if len == least
                || pipeline.num_tokens(head[..len].trim_end_matches(is_blank))? <= pipeline.passage_capacity()
            {
                return Ok(len);
            }
            let fitting = len.min(limit);
            limit = head.floor_char_boundary(fitting - fitting.div_ceil(16));
        }
    }

    /// Start of the next part: `overlap` tokens before the end of this one, moved to the start of a word if one is
    /// near.
    fn overlap_start(&self, text: &str, overlap: usize) -> usize {
        let back = overlap.min(self.starts.len() / 2);
        let Some(&at) = self.starts.get(self.starts.len() - back).filter(|&&at| at > 0) else { return self.len };
        let shared = &text[at..self.len];
        let begins_word = text[..at].ends_with(is_blank) || shared.starts_with(is_blank);
        if begins_word {
            return at;
        }
        let near = shared.floor_char_boundary(shared.len() / 2);
        shared[..near].find(is_blank).map_or(at, |blank| at + blank)
    }
}

/// Returns the best end of a part within `middle..=limit` and the whitespace that follows: after the last blank line,
/// else the last line or sentence, else the last whitespace, else `limit`.
fn boundary(head: &str, middle: usize, limit: usize) -> usize {
    let following = &head[limit..];
    let blank = following.len() - following.trim_start_matches(is_blank).len();
    let region = &head[middle..limit + blank];
    let (mut paragraph, mut sentence, mut space) = (None, None, None);
    let mut line_is_blank = false;
    let mut chars = region.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let end = middle + at + c.len_utf8();
        let ends_sentence = match c {
            '.' | '!' | '?' => chars.peek().is_some_and(|&(_, next)| is_blank(next)),
            '。' | '！' | '？' => true,
            _ => false,
        };
        if c == '\n' {
            if line_is_blank {
                paragraph = Some(end);
            }
            line_is_blank = true;
        } else if !is_blank(c) {
            line_is_blank = false;
        }
        if c == '\n' || ends_sentence {
            sentence = Some(end);
        }
        if is_blank(c) {
            space = Some(end);
        }
    }
    paragraph.or(sentence).or(space).unwrap_or(limit)
}

/// Position of the first character from `start` on that is not whitespace.
fn skip_blank(text: &str, start: usize) -> usize {
    text.len() - text[start..].trim_start_matches(is_blank).len()
}
