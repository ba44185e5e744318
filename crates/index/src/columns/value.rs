//! Values of metadata: their types, how JSON becomes values, and their order.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Number of bytes above which a text is not compared: only that there is one is known.
pub(crate) const MAX_TEXT_BYTES: usize = 1024;

/// Kind of the values of a column, as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// `true` and `false`.
    Bool,
    /// Whole numbers from -2^63 to 2^63 - 1, also those that are written like 3.0 or 3e2.
    Integer,
    /// All other numbers.
    Float,
    /// Texts that are a date or a time of RFC 3339: `2024-02-29`, `2024-02-29T12:00:00+01:00`.
    Date,
    /// Texts of at most 1,024 bytes.
    Text,
    /// Longer texts. They cannot be compared.
    Long,
}

/// Type of a value: only values of one type are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// `true` and `false`.
    Bool,
    /// Numbers.
    Number,
    /// Dates and times.
    Date,
    /// Texts.
    Text,
}

impl ValueKind {
    /// Type of these values; `None` for texts that are not compared.
    pub fn value_type(self) -> Option<ValueType> {
        match self {
            Self::Bool => Some(ValueType::Bool),
            Self::Integer | Self::Float => Some(ValueType::Number),
            Self::Date => Some(ValueType::Date),
            Self::Text => Some(ValueType::Text),
            Self::Long => None,
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Date => "date",
            Self::Text => "text",
            Self::Long => "long text",
        })
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a bool",
            Self::Number => "a number",
            Self::Date => "a date",
            Self::Text => "a text",
        })
    }
}

/// One value of metadata, or a literal that values are compared with.
///
/// Values made by [`From`] and from JSON have one form each: a whole number that fits is an [`Value::Integer`], and a
/// text that is a date is a [`Value::Date`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number that is not whole, or too large for an integer.
    Float(f64),
    /// A time in microseconds since 1970-01-01T00:00:00Z. A date is its first moment in UTC.
    Date(i64),
    /// A text.
    Text(String),
}

impl Value {
    /// Value of a scalar of JSON; `None` for null, arrays and objects.
    pub fn of_json(json: &serde_json::Value) -> Option<Self> {
        match json {
            serde_json::Value::Bool(value) => Some((*value).into()),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Some(integer.into()),
                None => number.as_f64().map(Self::from),
            },
            serde_json::Value::String(text) => Some(text.as_str().into()),
            _ => None,
        }
    }

    /// Kind of column that holds this value.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Bool(_) => ValueKind::Bool,
            Self::Integer(_) => ValueKind::Integer,
            Self::Float(_) => ValueKind::Float,
            Self::Date(_) => ValueKind::Date,
            Self::Text(text) if text.len() > MAX_TEXT_BYTES => ValueKind::Long,
            Self::Text(_) => ValueKind::Text,
        }
    }

    /// Type of the value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Bool(_) => ValueType::Bool,
            Self::Integer(_) | Self::Float(_) => ValueType::Number,
            Self::Date(_) => ValueType::Date,
            Self::Text(_) => ValueType::Text,
        }
    }

    /// Order of two values of one type; `None` for values of different types. Texts are in order of their bytes.
    /// Integers and floats are compared exactly.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) | (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (&Self::Integer(a), &Self::Float(b)) => Some(compare_integer(a, b)),
            (&Self::Float(a), &Self::Integer(b)) => Some(compare_integer(b, a).reverse()),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// 2^63: the least float above every integer.
const ABOVE_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// Order of an integer and a float, without rounding either.
fn compare_integer(integer: i64, float: f64) -> Ordering {
    if float >= ABOVE_INTEGERS {
        return Ordering::Less;
    }
    if float < -ABOVE_INTEGERS {
        return Ordering::Greater;
    }
    // The whole part of a float in this range is an integer.
    let whole = float.floor();
    integer.cmp(&(whole as i64)).then(whole.total_cmp(&float))
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        if value.fract() == 0.0 && (-ABOVE_INTEGERS..ABOVE_INTEGERS).contains(&value) {
            return Self::Integer(value as i64);
        }
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        parse_date(text).map_or_else(|| Self::Text(text.to_owned()), Self::Date)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        parse_date(&text).map_or(Self::Text(text), Self::Date)
    }
}

