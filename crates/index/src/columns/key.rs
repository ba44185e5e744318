//! Values as byte strings whose order is the order of the values.

use super::value::{Value, ValueKind};

/// Byte string of a value of a column: a bool is one byte, an integer, a date and a float eight, most significant first
/// and with the sign bit flipped; a negative float has all bits flipped; a text is its own bytes.
pub(super) type Key = Box<[u8]>;

/// Sign bit of a number.
const SIGN: u64 = 1 << 63;

/// Byte string of a value.
pub(super) fn key_of(value: &Value) -> Key {
    match value {
        Value::Bool(value) => Box::new([u8::from(*value)]),
        Value::Integer(value) | Value::Date(value) => Box::new((*value as u64 ^ SIGN).to_be_bytes()),
        Value::Float(value) => {
            let bits = value.to_bits();
            let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
            Box::new(ordered.to_be_bytes())
        }
        Value::Text(text) => text.as_bytes().into(),
    }
}

/// Value of a byte string; `None` if a column of this kind has no such value.
pub(super) fn value_of(kind: ValueKind, key: &[u8]) -> Option<Value> {
    let number = || Some(u64::from_be_bytes(key.try_into().ok()?));
    match kind {
        ValueKind::Bool => match key {
            [0] => Some(Value::Bool(false)),
            [1] => Some(Value::Bool(true)),
            _ => None,
        },
        ValueKind::Integer => Some(Value::Integer((number()? ^ SIGN) as i64)),
        ValueKind::Date => Some(Value::Date((number()? ^ SIGN) as i64)),
        ValueKind::Float => {
            let ordered = number()?;
            let bits = if ordered & SIGN == 0 { !ordered } else { ordered ^ SIGN };
            Some(f64::from_bits(bits)).filter(|number| number.is_finite()).map(Value::Float)
        }
        ValueKind::Text => Some(Value::Text(String::from_utf8(key.to_vec()).ok()?)),
        ValueKind::Long => None,
    }
}

/// Number of bytes of a value; `None` where values have different numbers of bytes.
pub(super) fn width(kind: ValueKind) -> Option<usize> {
    match kind {
        ValueKind::Bool => Some(1),
        ValueKind::Integer | ValueKind::Float | ValueKind::Date => Some(8),
        ValueKind::Text => None,
        ValueKind::Long => Some(0),
    }
}
