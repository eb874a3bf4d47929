//! Which ids a grant is for: all, one, or those that begin alike.

use std::fmt;

use crate::InvalidId;

/// Ids that a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every one.
    Any,
    /// This one.
    Exactly(Box<str>),
    /// Those that begin with this text, which ends with a hyphen, and go on after it.
    Beginning(Box<str>),
}

/// Why a text is no pattern. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Not an id either.
    #[error("{0}; or write * for all, or a beginning such as support-*")]
    Id(InvalidId),
    /// `acme*` would also cover `acmecorp`, which somebody else may own.
    #[error(
        "the beginning before * must be lower-case letters, digits and hyphens, begin with a letter and end with a hyphen, as in support-*"
    )]
    Beginning,
}

impl Pattern {
    /// Reads a pattern; `check` says whether a text is an id of the kind it is for.
    pub(super) fn parse(text: &str, check: impl Fn(&str) -> Result<(), InvalidId>) -> Result<Self, InvalidPattern> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Any),
            Some(beginning) => {
                let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let well_formed = beginning.len() < 63
                    && beginning.ends_with('-')
                    && beginning.starts_with(|c: char| c.is_ascii_lowercase())
                    && beginning.bytes().all(inner);
                if well_formed { Ok(Self::Beginning(beginning.into())) } else { Err(InvalidPattern::Beginning) }
            }
            None => check(text).map(|()| Self::Exactly(text.into())).map_err(InvalidPattern::Id),
        }
    }

    /// Whether an id is covered.
    pub fn covers(&self, id: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(one) => **one == *id,
            Self::Beginning(beginning) => id.len() > beginning.len() && id.starts_with(&**beginning),
        }
    }

    /// Whether every id that `other` covers is covered.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (_, Self::Exactly(id)) => self.covers(id),
            (Self::Exactly(_), Self::Beginning(_)) => false,
            (Self::Beginning(short), Self::Beginning(long)) => long.starts_with(&**short),
        }
    }

    /// Whether every id is covered.
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exactly(id) => f.write_str(id),
            Self::Beginning(beginning) => write!(f, "{beginning}*"),
        }
    }
}
