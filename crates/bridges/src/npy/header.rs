//! Parser of the header of a `.npy` file: a Python dict as text.
//!
//! **In:** the text. **Out:** `descr`, `fortran_order` and `shape`. White space, order of keys, kind of quotes and
//! trailing commas are free, as in Python. The supported literals are strings without escapes, `True`, `False`,
//! integers (with Python 2's `L`), tuples, lists and dicts.

/// Fields of the header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Type of an element. A structured type is kept as it is written.
    pub(super) descr: String,
    pub(super) is_fortran: bool,
    pub(super) shape: Vec<u64>,
}

/// Maximum depth of nesting. NumPy writes three levels.
const MAX_DEPTH: usize = 16;

/// Parses a header. The error is the rest of a sentence that begins with "has a header that".
pub(super) fn parse(text: &str) -> Result<Header, String> {
    let mut parser = Parser { text, rest: text, depth: 0 };
    let Literal::Dict(entries) = parser.literal()? else {
        return Err("is not a Python dict".into());
    };
    parser.skip_space();
    if !parser.rest.is_empty() {
        return Err(parser.unexpected("its end"));
    }
    let get = |key: &str| {
        let mut values = entries.iter().filter(|(name, ..)| name == key);
        match (values.next(), values.next()) {
            (Some((_, value, written)), None) => Ok((value, *written)),
            (None, _) => Err(format!("has no {key:?}")),
            (Some(_), Some(_)) => Err(format!("gives {key:?} twice")),
        }
    };
    let descr = match get("descr")? {
        (Literal::Text(descr), _) => descr.clone(),
        (Literal::Sequence(_), written) => written.to_owned(),
        (_, written) => return Err(format!("gives {written} as \"descr\", expected a type")),
    };
    let is_fortran = match get("fortran_order")? {
        (&Literal::Bool(order), _) => order,
        (_, written) => return Err(format!("gives {written} as \"fortran_order\", expected True or False")),
    };
    let (shape, written) = get("shape")?;
    let axes = match shape {
        Literal::Sequence(axes) => axes.iter().map(|axis| if let Literal::Int(n) = axis { Some(*n) } else { None }),
        _ => return Err(format!("gives {written} as \"shape\", expected a tuple")),
    };
    let shape = axes.collect::<Option<_>>();
    let shape = shape.ok_or_else(|| format!("gives {written} as \"shape\", expected numbers of elements"))?;
    Ok(Header { descr, is_fortran, shape })
}

