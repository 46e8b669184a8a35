//! Tables as data: columns with two lines of heading and rows of text, made once for the terminal
//! and for HTML. And the terminal's text of them, which never gets wider than [`WIDTH`].

use crate::report::number::NONE;

/// Columns of a terminal that text may take.
pub const WIDTH: usize = 110;

/// Characters of a cell at most, in a terminal.
const CELL_MAX: usize = 48;

const GAP: &str = "  ";

/// Rows under headings. The first column says what a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What a reader may ask about it; may be empty.
    pub note: String,
    /// As many as each row has cells.
    pub columns: Vec<Column>,
    /// From the top.
    pub rows: Vec<Row>,
}

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The quantity.
    pub name: String,
    /// Its unit, or what else tells it from its neighbours.
    pub unit: String,
    /// Words start at the left; numbers end at the right.
    pub words: bool,
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<String>,
    /// The one to look at first.
    pub marked: bool,
}

impl Column {
    /// Of numbers.
    pub fn numbers(name: impl Into<String>, unit: impl Into<String>) -> Self {
        Self { name: name.into(), unit: unit.into(), words: false }
    }

    /// Of words.
    pub fn words(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: String::new(), words: true }
    }
}

impl From<Vec<String>> for Row {
    fn from(cells: Vec<String>) -> Self {
        Self { cells, marked: false }
    }
}

impl Table {
    /// Without a note.
    pub fn new(title: impl Into<String>, columns: Vec<Column>, rows: Vec<Row>) -> Self {
        Self { title: title.into(), note: String::new(), columns, rows }
    }

    /// With a note.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Without the columns in which nothing was measured; `None` if nothing is left to read.
    pub fn measured(mut self) -> Option<Self> {
        let measured = |at: usize| at == 0 || self.rows.iter().any(|row| row.cells[at] != NONE);
        let keep: Vec<bool> = (0..self.columns.len()).map(measured).collect();
        let mut kept = keep.iter();
        self.columns.retain(|_| kept.next() == Some(&true));
        for row in &mut self.rows {
            let mut kept = keep.iter();
            row.cells.retain(|_| kept.next() == Some(&true));
        }
        (!self.rows.is_empty() && self.columns.len() > 1).then_some(self)
    }

    /// For a terminal: title, heading, rows, note. What is too wide goes on below, with the first
    /// column again.
    pub fn text(&self) -> String {
        let mut out = wrapped("", &self.title);
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        for block in blocks(&widths) {
            let name = |at: usize| self.columns[at].name.as_str();
            let unit = |at: usize| self.columns[at].unit.as_str();
            self.line(&mut out, &block, &widths, name);
            if block.iter().any(|at| !unit(*at).is_empty()) {
                self.line(&mut out, &block, &widths, unit);
            }
            for row in &self.rows {
                self.line(&mut out, &block, &widths, |at| &row.cells[at]);
            }
        }
        if !self.note.is_empty() {
            out += &wrapped(GAP, &self.note);
        }
        out
    }

    fn width(&self, at: usize) -> usize {
        let Column { name, unit, .. } = &self.columns[at];
        let cells = self.rows.iter().map(|row| &row.cells[at]);
        let chars = cells.chain([name, unit]).map(|text| text.chars().count());
        chars.max().unwrap_or(0).min(CELL_MAX)
    }

    fn line<'a>(
        &self,
        out: &mut String,
        block: &[usize],
        widths: &[usize],
        cell: impl Fn(usize) -> &'a str,
    ) {
        let mut line = String::new();
        for &at in block {
            let (text, width) = (fitted(cell(at), widths[at]), widths[at]);
            line += GAP;
            line += &match self.columns[at].words {
                true => format!("{text:<width$}"),
                false => format!("{text:>width$}"),
            };
        }
        *out += line.trim_end();
        out.push('\n');
    }
}

