//! Filters: conditions on the metadata of passages.
//!
//! In: a filter as text, as JSON, or built of [`Filter`] itself. Out: the passages of a segment that it holds for, by
//! their pids, from the segment's [`Columns`](selvedge_index::Columns).
//!
//! ```
//! use selvedge_search::{Filter, filter::key};
//!
//! let parsed: Filter = "year >= 2020 AND lang = 'en'".parse()?;
//! assert_eq!(parsed, key("year").ge(2020) & key("lang").eq("en"));
//! let json = serde_json::json!({ "and": [{ "ge": ["year", 2020] }, { "eq": ["lang", "en"] }] });
//! assert_eq!(serde_json::from_value::<Filter>(json).unwrap(), parsed);
//! # Ok::<(), selvedge_search::Error>(())
//! ```
//!
//! # Grammar
//!
//! | as text | as JSON | as in Rust |
//! |---|---|---|
//! | `a AND b`, `a OR b`, `NOT a`, `(a)` | `{"and": [a, b]}`, `{"or": [a, b]}`, `{"not": a}` | `a & b`, `a \| b`, `!a` |
//! | `key = 1`, `!=` or `<>`, `<`, `<=`, `>`, `>=` | `{"eq": ["key", 1]}`, `ne`, `lt`, `le`, `gt`, `ge` | `key("key").eq(1)` |
//! | `key IN (1, 2)` | `{"in": ["key", [1, 2]]}` | `key("key").is_in([1, 2])` |
//! | `key BETWEEN 1 AND 2` | `{"between": ["key", 1, 2]}` | `key("key").between(1, 2)` |
//! | `key LIKE 'x%'` | `{"like": ["key", "x%"]}` | `key("key").like("x%")` |
//! | `key IS NULL` | `{"null": "key"}` | `key("key").is_null()` |
//! | `TRUE`, `FALSE` | `{"and": []}`, `{"or": []}` | `Filter::And(vec![])`, `Filter::Or(vec![])` |
//!
//! AND binds closer than OR, and NOT closer than both; `NOT` may also stand before IN, BETWEEN and LIKE, and in `IS NOT
//! NULL`. Words of the grammar are of any case. A key is made of names, joined by dots for nested objects; names of
//! other characters than letters, digits, `_` and `-` are put in double quotes. A text is put in single quotes, and a
//! quote in it is doubled: `'it''s'`. A text that is a date or a time of RFC 3339 is one: `created >= '2024-02-29'`. In
//! LIKE, `%` is any text and `_` any character, without an escape; it looks at texts alone, not at dates. Texts are
//! compared by case. A date is its first moment in UTC, so that `created = '2024-02-29'` finds no later time of that
//! day.
//!
//! # Meaning
//!
//! As in SQL, a comparison is true, false or unknown, and a passage is found where the filter is true. A comparison
//! with a key that a passage does not have is unknown, so is its NOT; `IS NULL` finds it. Where SQL would compare
//! values of different types, the comparison is unknown: `year > 'abc'` where the year is a number. Of several values
//! (an array) a comparison is true if it is true for one of them, and false otherwise; `a != 1` is `NOT a = 1`: true if
//! none is 1.
//!
//! | `a` | `b` | `a AND b` | `a OR b` | `NOT a` |
//! |---|---|---|---|---|
//! | true | unknown | unknown | true | false |
//! | false | unknown | false | unknown | true |
//! | unknown | unknown | unknown | unknown | unknown |

mod evaluate;
mod grammar;
mod text;

pub(crate) use evaluate::passages;

use crate::{Error, Result};
use selvedge_index::{Value, ValueType};
use serde::{Deserialize, Serialize};

/// Number of NOTs and parentheses that may be nested.
pub const MAX_DEPTH: usize = 100;

/// Condition on the metadata of passages: see [`mod@crate::filter`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// All of these; true without any.
    And(Vec<Filter>),
    /// One of these at least; false without any.
    Or(Vec<Filter>),
    /// The opposite; unknown if that is unknown.
    Not(Box<Filter>),
    /// Value equal to this.
    Eq(String, Value),
    /// Value not equal to this.
    Ne(String, Value),
    /// Value below this.
    Lt(String, Value),
    /// Value below or equal to this.
    Le(String, Value),
    /// Value above this.
    Gt(String, Value),
    /// Value above or equal to this.
    Ge(String, Value),
    /// Value equal to one of these, which are of one type.
    In(String, Vec<Value>),
    /// Value between these two of one type, or equal to one of them.
    Between(String, Value, Value),
    /// Text of this pattern, in which `%` is any text and `_` any character.
    Like(String, String),
    /// No value at all.
    Null(String),
}

/// Key of metadata, from which conditions are made.
#[derive(Clone, Debug)]
pub struct Key(String);

/// Returns a key, with the names of nested objects joined by dots.
pub fn key(key: impl Into<String>) -> Key {
    Key(key.into())
}

