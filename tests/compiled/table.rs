//! The tables of compiled kernels: `kernels/compiled.tsv` and `kernels/loops.tsv`.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Columns of a table.
#[derive(Debug, PartialEq, Eq)]
pub struct Columns {
    /// Comment lines after the first line.
    notes: &'static str,
    /// Columns that name a row.
    names: &'static str,
    numbers: &'static str,
}

/// Columns of `kernels/compiled.tsv`.
pub const KERNELS: Columns = Columns {
    notes: "",
    names: "arch\top\tkernel\tdim\tnbits\ttrellis",
    numbers: "registers\tshared_bytes\tstack_bytes\tinstructions",
};

/// Columns of `kernels/loops.tsv`.
pub const LOOPS: Columns = Columns {
    notes: "\
# A row is a loop, by the order of the headers, without the loops within it. Instructions by pipe; local: accesses to
# local memory, such as spilled registers (in lsu, too). clocks: the least of a quarter of an H200's multiprocessor,
# max(instructions, 2 alu, 2 fma, 6.45 mma), with 64 for a product of a warpgroup. least_...: the same of the pass with
# the fewest instructions, which leaves out all that branches skip.
",
    names: "arch\top\tkernel\tdim\tnbits\ttrellis\tloop",
    numbers: "instructions\talu\tfma\tlsu\tmma\tother\tlocal\tclocks\t\
              least_instructions\tleast_alu\tleast_fma\tleast_lsu\tleast_mma\tleast_other\tleast_clocks",
};

/// Beginning of the first line; the compiler's version follows.
const COMPILER: &str = "# made by NVRTC ";

/// A row's name and its numbers.
pub type Row = (Vec<String>, Vec<usize>);

/// Numbers of all compiled kernels or loops, and the version of the compiler that made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub columns: &'static Columns,
    pub compiler: String,
    pub rows: Vec<Row>,
}

impl Table {
    /// Formats the table.
    pub fn text(&self) -> String {
        let Columns { notes, names, numbers } = self.columns;
        let mut text = format!("{COMPILER}{}\n{notes}{names}\t{numbers}\n", self.compiler);
        for (names, numbers) in &self.rows {
            let numbers = numbers.iter().map(usize::to_string);
            let row: Vec<String> = names.iter().cloned().chain(numbers).collect();
            writeln!(text, "{}", row.join("\t")).expect("a string grows");
        }
        text
    }

    /// Parses a table. Any other text gives a table without a compiler, which differs from every other one.
    pub fn parse(columns: &'static Columns, text: &str) -> Self {
        let num_names = columns.names.split('\t').count();
        let compiler = text.lines().next().and_then(|line| line.strip_prefix(COMPILER)).unwrap_or_default().to_owned();
        let row = |line: &str| {
            let mut names: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let numbers = names.split_off(num_names.min(names.len()));
            (names, numbers.iter().filter_map(|number| number.parse().ok()).collect())
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { columns, compiler, rows: lines.skip(1).map(row).collect() }
    }

    /// Describes the changes from this table to `new`, a line per row.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let numbers = |table: &Self| table.rows.iter().cloned().collect::<BTreeMap<_, _>>();
        let (old_rows, new_rows) = (numbers(self), numbers(new));
        let columns: Vec<&str> = self.columns.numbers.split('\t').collect();
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
    let row = |dim: &str, numbers: &[usize]| {
        (["sm_90", "maxsim", "maxsim", dim, "2", "1"].map(String::from).to_vec(), numbers.to_vec())
    };
    let rows = vec![row("8", &[40, 0, 0, 96]), row("48", &[44, 16, 0, 80])];
    let old = Table { columns: &KERNELS, compiler: "13.0.88".into(), rows };
    assert_eq!(Table::parse(&KERNELS, &old.text()), old);
    assert_eq!(old.differences(&old), [""; 0]);
    let new = Table { rows: vec![row("8", &[41, 0, 0, 97]), row("96", &[1, 1, 1, 1])], ..old.clone() };
    let changed = "sm_90 maxsim maxsim 8 2 1: registers 40 -> 41 instructions 96 -> 97";
    assert_eq!(old.differences(&new), ["sm_90 maxsim maxsim 48 2 1: gone", changed, "sm_90 maxsim maxsim 96 2 1: new"]);
    let none = Table::parse(&KERNELS, "nonsense\nand more\nof it");
    assert!(none.compiler.is_empty() && none.differences(&old).len() == 4, "{none:?}");
    let named: Vec<String> = row("8", &[]).0.into_iter().chain(["1".into()]).collect();
    let loops = Table { columns: &LOOPS, rows: vec![(named, (0..15).collect())], ..old };
    assert_eq!(Table::parse(&LOOPS, &loops.text()), loops);
}
