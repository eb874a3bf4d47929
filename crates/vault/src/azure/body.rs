//! What a vault's good answer holds, checked before anybody uses it.

use std::borrow::Cow;

use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::models::{Key, KeyAttributes, KeyProperties, KeyType};
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use domain::{KeyVersionLocation, Timestamp};
use outbound::Wiped;
use secmem::Secret;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{AnswerFault, KeyDescription, KeyUnavailable, PAYLOAD_LEN, Trace, VersionListing, keys::thumbprint};

/// The one algorithm. RSA-OAEP with SHA-1 and RSA1_5 are asked for nowhere.
const ALGORITHM: &str = "RSA-OAEP-256";

const B64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The request of wrap and unwrap, in bytes that are wiped when they have been sent.
pub(super) fn operation(value: &[u8]) -> Wiped {
    let (head, tail) = (format!(r#"{{"alg":"{ALGORITHM}","value":""#), r#""}"#);
    let encoded = base64::encoded_len(value.len(), false).expect("a blob is short");
    let mut body = Zeroizing::new(vec![0; head.len() + encoded + tail.len()]);
    body[..head.len()].copy_from_slice(head.as_bytes());
    let end = body.len() - tail.len();
    B64.encode_slice(value, &mut body[head.len()..end]).expect("the room was computed");
    body[end..].copy_from_slice(tail.as_bytes());
    Wiped(body)
}

#[derive(Deserialize)]
struct OperationAnswer<'a> {
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

fn invalid(fault: AnswerFault, trace: &Trace) -> KeyUnavailable {
    KeyUnavailable::AnswerInvalid { fault, trace: trace.clone() }
}

/// Reads `{"kid", "value"}`, whose `kid` must be the version that was asked.
fn operation_answer<'a>(
    body: &'a [u8],
    asked: &KeyVersionLocation,
    trace: &Trace,
) -> Result<Cow<'a, str>, KeyUnavailable> {
    let answer: OperationAnswer<'a> =
        serde_json::from_slice(body).map_err(|_| invalid(AnswerFault::Unreadable, trace))?;
    match KeyVersionLocation::parse(&answer.kid) {
        Ok(named) if named == *asked => Ok(answer.value),
        Ok(_) | Err(_) => Err(invalid(AnswerFault::OtherKey, trace)),
    }
}

/// The wrapped bytes of a wrap's answer.
pub(super) fn wrapped(body: &[u8], asked: &KeyVersionLocation, trace: &Trace) -> Result<Vec<u8>, KeyUnavailable> {
    let value = operation_answer(body, asked, trace)?;
    let blob = B64.decode(value.as_bytes()).map_err(|_| invalid(AnswerFault::Unreadable, trace))?;
    // RSA-OAEP gives as many bytes as the modulus has; 2048 to 4096 bits are taken.
    if matches!(blob.len(), 256 | 384 | 512) { Ok(blob) } else { Err(invalid(AnswerFault::WrongLength, trace)) }
}

/// The unwrapped payload of an unwrap's answer, decoded where it will stay.
pub(super) fn unwrapped(
    body: &[u8],
    asked: &KeyVersionLocation,
    trace: &Trace,
) -> Result<Secret<PAYLOAD_LEN>, KeyUnavailable> {
    /// 65 bytes are 87 characters, 88 with padding; the decoder asks for room in steps of three.
    const ROOM: usize = 72;
    let value = operation_answer(body, asked, trace)?;
    if value.len() > 88 {
        return Err(invalid(AnswerFault::WrongLength, trace));
    }
    let mut len = 0;
    let decoded = Secret::<ROOM>::try_fill(|out| {
        len = B64.decode_slice(value.as_bytes(), out).map_err(|_| invalid(AnswerFault::Unreadable, trace))?;
        Ok::<(), KeyUnavailable>(())
    })??;
    if len != PAYLOAD_LEN {
        return Err(invalid(AnswerFault::WrongLength, trace));
    }
    Ok(decoded
        .expose(|decoded| Secret::fill(|out: &mut [u8; PAYLOAD_LEN]| out.copy_from_slice(&decoded[..PAYLOAD_LEN])))?)
}

/// One version with its public half. It must be a version of `asked`, and that version if one was asked.
pub(super) fn description(
    bundle: Key,
    asked: &domain::KeyLocation,
    version: Option<domain::KeyVersionId>,
    trace: &Trace,
) -> Result<KeyDescription, KeyUnavailable> {
    let unreadable = || invalid(AnswerFault::Unreadable, trace);
    let key = bundle.key.ok_or_else(unreadable)?;
    let kid = key.kid.as_deref().ok_or_else(unreadable)?;
    let kid = KeyVersionLocation::parse(kid).map_err(|_| invalid(AnswerFault::OtherKey, trace))?;
    if kid.key() != asked || version.is_some_and(|version| version != kid.version()) {
        return Err(invalid(AnswerFault::OtherKey, trace));
    }
    let hsm = match key.kty.ok_or_else(unreadable)? {
        KeyType::Rsa => false,
        KeyType::RsaHsm => true,
        _ => return Err(KeyUnavailable::NotRsa(trace.clone())),
    };
    let number = |bytes: Option<Vec<u8>>| {
        let bytes = bytes.unwrap_or_default();
        let leading = bytes.iter().take_while(|byte| **byte == 0).count();
        let number = bytes[leading..].to_vec();
        if number.is_empty() { Err(unreadable()) } else { Ok(number) }
    };
    let (modulus, exponent) = (number(key.n)?, number(key.e)?);
    let attributes = bundle.attributes.unwrap_or_default();
    Ok(KeyDescription {
        thumbprint: thumbprint(&modulus, &exponent),
        kid,
        modulus,
        exponent,
        hsm,
        key_ops: key.key_ops.unwrap_or_default(),
        enabled: enabled(&attributes),
        not_before: attributes.not_before.map(timestamp),
        expires: attributes.expires.map(timestamp),
        recovery_level: attributes.recovery_level.as_ref().map(ToString::to_string),
        exportable: attributes.exportable.unwrap_or(false) || bundle.release_policy.is_some(),
        managed: bundle.managed.unwrap_or(false),
        tags: bundle.tags.unwrap_or_default().into_iter().collect(),
    })
}

/// One line of a list of versions, which must be of the key that was asked.
pub(super) fn listing(
    line: KeyProperties,
    asked: &domain::KeyLocation,
    trace: &Trace,
) -> Result<VersionListing, KeyUnavailable> {
    let kid = line.kid.as_deref().ok_or_else(|| invalid(AnswerFault::Unreadable, trace))?;
    let kid = KeyVersionLocation::parse(kid).ok().filter(|kid| kid.key() == asked);
    let kid = kid.ok_or_else(|| invalid(AnswerFault::OtherKey, trace))?;
    let attributes = line.attributes.unwrap_or_default();
    Ok(VersionListing {
        version: kid.version(),
        enabled: enabled(&attributes),
        not_before: attributes.not_before.map(timestamp),
        expires: attributes.expires.map(timestamp),
        created: attributes.created.map(timestamp),
        managed: line.managed.unwrap_or(false),
    })
}

/// A vault that does not say so has not said yes.
fn enabled(attributes: &KeyAttributes) -> bool {
    attributes.enabled.unwrap_or(false)
}

fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_micros(at.unix_timestamp().saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests;