enum Literal<'a> {
    Text(String),
    Bool(bool),
    Int(u64),
    /// A tuple or a list.
    Sequence(Vec<Literal<'a>>),
    /// Keys, values, and the text of the values.
    Dict(Vec<(String, Literal<'a>, &'a str)>),
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn literal(&mut self) -> Result<Literal<'a>, String> {
        self.skip_space();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("is nested more than {MAX_DEPTH} deep"));
        }
        let literal = match self.rest.bytes().next() {
            Some(b'\'' | b'"') => Literal::Text(self.string()?),
            Some(b'0'..=b'9') => Literal::Int(self.integer()?),
            Some(b'(') => Literal::Sequence(self.sequence(')')?),
            Some(b'[') => Literal::Sequence(self.sequence(']')?),
            Some(b'{') => Literal::Dict(self.dict()?),
            _ => Literal::Bool(self.bool()?),
        };
        self.depth -= 1;
        Ok(literal)
    }

    fn bool(&mut self) -> Result<bool, String> {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len()));
        let value = match word {
            "True" => true,
            "False" => false,
            _ => return Err(self.unexpected("a string, a number, a tuple, True or False")),
        };
        self.rest = rest;
        Ok(value)
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = &self.rest[..1];
        let Some((string, rest)) = self.rest[1..].split_once(quote).filter(|(string, _)| !string.contains('\\')) else {
            return Err(self.unexpected("a string without escapes"));
        };
        self.rest = rest;
        Ok(string.to_owned())
    }

    fn integer(&mut self) -> Result<u64, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().map_err(|_| self.unexpected("a number of elements"))?;
        self.rest = &self.rest[end..];
        self.rest = self.rest.strip_prefix('L').unwrap_or(self.rest);
        Ok(number)
    }

    fn sequence(&mut self, close: char) -> Result<Vec<Literal<'a>>, String> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        while !self.closes(close) {
            items.push(self.literal()?);
            self.separate(close)?;
        }
        Ok(items)
    }

    fn dict(&mut self) -> Result<Vec<(String, Literal<'a>, &'a str)>, String> {
        self.rest = &self.rest[1..];
        let mut entries = Vec::new();
        while !self.closes('}') {
            let Literal::Text(key) = self.literal()? else { return Err(self.unexpected("a string as key")) };
            self.skip_space();
            self.rest = self.rest.strip_prefix(':').ok_or_else(|| self.unexpected("a colon"))?;
            self.skip_space();
            let before = self.rest;
            let value = self.literal()?;
            entries.push((key, value, &before[..before.len() - self.rest.len()]));
            self.separate('}')?;
        }
        Ok(entries)
    }

    /// Consumes a closing bracket if it comes next; returns whether it did.
    fn closes(&mut self, close: char) -> bool {
        self.skip_space();
        let tail = self.rest.strip_prefix(close);
        self.rest = tail.unwrap_or(self.rest);
        tail.is_some()
    }

    /// Consumes the comma after an item; before a closing bracket it is optional.
    fn separate(&mut self, close: char) -> Result<(), String> {
        self.skip_space();
        match self.rest.strip_prefix(',') {
            Some(tail) => self.rest = tail,
            None if self.rest.starts_with(close) => (),
            None => return Err(self.unexpected("a comma")),
        }
        Ok(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn unexpected(&self, expected: &str) -> String {
        let at = self.text.len() - self.rest.len();
        match self.rest.chars().next() {
            None => format!("ends where {expected} is expected"),
            Some(_) => {
                let found: String = self.rest.chars().take(12).collect();
                format!("has {found:?} at byte {at}, where {expected} is expected")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_reads_these_and_so_do_we() {
        let header = |is_fortran| Header { descr: "<f4".into(), is_fortran, shape: vec![3, 8] };
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8), }          \n",
            "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (3, 8)}",
            "{'descr':'<f4','fortran_order':False,'shape':(3,8)}",
            "  {\n'shape' : ( 3L ,8L, ) ,\t'fortran_order' :False, 'descr' :'<f4' , }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': [3, 8]}",
        ] {
            assert_eq!(parse(text), Ok(header(false)), "{text}");
            assert_eq!(parse(&text.replace("False", "True")), Ok(header(true)), "{text}");
        }
        let shape = |shape: &str| {
            parse(&format!("{{'descr': '|O', 'fortran_order': False, 'shape': {shape}}}")).map(|header| header.shape)
        };
        assert_eq!((shape("()"), shape("(7,)"), shape("(0, 1)")), (Ok(vec![]), Ok(vec![7]), Ok(vec![0, 1])));
        let structured = parse("{'descr': [('a', '<f4'), ('b', '<i2', (2,))], 'fortran_order': False, 'shape': (3,)}");
        assert_eq!(structured.unwrap().descr, "[('a', '<f4'), ('b', '<i2', (2,))]");
    }

    #[test]
    fn a_broken_header_says_where() {
        for (text, reason) in [
            ("", "ends where"),
            ("(3, 8)", "is not a Python dict"),
            ("{'descr': '<f4', 'fortran_order': Falsy, 'shape': (3, 8)}", "\"Falsy, 'shap\" at byte 34"),
            ("{'descr': '<f4', 'fortran_order': 'True', 'shape': (3, 8)}", "'True' as \"fortran_order\""),
            ("{'descr': '<f4', 'fortran_order': 1, 'shape': (3, 8)}", "1 as \"fortran_order\""),
            ("{'descr': '<f4', 'shape': (3, 8)}", "no \"fortran_order\""),
            ("{'descr': '<f4', 'fortran_order': True, 'fortran_order': False, 'shape': (3, 8)}", "twice"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, -8)}", "\"-8)}\" at byte"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 99999999999999999999)}", "number of elements"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': 3}", "3 as \"shape\""),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ((3, 8),)}", "numbers of elements"),
            ("{'descr': 4, 'fortran_order': False, 'shape': (3, 8)}", "4 as \"descr\""),
            ("{'descr': '<f4\\n', 'fortran_order': False, 'shape': (3, 8)}", "without escapes"),
            ("{'descr': '<f4', 'fortran_order': False 'shape': (3, 8)}", "a comma"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8)} x", "its end"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8", "ends where a comma"),
            ("{7: '<f4'}", "a string as key"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
        }
        assert!(parse(&"(".repeat(60_000)).unwrap_err().contains("nested"));
    }
}
