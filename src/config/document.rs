//! A TOML document that is read key by key: what is wrong is collected, what nobody asked for is found.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// The faults found so far, and the text they are in.
pub(super) struct Faults<'t> {
    text: &'t str,
    found: RefCell<Vec<Fault>>,
}

impl<'t> Faults<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, found: RefCell::default() }
    }

    pub(super) fn add(&self, at: Option<Range<usize>>, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        let line = at.map(|at| 1 + self.text[..at.start.min(self.text.len())].matches('\n').count());
        self.found.borrow_mut().push(Fault { line, key: key.to_owned(), what: what.into(), hint: hint.into() });
    }

    /// In the order of the lines; what has none comes last.
    pub(super) fn into_sorted(self) -> Vec<Fault> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }
}

/// A table being read. Keys that were never asked for are faults when it is [closed](Self::close).
pub(super) struct Section<'d, 't> {
    faults: &'d Faults<'t>,
    /// The table's name with a dot, or nothing for the whole document.
    prefix: String,
    table: Option<&'d DeTable<'t>>,
    at: Option<Range<usize>>,
    asked: BTreeSet<&'static str>,
}

impl<'d, 't> Section<'d, 't> {
    /// The whole document.
    pub(super) fn whole(faults: &'d Faults<'t>, table: &'d DeTable<'t>) -> Self {
        Self { faults, prefix: String::new(), table: Some(table), at: None, asked: BTreeSet::new() }
    }

    /// Whether the table is in the file at all.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the key stands in the table, with whatever value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    fn find(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.insert(key);
        self.table.and_then(|table| table.get(key))
    }

    /// Reports something about one of this table's keys, or about the table itself where the key is not there.
    pub(super) fn fault(&self, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        let value = self.table.and_then(|table| table.get(key)).map(Spanned::span);
        self.faults.add(value.or(self.at.clone()), &format!("{}{key}", self.prefix), what, hint);
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &DeValue<'_>) {
        self.fault(key, format!("is {} where {wanted} belongs", article(found.type_str())), format!("write {wanted}"));
    }

    /// A table inside this one; absent ones read as empty.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'d, 't> {
        let found = self.find(key);
        let table = found.and_then(|value| {
            let table = value.get_ref().as_table();
            if table.is_none() {
                self.wrong_type(key, "a table", value.get_ref());
            }
            table
        });
        let prefix = format!("{}{key}.", self.prefix);
        Section { faults: self.faults, prefix, table, at: found.map(Spanned::span), asked: BTreeSet::new() }
    }

    /// The tables of an array (`[[key]]`).
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'d, 't>> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, &format!("a list of tables ([[{key}]])"), value.get_ref());
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in array.iter().enumerate() {
            match item.get_ref().as_table() {
                None => self.wrong_type(key, &format!("a list of tables ([[{key}]])"), item.get_ref()),
                Some(table) => sections.push(Section {
                    faults: self.faults,
                    prefix: format!("{}{key}[{index}].", self.prefix),
                    table: Some(table),
                    at: Some(item.span()),
                    asked: BTreeSet::new(),
                }),
            }
        }
        sections
    }

    /// Reports what was never asked for.
    pub(super) fn close(self) {
        for (key, value) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            if !self.asked.contains(name) {
                let known = self.asked.iter().copied().collect::<Vec<_>>().join(", ");
                let near = self.asked.iter().find(|known| is_near(known, name));
                let hint = match near {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known here: {known}"),
                };
                self.faults.add(
                    Some(key.span().start..value.span().end),
                    &format!("{}{name}", self.prefix),
                    "is not known",
                    hint,
                );
            }
        }
    }

    /// A text, if the key is there.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'d str> {
        let value = self.find(key)?.get_ref();
        match value.as_str() {
            Some("") => {
                self.fault(key, "is empty", "write a value, or leave the key out");
                None
            }
            Some(text) => Some(text),
            None => {
                self.wrong_type(key, "a text in quotes", value);
                None
            }
        }
    }

    /// A list of texts, if the key is there.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<&'d str>> {
        let value = self.find(key)?.get_ref();
        let Some(array) = value.as_array() else {
            self.wrong_type(key, "a list of texts in quotes", value);
            return None;
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(text),
                None => self.wrong_type(key, "a text in quotes", item.get_ref()),
            }
        }
        Some(texts)
    }

    /// A text that has to be there.
    pub(super) fn required(&mut self, key: &'static str, hint: &str) -> Option<&'d str> {
        if self.find(key).is_none() {
            self.fault(key, "is missing", hint);
        }
        self.text(key)
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
            self.fault(key, "has a value that is not known", format!("write {words}"));
        }
        found
    }

    /// A count within bounds.
    pub(super) fn count(&mut self, key: &'static str, bounds: Range<u64>) -> Option<u64> {
        let value = self.find(key)?.get_ref();
        let Some(integer) = value.as_integer() else {
            self.wrong_type(key, "a whole number", value);
            return None;
        };
        let count = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|count| bounds.contains(count));
        if count.is_none() {
            let hint = format!("write a number from {} to {}", bounds.start, bounds.end - 1);
            self.fault(key, "is out of its bounds", hint);
        }
        count
    }

    /// A duration such as `"30s"`, within bounds.
    pub(super) fn duration(&mut self, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
        let text = self.text(key)?;
        let duration = parse_duration(text).filter(|duration| (least..=most).contains(duration));
        if duration.is_none() {
            let hint =
                format!("write a duration from {least:?} to {most:?}, such as \"500ms\", \"30s\", \"5m\" or \"1h\"");
            self.fault(key, "is not a duration within its bounds", hint);
        }
        duration
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let count: u32 = count.parse().ok()?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3_600),
        _ => return None,
    };
    unit.checked_mul(count)
}

/// Whether one is a slip of the other: the same letters but for one added, left out, changed or a different separator.
fn is_near(known: &str, typed: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let (known, typed) = (plain(known), plain(typed));
    let same_start = known.bytes().zip(typed.bytes()).take_while(|(a, b)| a == b).count();
    let same_end = known.bytes().rev().zip(typed.bytes().rev()).take_while(|(a, b)| a == b).count();
    known.len().abs_diff(typed.len()) <= 1 && same_start + same_end + 1 >= known.len().max(typed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A duration has a unit; a bare number is not guessed at.
    #[test]
    fn a_duration_names_its_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Some(Duration::from_secs(300)));
        for bad in ["", "5", "s", "-5s", "1.5s", "5 s", "5d", "99999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }

    /// A slip is recognised, another word is not.
    #[test]
    fn a_slip_is_recognised() {
        for slip in ["conections", "connection", "Connections", "connectoons"] {
            assert!(is_near("connections", slip), "{slip}");
        }
        assert!(is_near("memory_lock", "memory-lock"));
        assert!(!is_near("connections", "idle"));
    }
}