// The names of conditions, which have little to do with comparing keys.
#[allow(clippy::should_implement_trait)]
impl Key {
    /// Value equal to this.
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        Filter::Eq(self.0, value.into())
    }

    /// Value not equal to this.
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        Filter::Ne(self.0, value.into())
    }

    /// Value below this.
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        Filter::Lt(self.0, value.into())
    }

    /// Value below or equal to this.
    pub fn le(self, value: impl Into<Value>) -> Filter {
        Filter::Le(self.0, value.into())
    }

    /// Value above this.
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        Filter::Gt(self.0, value.into())
    }

    /// Value above or equal to this.
    pub fn ge(self, value: impl Into<Value>) -> Filter {
        Filter::Ge(self.0, value.into())
    }

    /// Value equal to one of these, which are of one type.
    pub fn is_in(self, values: impl IntoIterator<Item = impl Into<Value>>) -> Filter {
        Filter::In(self.0, values.into_iter().map(Into::into).collect())
    }

    /// Value between these two of one type, or equal to one of them.
    pub fn between(self, low: impl Into<Value>, high: impl Into<Value>) -> Filter {
        Filter::Between(self.0, low.into(), high.into())
    }

    /// Text of this pattern, in which `%` is any text and `_` any character.
    pub fn like(self, pattern: impl Into<String>) -> Filter {
        Filter::Like(self.0, pattern.into())
    }

    /// No value at all.
    pub fn is_null(self) -> Filter {
        Filter::Null(self.0)
    }
}

impl std::ops::BitAnd for Filter {
    type Output = Self;

    /// All of both; further conditions join the same list.
    fn bitand(self, other: Self) -> Self {
        match self {
            Self::And(mut all) if !all.is_empty() => {
                all.push(other);
                Self::And(all)
            }
            first => Self::And(vec![first, other]),
        }
    }
}

impl std::ops::BitOr for Filter {
    type Output = Self;

    /// One of both; further conditions join the same list.
    fn bitor(self, other: Self) -> Self {
        match self {
            Self::Or(mut all) if !all.is_empty() => {
                all.push(other);
                Self::Or(all)
            }
            first => Self::Or(vec![first, other]),
        }
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl std::str::FromStr for Filter {
    type Err = Error;

    /// Parses the text of a filter.
    ///
    /// # Errors
    /// [`Error::FilterSyntax`] with the column of the mistake.
    fn from_str(text: &str) -> Result<Self> {
        grammar::parse(text)
    }
}

impl Filter {
    /// Checks what the types of Rust and JSON leave open: the values of IN and BETWEEN are of one type, every number is
    /// finite, and at most [`MAX_DEPTH`] conditions are nested.
    ///
    /// # Errors
    /// [`Error::BadFilter`].
    pub fn check(&self) -> Result<()> {
        self.check_at(MAX_DEPTH)
    }

    fn check_at(&self, depth: usize) -> Result<()> {
        let bad = |reason: String| Err(Error::BadFilter { reason });
        if let Self::And(_) | Self::Or(_) | Self::Not(_) = self
            && depth == 0
        {
            return bad(format!("its conditions are nested more than {MAX_DEPTH} deep"));
        }
        if let Some(value) = self.values().into_iter().find(|value| value.compare(value).is_none()) {
            return bad(format!("{value} is no number to compare with"));
        }
        match self {
            Self::And(all) | Self::Or(all) => all.iter().try_for_each(|filter| filter.check_at(depth - 1)),
            Self::Not(filter) => filter.check_at(depth - 1),
            Self::In(key, _) | Self::Between(key, ..) => match one_type(&self.values()) {
                Some((first, other)) => bad(format!("{key} is compared with {first} and with {other}")),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Keys that the filter looks at, each with the type that it is compared with; `None` for a test for null.
    pub fn keys(&self) -> Vec<(&str, Option<ValueType>)> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::keys).collect(),
            Self::Not(filter) => filter.keys(),
            Self::Null(key) => vec![(key, None)],
            Self::Like(key, _) => vec![(key, Some(ValueType::Text))],
            Self::Eq(key, _)
            | Self::Ne(key, _)
            | Self::Lt(key, _)
            | Self::Le(key, _)
            | Self::Gt(key, _)
            | Self::Ge(key, _)
            | Self::In(key, _)
            | Self::Between(key, ..) => vec![(key, self.values().first().map(|value| value.value_type()))],
        }
    }

    /// Values that this condition compares with.
    fn values(&self) -> Vec<&Value> {
        match self {
            Self::Eq(_, value)
            | Self::Ne(_, value)
            | Self::Lt(_, value)
            | Self::Le(_, value)
            | Self::Gt(_, value)
            | Self::Ge(_, value) => vec![value],
            Self::In(_, values) => values.iter().collect(),
            Self::Between(_, low, high) => vec![low, high],
            Self::And(_) | Self::Or(_) | Self::Not(_) | Self::Like(..) | Self::Null(_) => Vec::new(),
        }
    }
}

/// Types of two of the values that are not of one type.
fn one_type(values: &[&Value]) -> Option<(ValueType, ValueType)> {
    let first = values.first()?.value_type();
    values.iter().map(|value| value.value_type()).find(|&other| other != first).map(|other| (first, other))
}