/// Microseconds since 1970 of a text that is a full date or a time with an offset, by RFC 3339.
fn parse_date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    // Most texts are no dates: they are told apart without a parser.
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' || !bytes[0].is_ascii_digit() {
        return None;
    }
    let time = match bytes.len() {
        10 => OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339),
        _ => OffsetDateTime::parse(text, &Rfc3339),
    };
    i64::try_from(time.ok()?.unix_timestamp_nanos().div_euclid(1000)).ok()
}

/// Text of a date: the day alone where it is its first moment in UTC.
fn date_text(microseconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1000).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    // Only damaged files and numbers made by hand hold a time that RFC 3339 cannot write.
    let text = text.unwrap_or_else(|| format!("{microseconds} us"));
    text.strip_suffix("T00:00:00Z").map(str::to_owned).unwrap_or(text)
}

/// Writes the value as a literal of a filter: `true`, `-3`, `1.5`, `'2024-02-29'`, `'it''s'`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Date(value) => write!(f, "'{}'", date_text(*value)),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Date(value) => serializer.serialize_str(&date_text(*value)),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?;
        Self::of_json(&json).ok_or_else(|| serde::de::Error::custom("expected a number, a string, true or false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for (json, expected) in [
            ("3", Value::Integer(3)),
            ("3.0", Value::Integer(3)),
            ("-0.0", Value::Integer(0)),
            ("3e2", Value::Integer(300)),
            ("-9223372036854775808", Value::Integer(i64::MIN)),
            ("9223372036854775807", Value::Integer(i64::MAX)),
            ("9223372036854775808", Value::Float(ABOVE_INTEGERS)),
            ("1e300", Value::Float(1e300)),
            ("2.5", Value::Float(2.5)),
        ] {
            assert_eq!(Value::of_json(&serde_json::from_str(json).unwrap()), Some(expected), "{json}");
        }
    }

    #[test]
    fn integers_and_floats_are_compared_exactly() {
        let large = (1i64 << 53) + 1; // rounds to 2^53 as a float
        for (integer, float, expected) in [
            (2, 2.5, Ordering::Less),
            (3, 2.5, Ordering::Greater),
            (-2, -2.5, Ordering::Greater),
            (-3, -2.5, Ordering::Less),
            (i64::MAX, ABOVE_INTEGERS, Ordering::Less),
            (i64::MIN, -1e300, Ordering::Greater),
            (large, (1i64 << 53) as f64, Ordering::Greater),
        ] {
            let (integer, float) = (Value::Integer(integer), Value::Float(float));
            assert_eq!(integer.compare(&float), Some(expected), "{integer} {float}");
            assert_eq!(float.compare(&integer), Some(expected.reverse()), "{float} {integer}");
        }
    }

    #[test]
    fn dates_are_told_from_texts() {
        let day = 86_400_000_000;
        for (text, expected) in [
            ("1970-01-02", Some(day)),
            ("1970-01-02T00:00:00Z", Some(day)),
            ("1970-01-02T01:30:00.000001+01:30", Some(day + 1)),
            ("1969-12-31T23:59:59.9999999Z", Some(-1)),
            ("2024-02-30", None),
            ("2024-02-29T12:00:00", None),
            ("2024-02-29 and later", None),
            ("20240229", None),
            ("äöü-äö-äö", None),
        ] {
            let expected = expected.map_or_else(|| Value::Text(text.to_owned()), Value::Date);
            assert_eq!(Value::from(text), expected, "{text}");
        }
        assert_eq!(Value::from("1970-01-02T01:30:00.5+01:30").to_string(), "'1970-01-02T00:00:00.5Z'");
        assert_eq!(Value::from("0001-01-01").to_string(), "'0001-01-01'");
        assert_eq!(Value::Date(i64::MAX).to_string(), format!("'{} us'", i64::MAX));
    }
}