/// Indices of columns that fit side by side; each block has the first column.
fn blocks(widths: &[usize]) -> Vec<Vec<usize>> {
    let with_gap = |at: usize| widths[at] + GAP.len();
    let mut blocks = vec![vec![0]];
    let mut used = with_gap(0);
    for at in 1..widths.len() {
        if used + with_gap(at) > WIDTH {
            blocks.push(vec![0]);
            used = with_gap(0);
        }
        used += with_gap(at);
        if let Some(block) = blocks.last_mut() {
            block.push(at);
        }
    }
    blocks
}

fn fitted(text: &str, width: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Text behind `first`, in as many lines as it needs; they all begin where the first one's text
/// does. Ends its line.
pub fn wrapped(first: &str, text: &str) -> String {
    let indent = first.chars().count();
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in printable(text).split(' ').filter(|word| !word.is_empty()) {
        for piece in pieces(word, WIDTH - indent) {
            let length = piece.chars().count();
            if used > 0 && indent + used + 1 + length > WIDTH {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                if used > 0 {
                    line.push(' ');
                }
                *line += &piece;
            }
            used += length + usize::from(used > 0);
        }
    }
    let rest = format!("\n{}", " ".repeat(indent));
    format!("{}{}\n", printable(first), lines.join(&rest))
}

/// A word in parts of at most `width` characters: an address or a path may be longer than a line.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(width.max(1)).map(|chunk| chunk.iter().collect()).collect()
}

/// Without what a terminal would take as an order: texts of servers and command lines are shown.
fn printable(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ");
    text.chars().map(|c| if c.is_control() { '�' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn a_wide_table_goes_on_below_with_its_first_column() {
        let columns = (0..40).map(|at| Column::numbers(format!("name{at}"), "unit")).collect();
        let rows = vec![Row::from(vec!["12345678".to_owned(); 40])];
        let text = Table::new("Title", columns, rows).text();
        assert!(widest(&text) <= WIDTH, "{text}");
        assert_eq!(text.matches("name0 ").count(), text.matches("unit\n").count());
        assert!(text.contains("name39"));
    }

    #[test]
    fn columns_of_nothing_are_left_out() {
        let row = |cells: [&str; 3]| Row::from(cells.map(str::to_owned).to_vec());
        let columns = || ["load", "a", "b"].map(|name| Column::numbers(name, "")).to_vec();
        let rows = vec![row(["1", NONE, NONE]), row(["2", NONE, "7"])];
        let table = Table::new("", columns(), rows).measured().unwrap();
        assert_eq!(table.columns.len(), 2);
        assert_eq!(table.rows[0].cells, ["1", NONE]);
        let empty = Table::new("", columns(), vec![row(["1", NONE, NONE])]);
        assert_eq!(empty.measured(), None);
    }

    #[test]
    fn numbers_end_at_the_right_and_words_begin_at_the_left() {
        let columns = vec![Column::words("who"), Column::numbers("n", "ms")];
        let row = |who: &str, n: &str| Row::from(vec![who.to_owned(), n.to_owned()]);
        let rows = vec![row("a", "1"), row("long", "100")];
        let text = Table::new("T", columns, rows).text();
        assert_eq!(text, "T\n  who     n\n         ms\n  a       1\n  long  100\n");
    }

    #[test]
    fn long_texts_are_wrapped_and_carry_no_orders_to_a_terminal() {
        let text = wrapped("   ", &("word ".repeat(60) + &"x".repeat(300) + "\u{1b}[31m\u{7}"));
        assert!(widest(&text) <= WIDTH, "{text}");
        assert!(text.lines().all(|line| line.starts_with("   ")));
        assert_eq!(text.matches('x').count(), 300);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'));
        let columns = vec![Column::words("a"), Column::words("b")];
        let row = Row::from(vec!["\u{1b}[2J".to_owned(), "y".repeat(500)]);
        let text = Table::new("T", columns, vec![row]).text();
        assert!(widest(&text) <= WIDTH && !text.contains('\u{1b}'), "{text}");
    }
}
