//! Parts of a text that have words of a query, for snippets and marks.

use crate::Language;
use crate::terms::Analyzer;
use std::collections::HashSet;
use std::ops::Range;

/// Returns the parts between white space of `text` that have a term of `query`, as byte ranges, in order.
///
/// ```
/// use selvedge_lexical::{Language, matches};
///
/// assert_eq!(matches(Language::English, "edges", "a woven edge, two edges"), [8..13, 18..23]);
/// ```
pub fn matches(language: Language, query: &str, text: &str) -> Vec<Range<usize>> {
    let mut analyzer = Analyzer::new(language);
    let wanted: HashSet<String> = analyzer.analyze(query).iter().map(str::to_owned).collect();
    let start = |part: &str| part.as_ptr().addr() - text.as_ptr().addr();
    let parts = text.split_whitespace().filter(|part| analyzer.analyze(part).iter().any(|term| wanted.contains(term)));
    parts.map(|part| start(part)..start(part) + part.len()).collect()
}
