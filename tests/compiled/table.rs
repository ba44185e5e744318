//! The table of compiled kernels: `kernels/compiled.tsv`.

use std::collections::BTreeMap;
use std::fmt::Write;

const COLUMNS: &str = "arch\top\tkernel\tdim\tnbits\ttrellis\tregisters\tshared_bytes\tstack_bytes\tinstructions";
/// Number of the columns that name a row.
const NAMES: usize = 6;
/// Beginning of the first line; the compiler's version follows.
const COMPILER: &str = "# made by NVRTC ";

/// A row's name and its numbers.
pub type Row = (Vec<String>, Vec<usize>);

/// Numbers of all compiled kernels, and the version of the compiler that made them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub compiler: String,
    pub rows: Vec<Row>,
}

impl Table {
    /// Formats the table.
    pub fn text(&self) -> String {
        let mut text = format!("{COMPILER}{}\n{COLUMNS}\n", self.compiler);
        for (names, numbers) in &self.rows {
            let numbers = numbers.iter().map(usize::to_string);
            let row: Vec<String> = names.iter().cloned().chain(numbers).collect();
            writeln!(text, "{}", row.join("\t")).expect("a string grows");
        }
        text
    }

    /// Parses a table. Any other text gives a table without a compiler, which differs from every other one.
    pub fn parse(text: &str) -> Self {
        let compiler = text.lines().next().and_then(|line| line.strip_prefix(COMPILER)).unwrap_or_default().to_owned();
        let row = |line: &str| {
            let mut names: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let numbers = names.split_off(NAMES.min(names.len()));
            (names, numbers.iter().filter_map(|number| number.parse().ok()).collect())
        };
        Self { compiler, rows: text.lines().skip(2).map(row).collect() }
    }

    /// Describes the changes from this table to `new`, a line per row.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let numbers = |table: &Self| table.rows.iter().cloned().collect::<BTreeMap<_, _>>();
        let (old_rows, new_rows) = (numbers(self), numbers(new));
        let columns: Vec<&str> = COLUMNS.split('\t').skip(NAMES).collect();
        let changed = |old: &[usize], new: &[usize]| {
            let numbers = columns.iter().zip(old.iter().zip(new)).filter(|(_, (old, new))| old != new);
            numbers.map(|(column, (old, new))| format!(" {column} {old} -> {new}")).collect::<String>()
        };
        let mut lines = Vec::new();
        for (names, old) in &old_rows {
            let name = names.join(" ");
            match new_rows.get(names) {
                None => lines.push(format!("{name}: gone")),
                Some(new) if new != old => lines.push(format!("{name}:{}", changed(old, new))),
                Some(_) => {}
            }
        }
        let added = new_rows.keys().filter(|names| !old_rows.contains_key(*names));
        lines.extend(added.map(|names| format!("{}: new", names.join(" "))));
        lines
    }
}

#[test]
fn a_table_is_read_as_written_and_differences_are_named() {
    let row = |dim: &str, numbers: [usize; 4]| {
        (["sm_90", "maxsim", "maxsim", dim, "2", "1"].map(String::from).to_vec(), numbers.to_vec())
    };
    let old = Table { compiler: "13.0.88".into(), rows: vec![row("8", [40, 0, 0, 96]), row("48", [44, 16, 0, 80])] };
    assert_eq!(Table::parse(&old.text()), old);
    assert_eq!(old.differences(&old), [""; 0]);
    let new = Table { rows: vec![row("8", [41, 0, 0, 97]), row("96", [1, 1, 1, 1])], ..old.clone() };
    let changed = "sm_90 maxsim maxsim 8 2 1: registers 40 -> 41 instructions 96 -> 97";
    assert_eq!(old.differences(&new), ["sm_90 maxsim maxsim 48 2 1: gone", changed, "sm_90 maxsim maxsim 96 2 1: new"]);
    let none = Table::parse("nonsense\nand more\nof it");
    assert!(none.compiler.is_empty() && none.differences(&old).len() == 3, "{none:?}");
}
