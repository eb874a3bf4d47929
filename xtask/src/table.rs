//! How a table is printed: columns as wide as their widest cell, numbers to the right.

/// Which way a column leans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lean {
    Left,
    Right,
}

/// Rows under a heading.
pub(crate) struct Table {
    columns: Vec<(String, Lean)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Lean)]) -> Self {
        Self { columns: columns.iter().map(|(name, lean)| ((*name).to_owned(), *lean)).collect(), rows: Vec::new() }
    }

    /// Adds a row with one cell a column; missing ones stay empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&heading).chain(&self.rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        for row in [&heading, &rule].into_iter().chain(&self.rows) {
            let cells = row.iter().zip(&widths).zip(&self.columns).map(|((cell, &width), (_, lean))| match lean {
                Lean::Left => format!("{cell:<width$}"),
                Lean::Right => format!("{cell:>width$}"),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("row", Lean::Left), ("ns", Lean::Right)]);
        table.row(["key look-up", "7"]);
        table.row(["seal"]);
        assert_eq!(table.to_string(), "row          ns\n───────────  ──\nkey look-up   7\nseal\n");
    }
}
