//! Columns of text that line up.

use super::terminal::{Colour, Terminal};

/// Space between two columns.
const GAP: usize = 3;

/// Widths of columns, found once: rows that come later, in a watch, keep to them as far as they fit.
pub(super) struct Table {
    headers: &'static [&'static str],
    widths: Vec<usize>,
}

impl Table {
    /// A table as wide as these rows need.
    pub(super) fn new<'a>(
        headers: &'static [&'static str],
        rows: impl IntoIterator<Item = &'a Vec<String>>,
    ) -> Self {
        let mut widths: Vec<usize> = headers.iter().map(|header| header.len()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        Self { headers, widths }
    }

    /// The line of headers.
    pub(super) fn header(&self) -> String {
        self.line(self.headers.iter().copied(), |_, cell| cell.to_owned())
    }

    /// The line of a row, with the cells under `READY` coloured.
    pub(super) fn row(&self, row: &[String], terminal: &Terminal) -> String {
        self.line(row.iter().map(String::as_str), |header, cell| {
            if header != "READY" {
                return cell.to_owned();
            }
            let colour = match cell {
                "True" => Colour::Green,
                "False" => Colour::Red,
                _ => Colour::Yellow,
            };
            terminal.paint(colour, cell)
        })
    }

    fn line<'a>(
        &self,
        cells: impl Iterator<Item = &'a str>,
        paint: impl Fn(&str, &str) -> String,
    ) -> String {
        let mut line = String::new();
        for ((header, width), cell) in self.headers.iter().zip(&self.widths).zip(cells) {
            line.push_str(&paint(header, cell));
            // Padding goes outside of the colour, whose codes have no width.
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + GAP));
        }
        line.truncate(line.trim_end().len());
        line
    }
}
