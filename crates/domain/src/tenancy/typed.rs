//! Which directories does a list that a person typed name? Each entry is judged by itself, so that a slip in one costs no other.

use crate::tenant_input::{InvalidTenantInput, TenantInput, parse};

/// The most tenants one list names.
pub const MOST_TENANTS: usize = 20;

/// Why a list as a whole is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAList {
    /// Nothing was typed.
    #[error("name at least one tenant, by a domain or by its id")]
    Empty,
    /// More than [`MOST_TENANTS`].
    #[error("at most 20 tenants at once")]
    TooMany,
}

/// An entry as it was typed, and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The text, without white space around it.
    pub typed: String,
    /// What it names, or why nothing.
    pub named: Result<TenantInput, InvalidTenantInput>,
}

/// The entries of a list, separated by commas, semicolons or line ends.
///
/// # Errors
/// [`NotAList`], about the list as a whole.
pub fn entries(list: &str) -> Result<Vec<Entry>, NotAList> {
    let typed: Vec<&str> = list.split([',', ';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()).collect();
    match typed.len() {
        0 => Err(NotAList::Empty),
        1..=MOST_TENANTS => {
            Ok(typed.into_iter().map(|typed| Entry { typed: typed.to_owned(), named: parse(typed) }).collect())
        }
        _ => Err(NotAList::TooMany),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a list each entry has its own answer: a slip in one takes nothing from the others.
    #[test]
    fn each_entry_of_a_list_is_judged_by_itself() {
        let found = entries("contoso.com, , ann@contoso.com;8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01\n common").unwrap();
        let answers: Vec<bool> = found.iter().map(|entry| entry.named.is_ok()).collect();
        assert_eq!(answers, [true, false, true, false]);
        assert_eq!(found[1].typed, "ann@contoso.com");
        assert_eq!(entries(" , "), Err(NotAList::Empty));
        assert_eq!(entries(&vec!["a.example"; 21].join(",")), Err(NotAList::TooMany));
    }
}
