//! Plain tables: columns side by side, two blanks apart, numbers to the right.

use std::fmt;

/// How a column's cells stand.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a heading.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. One with fewer cells than the table has columns ends with a text that runs on over the
    /// columns it does not fill.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn runs_on(&self, row: &[String], column: usize) -> bool {
        row.len() < self.columns.len() && column + 1 == row.len()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<_> = self.columns.iter().map(|(title, _)| title.chars().count()).collect();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate().filter(|&(column, _)| !self.runs_on(row, column)) {
                widths[column] = widths[column].max(cell.chars().count());
            }
        }
        let titles: Vec<_> = self.columns.iter().map(|(title, _)| title.to_string()).collect();
        for row in [&titles].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                line += &match self.columns[column].1 {
                    _ if self.runs_on(row, column) => cell.clone(),
                    Align::Left => format!("{cell:<width$}  "),
                    Align::Right => format!("{cell:>width$}  "),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The number with a comma behind every third digit from its end.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_sets_a_comma_behind_every_third_digit() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (28_901_376, "28,901,376")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_short_row_runs_on_without_widening_a_column() {
        let mut table = Table::new(&[("name", Align::Left), ("bytes", Align::Right), ("ms", Align::Right)]);
        table.push(["a".to_string(), "1,000".to_string(), "0.5".to_string()]);
        table.push(["longer".to_string(), "needs a 1x1 kernel".to_string()]);
        let expected = "name    bytes   ms\na       1,000  0.5\nlonger  needs a 1x1 kernel\n";
        assert_eq!(table.to_string(), expected);
    }
}
