//! Callers as rows, and what is read of all of them at once.

use domain::caller::{StoredCaller, StoredToken};
use domain::permission::Grant;
use domain::row_seal::RowBytes;

use crate::row::Row;

/// Every caller there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallerSet {
    /// Those whose rows are authentic, in the order of their ids: tombstones too.
    pub callers: Vec<StoredCaller>,
    /// How many rows fail their authentication: nobody is let in by them.
    pub forged: u64,
}

/// The callers are the platform's.
impl Row for StoredCaller {
    const TABLE: &'static str = "callers";
    fn workspace(&self) -> &str {
        ""
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let time = |row: RowBytes, at: Option<domain::Timestamp>| {
            row.optional(at.map(|at| at.micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
        };
        let token = |row: RowBytes, token: Option<&StoredToken>| {
            let row = row.optional(token.map(|token| token.sha256.as_slice()));
            let row = row.optional(token.map(|token| token.issued_by.as_bytes()));
            time(time(row, token.map(|token| token.issued_at)), token.and_then(|token| token.expires))
        };
        let certificate = self.certificate.as_ref().map(ToString::to_string);
        let row = row.field(self.id.as_str().as_bytes()).optional(certificate.as_ref().map(|name| name.as_bytes()));
        let row = token(token(row, self.tokens[0].as_ref()), self.tokens[1].as_ref());
        let row = time(row.field(grants_text(&self.grants).as_bytes()), self.expires);
        let row = row
            .field(&[u8::from(self.disabled)])
            .field(self.created_by.as_bytes())
            .number(self.created_at.micros())
            .field(self.changed_by.as_bytes())
            .number(self.changed_at.micros());
        let row = time(row, self.deleted_at);
        // Rows of before this was kept are the same rows.
        match hands_text(&self.hands) {
            Some(hands) => row.field(hands.as_bytes()),
            None => row,
        }
    }
}

/// One grant a line: none holds a line's end.
pub(crate) fn grants_text(grants: &[Grant]) -> String {
    grants.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The grants of a text that [`grants_text`] wrote.
pub(crate) fn grants(text: &str) -> Option<Vec<Grant>> {
    let lines = text.split('\n').filter(|_| !text.is_empty());
    let read: Vec<Grant> = lines.map(str::parse).collect::<Result<_, _>>().ok()?;
    (grants_text(&read) == text).then_some(read)
}

/// The names of who had a hand in a caller, one a line: none holds a line's end.
pub(crate) fn hands_text(hands: &[String]) -> Option<String> {
    (!hands.is_empty()).then(|| hands.join("\n"))
}

/// The names of a text that [`hands_text`] wrote.
pub(crate) fn hands(text: Option<&str>) -> Vec<String> {
    text.into_iter().flat_map(|text| text.split('\n')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of before it was kept who had a hand in a caller is the same row, and one that says so is none of those.
    #[test]
    fn rows_of_before_hands_were_kept_are_the_same() {
        let bytes = |hands: &[&str]| {
            let hands = hands.iter().map(|name| (*name).to_owned()).collect();
            let caller = StoredCaller { hands, ..crate::conformance::callers::stored_caller("billing", 1) };
            caller.columns(RowBytes::of("callers")).as_bytes().to_vec()
        };
        let (before, with) = (bytes(&[]), bytes(&["root", "ann"]));
        assert_eq!(with, [&before[..], &8u32.to_be_bytes(), b"root\nann"].concat());
    }

    /// Names have one text in a row, and nobody is none.
    #[test]
    fn hands_have_one_text() {
        for names in [vec![], vec!["root".to_owned()], vec!["root".to_owned(), "ann".to_owned()]] {
            assert_eq!(hands(hands_text(&names).as_deref()), names);
        }
    }

    /// Grants have one text in a row.
    #[test]
    fn grants_have_one_text() {
        for text in ["", "*", "platform-service@*/support-*\nauditor@acme"] {
            assert_eq!(grants_text(&grants(text).unwrap()), text);
        }
        for other in ["\n", "*\n", "*@*", "auditor@acme/*", "root", " *"] {
            assert_eq!(grants(other), None, "{other:?}");
        }
    }
}
