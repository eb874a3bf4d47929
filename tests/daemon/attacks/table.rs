//! What was tried, what the attacker was told, and where it is found again: one row each, for people and for `docs/attacks.md`.

use super::document;
use super::town::Town;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/attacks.md");

/// Where an attack has to be found again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    /// As an event of this name in the workspace's own chain, with the reason of the refusal.
    In(&'a str, &'a str),
    /// The same where nothing was refused yet, or by no reason: the event has this word among its details.
    Saying(&'a str, &'a str, &'a str),
    /// Counted in the platform's chain under the reason of the refusal.
    Counted,
    /// The same where nobody was told a reason.
    CountedAs(&'a str),
}

/// The rows so far.
pub(super) struct Table<'a> {
    town: &'a Town,
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(town: &'a Town) -> Self {
        Self { town, rows: Vec::new() }
    }

    /// One attack. Both have to be there, the refusal and its record: one that nobody can find later would go on unseen.
    ///
    /// `answer` is what the attacker was told, and what that has to be.
    pub(super) async fn add(&mut self, attack: &str, tried: &str, answer: (&str, &str), found: Found<'_>) {
        let (answer, expected) = answer;
        assert_eq!(answer, expected, "{attack}");
        let recorded = match found {
            Found::In(workspace, name) => self.town.recorded(workspace, name, expected).await,
            Found::Saying(workspace, name, word) => self.town.recorded(workspace, name, word).await,
            Found::Counted => self.town.counted(expected).await,
            Found::CountedAs(reason) => self.town.counted(reason).await,
        };
        let recorded = recorded.unwrap_or_else(|| panic!("{attack}: nothing new was recorded ({found:?})"));
        self.rows.push(vec![attack.to_owned(), tried.to_owned(), format!("`{answer}`"), recorded]);
    }

    /// Shows the table to who runs the test (`--nocapture`), and holds it against the page.
    #[expect(clippy::print_stdout, reason = "the table is what a person reads of this test")]
    pub(super) fn compare(self) {
        let table = document::table(&["attack", "what is tried", "refused with", "recorded as"], self.rows);
        println!("{table}");
        document::compare(PAGE, "tests/daemon/attacks", &table);
    }
}
