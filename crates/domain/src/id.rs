//! Which identifiers exist, and what a well-formed one looks like.
//!
//! Each is its own type, so that an app's id can never stand where a workspace's is asked for.

use std::fmt;
use std::str::FromStr;

/// Why a text is not an identifier. Says the rule, never repeats the input (it may hold control characters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Empty, shorter than 3 or longer than 63 characters.
    #[error("{what} must have 3 to 63 characters")]
    Length {
        /// Which identifier was being read.
        what: &'static str,
    },
    /// A character outside `[a-z0-9-]`, or a first or last one that is not allowed there.
    #[error("{what} must be lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen")]
    Characters {
        /// Which identifier was being read.
        what: &'static str,
    },
    /// Not exactly 32 lower-case hexadecimal digits.
    #[error("{what} must be 32 lower-case hexadecimal digits")]
    Hex {
        /// Which identifier was being read.
        what: &'static str,
    },
    /// Not a GUID as Entra ID writes them.
    #[error("a tenant id must be a GUID such as 8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01")]
    Guid,
    /// Not a ULID in capital letters.
    #[error("an operation's id must be 26 capital letters and digits, such as 01JABCDEFGHJKMNPQRSTVWXYZ0")]
    Operation,
}

/// `[a-z][a-z0-9-]{1,61}[a-z0-9]`: readable in a resource name, safe in a file name, never ambiguous in a URL.
fn check_slug(what: &'static str, text: &str) -> Result<(), InvalidId> {
    let bytes = text.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Err(InvalidId::Length { what });
    }
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let well_formed = bytes[0].is_ascii_lowercase() && bytes.iter().all(inner) && bytes[bytes.len() - 1] != b'-';
    if well_formed { Ok(()) } else { Err(InvalidId::Characters { what }) }
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The id as text, always well formed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check_slug($what, text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

slug_id!(
    /// A customer of the platform. Never reused: a deleted workspace leaves a tombstone, because ciphertexts bind it.
    WorkspaceId, "a workspace id"
);
slug_id!(
    /// An app or bot of one workspace. Never reused within it.
    AppId, "an app id"
);
slug_id!(
    /// A caller that is kept in the database. Never reused: audit records name it for years.
    CallerId, "a caller id"
);

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id from its 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                // `hex` accepts capitals; one id must have one spelling.
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(InvalidId::Hex { what: $what });
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId::Hex { what: $what })?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hex_id!(
    /// A data key: 16 random bytes, printed as 32 hexadecimal digits; stands in every ciphertext's header.
    DataKeyId, "a data key id"
);
hex_id!(
    /// A version of a customer key, as the vault names it.
    KeyVersionId, "a key version"
);
hex_id!(
    /// One of the platform root's keys.
    PlatformKeyId, "a platform key id"
);
hex_id!(
    /// A secret or certificate of a customer's app registration.
    CredentialId, "a credential id"
);

/// An Entra ID tenant (directory): a GUID in its lower-case, hyphenated form.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(std::sync::Arc<str>);

impl TenantId {
    /// The GUID as text: 36 characters, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let lower = text.to_ascii_lowercase();
        let bytes = lower.as_bytes();
        let well_formed = bytes.len() == 36
            && bytes.iter().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => *b == b'-',
                _ => b.is_ascii_hexdigit(),
            });
        if well_formed { Ok(Self(lower.into())) } else { Err(InvalidId::Guid) }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

/// One request, for logs and errors: a ULID, so that they sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(ulid::Ulid);

impl RequestId {
    /// From the request's time and 10 random bytes.
    pub fn new(at: crate::Timestamp, random: [u8; 10]) -> Self {
        let mut wide = [0; 16];
        wide[6..].copy_from_slice(&random);
        let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
        Self(ulid::Ulid::from_parts(millis, u128::from_be_bytes(wide)))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id is three to sixty-three plain characters; everything else is refused with the rule it broke.
    #[test]
    fn ids_that_could_confuse_a_reader_are_refused() {
        for good in ["abc", "a-1", "support-bot", &"a".repeat(63)] {
            assert_eq!(good.parse::<AppId>().unwrap().as_str(), good);
        }
        let long = "a".repeat(64);
        for bad in ["", "ab", "1ab", "-ab", "ab-", "Abc", "a_b", "a/b", "a\nb", "a\0b", "añb", "a b", &long] {
            assert!(bad.parse::<WorkspaceId>().is_err(), "{bad:?} was accepted");
        }
    }

    /// One data key has one spelling: capitals, short and long texts are refused.
    #[test]
    fn a_data_key_id_has_one_spelling() {
        let text = "0123456789abcdef0123456789abcdef";
        assert_eq!(text.parse::<DataKeyId>().unwrap().to_string(), text);
        for bad in [&text[1..], &text.to_uppercase(), "", &format!("{text}0")] {
            assert!(bad.parse::<DataKeyId>().is_err());
        }
    }

    /// A tenant is a GUID; its case does not make it another tenant.
    #[test]
    fn a_tenant_is_a_guid_in_lower_case() {
        let tenant: TenantId = "8A3C0E5B-0D4E-4C0E-9A1F-2B6D7C8E9F01".parse().unwrap();
        assert_eq!(tenant.as_str(), "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01");
        assert!("contoso.onmicrosoft.com".parse::<TenantId>().is_err());
        assert!("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f0".parse::<TenantId>().is_err());
    }
}
