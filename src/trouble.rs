//! What keeps a command from doing its work, as an operator reads it: what is wrong, and what to do.

use std::fmt;

/// One thing that is wrong. Printed as an `error:` and a `hint:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// The next step.
    pub hint: String,
}

impl Trouble {
    /// From an error and its next step.
    pub fn new(what: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { what: what.to_string(), hint: hint.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.what, self.hint)
    }
}

/// Everything that is wrong, told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Troubles(pub Vec<Trouble>);

impl fmt::Display for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<_> = self.0.iter().map(Trouble::to_string).collect();
        f.write_str(&told.join("\n"))
    }
}

/// A configuration can be wrong in many places.
impl From<crate::config::ConfigRefused> for Troubles {
    fn from(refused: crate::config::ConfigRefused) -> Self {
        Self(refused.lines().into_iter().map(|(what, hint)| Trouble { what, hint }).collect())
    }
}

impl From<Trouble> for Troubles {
    fn from(trouble: Trouble) -> Self {
        Self(vec![trouble])
    }
}

macro_rules! told {
    ($($error:ty: $hint:ident;)*) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self::new(&error, error.$hint())
            }
        }

        impl From<$error> for Troubles {
            fn from(error: $error) -> Self {
                Trouble::from(error).into()
            }
        }
    )*};
}

told! {
    crate::files::FileRefused: hint;
    crate::serve::BindRefused: hint;
    crate::serve::TlsRefused: hint;
    secmem::HardenError: remedy;
    store::sqlite::OpenRefused: remedy;
    store::StoreError: remedy;
    store::sqlite::AcceptRefused: remedy;
    store::sqlite::NotMoved: remedy;
    service::StartFailed: remedy;
}
