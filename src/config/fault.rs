//! What can be wrong with a configuration, and how it is told.

use std::fmt;
use std::path::PathBuf;

use crate::files::FileRefused;

/// One thing that is wrong, with where it stands and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file, from 1; absent for what is missing from the whole file.
    pub line: Option<usize>,
    /// The key as it is written, such as `limits.idle`; empty when the text is not TOML there.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigRefused {
    /// The file cannot be read.
    #[error(transparent)]
    File(FileRefused),
    /// The file is not UTF-8.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Everything that is wrong with its content, in the order of its lines.
    #[error("{} has {} fault(s)", path.display(), faults.len())]
    Faults {
        /// The file.
        path: PathBuf,
        /// At least one.
        faults: Vec<Fault>,
    },
}

impl ConfigRefused {
    /// Each thing that is wrong, as (error, hint).
    pub fn lines(&self) -> Vec<(String, String)> {
        match self {
            Self::File(refused) => vec![(refused.to_string(), refused.hint().to_owned())],
            Self::NotText { .. } => vec![(self.to_string(), "write the configuration as TOML in UTF-8".to_owned())],
            Self::Faults { path, faults } => {
                let told = |fault: &Fault| (format!("{}: {fault}", path.display()), fault.hint.clone());
                faults.iter().map(told).collect()
            }
        }
    }
}
