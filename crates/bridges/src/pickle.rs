//! Pickles, as data: a reader of the few opcodes that torch writes for tensors, which executes nothing.
//!
//! **In:** the bytes of a pickle. **Out:** a [`Value`]: numbers, strings, tuples, lists, dicts and tensors, whose
//! storages are named but not read. A name of Python's (opcode `GLOBAL`) is compared with [`NAMES`] and never looked
//! up; any other one is refused by its name, as are opcodes that call or build objects in other ways.
//!
//! Opcodes: `pickletools.py` of CPython; tensors: `torch/_utils.py`, `torch/serialization.py`.

use crate::array::Kind;
use std::rc::Rc;

/// Largest pickle that is read; the ones of PLAID's files have some hundred bytes.
pub(crate) const MAX_PICKLE_BYTES: u64 = 1 << 16;
/// Greatest depth of nested tuples, lists and dicts.
const MAX_DEPTH: u8 = 16;
/// Largest number of operations, which bounds the memory of the stack and the memo.
const MAX_OPERATIONS: usize = 1 << 16;

/// Python's names that a pickle may have, and the values that stand for them.
const NAMES: [(&str, Name); 10] = [
    ("torch._utils _rebuild_tensor_v2", Name::RebuildTensor),
    ("collections OrderedDict", Name::OrderedDict),
    ("torch HalfStorage", Name::Storage(Kind::F16)),
    ("torch FloatStorage", Name::Storage(Kind::F32)),
    ("torch DoubleStorage", Name::Storage(Kind::F64)),
    ("torch ByteStorage", Name::Storage(Kind::U8)),
    ("torch IntStorage", Name::Storage(Kind::I32)),
    ("torch LongStorage", Name::Storage(Kind::I64)),
    ("torch BoolStorage", Name::Storage(Kind::U8)),
    ("torch Size", Name::Size),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Name {
    RebuildTensor,
    OrderedDict,
    Size,
    Storage(Kind),
}

/// A tensor: its place in a storage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) kind: Kind,
    /// Name of the storage's file in the archive.
    pub(crate) storage: Rc<str>,
    /// First element.
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<u64>,
}

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// A tuple, a list, or a dict's keys and values in turn, with its depth.
    Sequence(u8, Rc<Vec<Value>>),
    Name(Name),
    Storage(Kind, Rc<str>),
    Tensor(Rc<Tensor>),
    /// Start of a run of arguments.
    Mark,
}

