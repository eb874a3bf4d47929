//! A checkpoint: how far a chain had come at some time, in a form that its owner can keep and nobody can deny.

use crate::Timestamp;
use crate::row_seal::RowBytes;

use super::chain::ChainName;

/// Where a chain ended. Whoever keeps one can tell later whether anything before it was changed, or anything after it hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The installation.
    pub cluster: [u8; 16],
    /// The chain.
    pub chain: ChainName,
    /// Its last event's number; 0 for a chain that has none.
    pub number: u64,
    /// Its last event's hash.
    pub head: [u8; 32],
    /// When it was signed.
    pub at: Timestamp,
}

impl Checkpoint {
    /// What is signed: every field in order, each length-prefixed (u32, big endian), after the name of the format.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let bytes = RowBytes::bare()
            .field(b"byokd/checkpoint/v1")
            .field(&self.cluster)
            .field(self.chain.to_string().as_bytes())
            .field(&self.number.to_be_bytes())
            .field(&self.head)
            .number(self.at.micros());
        bytes.as_bytes().to_vec()
    }
}

/// A checkpoint with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// The Ed25519 key that its signature is checked with.
    pub public_key: [u8; 32],
    /// Ed25519 over [`Checkpoint::signed_bytes`].
    pub signature: [u8; 64],
}

impl SignedCheckpoint {
    /// The name of the event that a chain keeps of it.
    pub const EVENT: &'static str = "ledger.checkpointed";

    /// Its details as the chain keeps them. Cluster and chain are the chain's own.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        vec![
            ("number", self.checkpoint.number.to_string()),
            ("head", hex::encode(self.checkpoint.head)),
            ("at_micros", self.checkpoint.at.micros().to_string()),
            ("public_key", hex::encode(self.public_key)),
            ("signature", hex::encode(self.signature)),
        ]
    }

    /// Reads it back from an event's details; `None` where they are none of a checkpoint.
    pub fn from_details<T: AsRef<str>>(cluster: [u8; 16], chain: ChainName, details: &[(T, T)]) -> Option<Self> {
        let [number, head, at, public_key, signature] = details else { return None };
        let of = |(name, value): &'_ (T, T), wanted: &str| (name.as_ref() == wanted).then(|| value.as_ref().to_owned());
        let mut read = Self {
            checkpoint: Checkpoint {
                cluster,
                chain,
                number: of(number, "number")?.parse().ok()?,
                head: [0; 32],
                at: Timestamp::from_micros(of(at, "at_micros")?.parse().ok()?),
            },
            public_key: [0; 32],
            signature: [0; 64],
        };
        hex::decode_to_slice(of(head, "head")?, &mut read.checkpoint.head).ok()?;
        hex::decode_to_slice(of(public_key, "public_key")?, &mut read.public_key).ok()?;
        hex::decode_to_slice(of(signature, "signature")?, &mut read.signature).ok()?;
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> SignedCheckpoint {
        let checkpoint = Checkpoint {
            cluster: [7; 16],
            chain: "workspaces/acme".parse().unwrap(),
            number: 42,
            head: [9; 32],
            at: Timestamp::from_micros(1_700_000_000_000_000),
        };
        SignedCheckpoint { checkpoint, public_key: [1; 32], signature: [2; 64] }
    }

    /// Every field is under the signature: no two checkpoints share bytes.
    #[test]
    fn every_field_of_a_checkpoint_is_signed() {
        let is = signed().checkpoint;
        let others = [
            Checkpoint { cluster: [8; 16], ..is.clone() },
            Checkpoint { chain: "platform".parse().unwrap(), ..is.clone() },
            Checkpoint { number: 43, ..is.clone() },
            Checkpoint { head: [8; 32], ..is.clone() },
            Checkpoint { at: Timestamp::from_micros(1), ..is.clone() },
        ];
        for other in others {
            assert_ne!(is.signed_bytes(), other.signed_bytes());
        }
    }

    /// What a chain keeps of a checkpoint is all of it.
    #[test]
    fn a_checkpoint_is_read_back_from_its_event() {
        let (signed, chain) = (signed(), "workspaces/acme".parse::<ChainName>().unwrap());
        let details = signed.details().into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut details: Vec<(String, String)> = details.collect();
        assert_eq!(SignedCheckpoint::from_details([7; 16], chain.clone(), &details), Some(signed));
        details[0].1 = "x".to_owned();
        assert_eq!(SignedCheckpoint::from_details([7; 16], chain, &details), None);
    }
}
