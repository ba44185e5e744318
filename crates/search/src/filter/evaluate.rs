//! Passages of a segment that a filter holds for.
//!
//! A filter is true, false or unknown for a passage. Only two sets are ever made: where a filter is true, and where it
//! is false, so that unknown is what neither has:
//!
//! ```text
//! true(a AND b)  = true(a) and true(b)        false(a AND b) = false(a) or false(b)
//! true(a OR b)   = true(a) or true(b)         false(a OR b)  = false(a) and false(b)
//! true(NOT a)    = false(a)                   false(NOT a)   = true(a)
//! true(compare)  = passages with a value that fits
//! false(compare) = passages with a value of the literal's type, less those
//! ```

use super::Filter;
use crate::Result;
use selvedge_index::{Columns, RoaringBitmap, Value, ValueType};
use std::ops::Bound::{self, Excluded, Included, Unbounded};

/// Returns the passages of a segment of `num_passages` for which a checked filter is true.
pub(crate) fn passages(filter: &Filter, columns: &Columns, num_passages: u32) -> Result<RoaringBitmap> {
    Segment { columns, num_passages }.passages(filter, true)
}

struct Segment<'a> {
    columns: &'a Columns,
    num_passages: u32,
}

impl Segment<'_> {
    /// Passages for which a filter is true, or those for which it is false.
    fn passages(&self, filter: &Filter, is: bool) -> Result<RoaringBitmap> {
        match filter {
            Filter::And(all) | Filter::Or(all) => match matches!(filter, Filter::And(_)) == is {
                true => self.intersection(all, is),
                false => all.iter().try_fold(RoaringBitmap::new(), |set, one| Ok(set | self.passages(one, is)?)),
            },
            Filter::Not(filter) => self.passages(filter, !is),
            Filter::Eq(key, value) => self.within(key, Included(value), Included(value), is),
            Filter::Ne(key, value) => self.within(key, Included(value), Included(value), !is),
            Filter::Lt(key, value) => self.within(key, Unbounded, Excluded(value), is),
            Filter::Le(key, value) => self.within(key, Unbounded, Included(value), is),
            Filter::Gt(key, value) => self.within(key, Excluded(value), Unbounded, is),
            Filter::Ge(key, value) => self.within(key, Included(value), Unbounded, is),
            Filter::Between(key, low, high) => self.within(key, Included(low), Included(high), is),
            Filter::In(key, values) => {
                let equal = |value| self.columns.within(key, Included(value), Included(value));
                let found = values
                    .iter()
                    .try_fold(RoaringBitmap::new(), |set, value| Ok::<_, crate::Error>(set | equal(value)?))?;
                match values.first() {
                    Some(first) => self.compared(key, first.value_type(), found, is),
                    // As in SQL, no value is among none, not even an unknown one.
                    None => Ok(if is { found } else { self.all() }),
                }
            }
            Filter::Like(key, pattern) => {
                let prefix = pattern.split(['%', '_']).next().unwrap_or_default();
                let found = self.columns.texts(key, prefix, |text| is_like(text, pattern))?;
                self.compared(key, ValueType::Text, found, is)
            }
            Filter::Null(key) => {
                let present = self.columns.present(key, None)?;
                Ok(if is { self.all() - present } else { present })
            }
        }
    }

    fn intersection(&self, all: &[Filter], is: bool) -> Result<RoaringBitmap> {
        let Some((first, rest)) = all.split_first() else { return Ok(self.all()) };
        let mut set = self.passages(first, is)?;
        for filter in rest {
            if set.is_empty() {
                break;
            }
            set &= self.passages(filter, is)?;
        }
        Ok(set)
    }

    /// Passages with a value in a range, or those with none among values of its type.
    fn within(&self, key: &str, low: Bound<&Value>, high: Bound<&Value>, is: bool) -> Result<RoaringBitmap> {
        let ((Included(end) | Excluded(end), _) | (_, Included(end) | Excluded(end))) = (low, high) else {
            unreachable!("a comparison has a value")
        };
        self.compared(key, end.value_type(), self.columns.within(key, low, high)?, is)
    }

    /// The passages found by a comparison with a value of this type, or those for which it is false.
    fn compared(&self, key: &str, of: ValueType, found: RoaringBitmap, is: bool) -> Result<RoaringBitmap> {
        if is {
            return Ok(found);
        }
        Ok(self.columns.present(key, Some(of))? - found)
    }

    fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.num_passages);
        all
    }
}

/// Whether a text is of a pattern, in which `%` is any text and `_` any character.
fn is_like(text: &str, pattern: &str) -> bool {
    // Where the last % began, and the text after which it ends at the earliest: it is made longer where the rest does
    // not fit.
    let mut retry: Option<(&str, &str)> = None;
    let (mut text, mut pattern) = (text, pattern);
    loop {
        let (next, rest) = (text.chars().next(), pattern.chars().next());
        match (rest, next) {
            (Some('%'), _) => {
                pattern = &pattern[1..];
                retry = Some((pattern, text));
            }
            (Some(expected), Some(found)) if expected == '_' || expected == found => {
                pattern = &pattern[expected.len_utf8()..];
                text = &text[found.len_utf8()..];
            }
            (None, None) => return true,
            _ => match &mut retry {
                Some((after, from)) if !from.is_empty() => {
                    let mut chars = from.chars();
                    chars.next();
                    *from = chars.as_str();
                    (pattern, text) = (after, from);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn patterns() {
        for (pattern, fitting, others) in [
            ("", &[""][..], &["a"][..]),
            ("%", &["", "a", "%"], &[]),
            ("_", &["a", "ä", "_"], &["", "ab"]),
            ("ab%", &["ab", "abc"], &["a", "bab", "AB"]),
            ("%ab", &["ab", "aab", "abab"], &["abb", ""]),
            ("%a%b%", &["ab", "xaxbx", "aab"], &["ba"]),
            ("a_c%e", &["abce", "abcde", "aäcee"], &["ace", "abcd"]),
            ("%%_", &["a", "abc"], &[""]),
        ] {
            fitting.iter().for_each(|text| assert!(is_like(text, pattern), "{text:?} {pattern:?}"));
            others.iter().for_each(|text| assert!(!is_like(text, pattern), "{text:?} {pattern:?}"));
        }
    }
}