/// Reads a pickle. The error is the rest of a sentence that begins with the name of the file.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut machine = Machine { rest: bytes, stack: Vec::new(), memo: Vec::new() };
    for _ in 0..MAX_OPERATIONS {
        let opcode = machine.byte()?;
        if opcode == b'.' {
            return machine.pop();
        }
        machine.step(opcode)?;
    }
    Err(format!("has a pickle of more than {MAX_OPERATIONS} operations"))
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    memo: Vec<(u32, Value)>,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => match self.byte()? {
                2..=5 => {}
                version => return Err(format!("has a pickle of protocol {version}, expected 2 to 5")),
            },
            // FRAME: its length is of no use here.
            0x95 => _ = self.take(8)?,
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => {
                let value = self.byte()?.into();
                self.stack.push(Value::Int(value));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?).into();
                self.stack.push(Value::Int(value));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?).into();
                self.stack.push(Value::Int(value));
            }
            0x8a => {
                let value = self.long()?;
                self.stack.push(Value::Int(value));
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.stack.push(Value::Float(value));
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text(length)?;
            }
            0x8c => {
                let length = self.byte()?.into();
                self.text(length)?;
            }
            b'(' => self.stack.push(Value::Mark),
            b')' | b']' | b'}' => self.stack.push(Value::Sequence(1, Rc::default())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_sequence(items)?;
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push_sequence(items)?;
            }
            // APPEND, APPENDS, SETITEM, SETITEMS.
            b'a' => self.extend(1)?,
            b's' => self.extend(2)?,
            b'e' | b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_by(items)?;
            }
            b'q' => {
                let at = self.byte()?.into();
                self.put(at)?;
            }
            b'r' => {
                let at = u32::from_le_bytes(self.array()?);
                self.put(at)?;
            }
            // MEMOIZE
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => {
                let at = self.byte()?.into();
                self.get(at)?;
            }
            b'j' => {
                let at = u32::from_le_bytes(self.array()?);
                self.get(at)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_name(&module, &name)?;
            }
            0x93 => {
                let [module, name] = self.pop_array()?;
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err("has a pickle with a name that is not text".into());
                };
                self.push_name(&module, &name)?;
            }
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            other => {
                let reason = format!("has a pickle with opcode {other:#04x}, which no file of tensors needs");
                return Err(reason + "; it was not executed");
            }
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn take(&mut self, length: usize) -> Result<&[u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("has a pickle that ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|&b| b == b'\n').ok_or("has a pickle that ends too early")?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.byte()?;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "has a pickle with text that is not UTF-8")?;
        let text = text.into();
        self.stack.push(Value::Text(text));
        Ok(())
    }

    /// LONG1: little-endian two's complement of any length; a tensor's integers fit 8 bytes.
    fn long(&mut self) -> Result<i64, String> {
        let length = self.byte()?.into();
        let bytes = self.take(length)?;
        let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        let Some(low) = wide.get_mut(..bytes.len()) else {
            return Err(format!("has a pickle with an integer of {length} bytes"));
        };
        low.copy_from_slice(bytes);
        Ok(i64::from_le_bytes(wide))
    }

    fn pop(&mut self) -> Result<Value, String> {
        match self.stack.pop() {
            None | Some(Value::Mark) => Err("has a pickle that takes a value from an empty stack".into()),
            Some(value) => Ok(value),
        }
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_array<const N: usize>(&mut self) -> Result<[Value; N], String> {
        Ok(self.pop_many(N)?.try_into().expect("as many values as were popped"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark);
        let items = self.stack.split_off(mark.ok_or("has a pickle without a mark")? + 1);
        self.stack.pop();
        Ok(items)
    }

    fn push_sequence(&mut self, items: Vec<Value>) -> Result<(), String> {
        let depth = |value: &Value| if let Value::Sequence(depth, _) = value { *depth } else { 0 };
        let depth = 1 + items.iter().map(depth).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(format!("has a pickle nested more than {MAX_DEPTH} deep"));
        }
        self.stack.push(Value::Sequence(depth, Rc::new(items)));
        Ok(())
    }

    fn extend(&mut self, count: usize) -> Result<(), String> {
        let items = self.pop_many(count)?;
        self.extend_by(items)
    }

    fn extend_by(&mut self, items: Vec<Value>) -> Result<(), String> {
        let Value::Sequence(_, before) = self.pop()? else {
            return Err("has a pickle that appends to a value that is no list or dict".into());
        };
        // A copy of a list that the memo holds would let a short pickle make long ones.
        if Rc::strong_count(&before) > 2 || before.len() + items.len() > MAX_PICKLE_BYTES as usize {
            return Err("has a pickle that appends to a list that is used elsewhere".into());
        }
        self.push_sequence(before.iter().cloned().chain(items).collect())
    }

    fn put(&mut self, at: u32) -> Result<(), String> {
        let value = self.stack.last().filter(|value| **value != Value::Mark);
        let value = value.ok_or("has a pickle that stores a value of an empty stack")?.clone();
        match self.memo.iter_mut().find(|(number, _)| *number == at) {
            Some((_, earlier)) => *earlier = value,
            None => self.memo.push((at, value)),
        }
        Ok(())
    }

    fn get(&mut self, at: u32) -> Result<(), String> {
        let found = self.memo.iter().find(|(number, _)| *number == at);
        let (_, value) = found.ok_or_else(|| format!("has a pickle that reads value {at}, which it did not store"))?;
        self.stack.push(value.clone());
        Ok(())
    }

    fn push_name(&mut self, module: &str, name: &str) -> Result<(), String> {
        let full = format!("{module} {name}");
        let known = NAMES.iter().find(|(known, _)| *known == full);
        let (_, value) = known.ok_or_else(|| {
            let name = format!("{module}.{name}");
            format!("has a pickle that names {name:?}, which no file of tensors needs; it was not executed")
        })?;
        self.stack.push(Value::Name(*value));
        Ok(())
    }

    /// BINPERSID: `('storage', torch.FloatStorage, key, device, number of elements)`. Any device will do.
    fn storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let storage = match &id {
            Value::Sequence(_, items) => match items.as_slice() {
                [Value::Text(tag), Value::Name(Name::Storage(kind)), Value::Text(key), Value::Text(_), _]
                    if **tag == *"storage" =>
                {
                    Some(Value::Storage(*kind, key.clone()))
                }
                _ => None,
            },
            _ => None,
        };
        self.stack.push(storage.ok_or("has a pickle with a storage of an unknown type")?);
        Ok(())
    }

    /// REDUCE of the two functions that tensors need, which are not called.
    fn call(&mut self) -> Result<(), String> {
        let [function, arguments] = self.pop_array()?;
        let Value::Sequence(_, arguments) = arguments else {
            return Err("has a pickle that calls without arguments".into());
        };
        let value = match (function, arguments.as_slice()) {
            (Value::Name(Name::OrderedDict), []) => Value::Sequence(1, Rc::default()),
            (Value::Name(Name::Size), [shape @ Value::Sequence(..)]) => shape.clone(),
            (
                Value::Name(Name::RebuildTensor),
                [Value::Storage(kind, storage), Value::Int(offset), shape, strides, Value::Bool(_), _, ..],
            ) => {
                let (offset, kind) = (u64::try_from(*offset).map_err(|_| "has a tensor of a negative offset")?, *kind);
                let (shape, strides) = (sizes(shape)?, sizes(strides)?);
                Value::Tensor(Rc::new(Tensor { kind, storage: storage.clone(), offset, shape, strides }))
            }
            _ => return Err("has a pickle with a call that makes no tensor; it was not executed".into()),
        };
        self.stack.push(value);
        Ok(())
    }
}

/// Converts a tuple of sizes.
fn sizes(value: &Value) -> Result<Vec<u64>, String> {
    let size = |item: &Value| match item {
        Value::Int(size) => u64::try_from(*size).ok(),
        _ => None,
    };
    let sizes = match value {
        Value::Sequence(_, items) if items.len() <= 4 => items.iter().map(size).collect(),
        _ => None,
    };
    sizes.ok_or_else(|| "has a tensor whose shape is not a tuple of at most 4 sizes".into())
}
