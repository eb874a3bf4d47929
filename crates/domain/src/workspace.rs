//! What a workspace, an app and a bot are.

use crate::{AppId, Timestamp, WorkspaceId};

/// A customer of the platform, the unit of isolation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// A name for people, up to 200 characters, no control characters.
    pub display_name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted. The row stays as a tombstone, so that the id is never given out again.
    pub deleted_at: Option<Timestamp>,
}

/// An app or bot of a workspace: what has its own data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// Its id within the workspace.
    pub id: AppId,
    /// App or bot.
    pub kind: AppKind,
    /// A name for people, up to 200 characters, no control characters.
    pub display_name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted; a tombstone from then on.
    pub deleted_at: Option<Timestamp>,
}

/// Bots are apps that talk; they are encrypted the same way and shown apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    /// An application.
    App,
    /// A bot.
    Bot,
}

/// Why a display name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a display name must have 1 to 200 characters and no control characters")]
pub struct InvalidDisplayName;

/// Checks a name for people: 1 to 200 characters after trimming, none of them a control character.
pub fn display_name(text: &str) -> Result<String, InvalidDisplayName> {
    let text = text.trim();
    let long_enough = (1..=200).contains(&text.chars().count());
    if long_enough && !text.chars().any(char::is_control) { Ok(text.to_owned()) } else { Err(InvalidDisplayName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that could forge a log line or a terminal escape is refused.
    #[test]
    fn names_with_control_characters_are_refused() {
        assert_eq!(display_name("  Contoso Ltd  ").unwrap(), "Contoso Ltd");
        for bad in ["", "   ", "a\nb", "a\u{1b}[31mb", &"x".repeat(201)] {
            assert_eq!(display_name(bad), Err(InvalidDisplayName));
        }
    }
}
