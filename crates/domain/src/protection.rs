//! Under whose key a data key lives.

use std::fmt;

use crate::KeyConfig;

/// Under whose key new data is, by what the store says of a workspace's key. The one place that decides it (I-18): what is
/// born under one protection stays there, whatever this says later.
pub fn of_new_data(config: Option<&KeyConfig>) -> Protection {
    match config {
        Some(config) if config.left_at.is_none() => Protection::CustomerKey,
        Some(_) | None => Protection::PlatformKey,
    }
}

/// Under whose key a data key is wrapped. A data key is born under one and never crosses (I-18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protection {
    /// The platform's own key: apps that are not under a customer key.
    PlatformKey,
    /// The RSA key in the customer's vault.
    CustomerKey,
}

impl Protection {
    /// The byte that stands in wrapped payloads and authenticated data: 1 platform key, 2 customer key.
    pub const fn byte(self) -> u8 {
        match self {
            Self::PlatformKey => 1,
            Self::CustomerKey => 2,
        }
    }

    /// The protection of that byte, if there is one.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::PlatformKey),
            2 => Some(Self::CustomerKey),
            _ => None,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlatformKey => "platform key",
            Self::CustomerKey => "customer key",
        })
    }
}
