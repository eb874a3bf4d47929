//! How answers look: aligned text for people, JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

use crate::args::{Global, Output};
use crate::failure::{Failure, one_line};

/// Prints one thing: its fields one a line, or one JSON object.
pub(crate) fn one(global: &Global, fields: &[(&str, String)], json: &impl Serialize) -> Result<(), Failure> {
    print(&match global.output {
        Output::Table => lines(fields),
        Output::Json => document(json)?,
    })
}

/// Prints several things: a table, or one JSON object that holds them.
pub(crate) fn many<const N: usize>(
    global: &Global,
    heads: [&str; N],
    rows: &[[String; N]],
    json: &impl Serialize,
) -> Result<(), Failure> {
    print(&match global.output {
        Output::Table => table(heads, rows),
        Output::Json => document(json)?,
    })
}

/// One JSON document, indented, with a line end.
pub(crate) fn document(json: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(json)
        .map_err(|error| Failure::caller(format!("the answer has no JSON form: {error}")).hint("use --output table"))?;
    Ok(text + "\n")
}

/// One JSON document on one line, for those that come one after the other.
pub(crate) fn line(json: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(json)
        .map_err(|error| Failure::caller(format!("the answer has no JSON form: {error}")).hint("use --output table"))?;
    Ok(text + "\n")
}

/// Writes text to standard output; styles are stripped where it is no terminal.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error: io::Error| Failure::stdout(&error))
}

fn lines(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    fields.iter().map(|(name, value)| format!("{name:<width$}  {}\n", one_line(value))).collect()
}

/// Columns that line up, under bold heads.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heads.map(|head| head.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", one_line(cell))).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let bold = anstyle::Style::new().bold();
    let mut text = format!("{bold}{}{bold:#}\n", line(heads));
    for row in rows {
        text.push_str(&line(std::array::from_fn(|i| row[i].as_str())));
        text.push('\n');
    }
    text
}

/// Bytes for people: `96 B`, `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns line up, and a name from elsewhere cannot move the cursor.
    #[test]
    fn tables_line_up_whatever_the_names_hold() {
        let rows = [["a".into(), "x".into()], ["long-name".into(), "y\n\u{1b}[31m".into()]];
        let text = anstream::adapter::strip_str(&table(["NAME", "B"], &rows)).to_string();
        assert_eq!(text, "NAME       B\na          x\nlong-name  y\u{fffd}\u{fffd}[31m\n");
    }

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!([0, 1023, 1024, 1_572_864, 1 << 40].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "1.0 TiB"]);
    }
}
