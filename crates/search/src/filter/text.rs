//! Text of a filter. Parsing it gives the filter again, or one of the same meaning, unless a value was made by hand
//! that [`Value`]'s conversions never make: a text that is a date.

use super::Filter;
use super::grammar::{WORDS, continues_name, starts_name};
use selvedge_index::Value;
use std::fmt;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(all) if all.is_empty() => f.write_str("TRUE"),
            Self::Or(all) if all.is_empty() => f.write_str("FALSE"),
            Self::And(all) => write_all(f, all, " AND ", |filter| matches!(filter, Self::And(_) | Self::Or(_))),
            Self::Or(all) => write_all(f, all, " OR ", |filter| matches!(filter, Self::Or(_))),
            Self::Not(filter) => match **filter {
                Self::And(_) | Self::Or(_) => write!(f, "NOT ({filter})"),
                _ => write!(f, "NOT {filter}"),
            },
            Self::Eq(key, value) => write!(f, "{} = {value}", Name(key)),
            Self::Ne(key, value) => write!(f, "{} != {value}", Name(key)),
            Self::Lt(key, value) => write!(f, "{} < {value}", Name(key)),
            Self::Le(key, value) => write!(f, "{} <= {value}", Name(key)),
            Self::Gt(key, value) => write!(f, "{} > {value}", Name(key)),
            Self::Ge(key, value) => write!(f, "{} >= {value}", Name(key)),
            // The grammar has no empty list. No value is among none.
            Self::In(_, values) if values.is_empty() => f.write_str("FALSE"),
            Self::In(key, values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "{} IN ({})", Name(key), values.join(", "))
            }
            Self::Between(key, low, high) => write!(f, "{} BETWEEN {low} AND {high}", Name(key)),
            Self::Like(key, pattern) => write!(f, "{} LIKE '{}'", Name(key), pattern.replace('\'', "''")),
            Self::Null(key) => write!(f, "{} IS NULL", Name(key)),
        }
    }
}

/// Writes filters with a word between them, in parentheses where they would be read differently.
fn write_all(
    f: &mut fmt::Formatter<'_>,
    filters: &[Filter],
    between: &str,
    is_enclosed: impl Fn(&Filter) -> bool,
) -> fmt::Result {
    for (number, filter) in filters.iter().enumerate() {
        if number > 0 {
            f.write_str(between)?;
        }
        match is_enclosed(filter) {
            true => write!(f, "({filter})")?,
            false => write!(f, "{filter}")?,
        }
    }
    Ok(())
}

/// A key, with quotes around names that need them.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.split('.').enumerate() {
            if number > 0 {
                f.write_str(".")?;
            }
            let is_bare = name.starts_with(starts_name)
                && name.chars().all(continues_name)
                && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
            match is_bare {
                true => f.write_str(name)?,
                false => write!(f, "\"{}\"", name.replace('"', "\"\""))?,
            }
        }
        Ok(())
    }
}
