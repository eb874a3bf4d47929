//! How a stored wrapping goes over to the platform root's primary key: its outer layer, and what a platform key wrapped itself.

use domain::{DataKey, Entropy, Wrapping, WrappingKey};
use subtle::ConstantTimeEq as _;
use vault::platform::{NotOpened, PlatformRoot};

use super::unwrap::{blob_binding, identity_of};

/// The same data key under the same customer's key, sealed by the primary. Opened again and compared before it is handed out:
/// what is stored in its place is the only copy.
///
/// # Errors
/// [`NotOpened`]: the root does not hold the key it is under, or it was not sealed here for this data key.
pub fn reseal_wrapping(
    platform: &PlatformRoot,
    key: &DataKey,
    wrapping: &Wrapping,
    entropy: &dyn Entropy,
) -> Result<Wrapping, NotOpened> {
    let identity = identity_of(key);
    let binding = blob_binding(&identity, wrapping.wrapped_by);
    let blob = platform.open_blob(&wrapping.sealed_blob, &binding)?;
    let (wrapped_by, blob) = match wrapping.wrapped_by {
        WrappingKey::Customer(_) => (wrapping.wrapped_by, blob),
        WrappingKey::Platform(old) => {
            let payload = platform.unwrap(old, &blob, &binding)?;
            let binding = blob_binding(&identity, WrappingKey::Platform(platform.primary()));
            let (new, blob) = platform.wrap(&payload, &binding, entropy);
            let again = platform.unwrap(new, &blob, &binding)?;
            if !bool::from(payload.expose(|payload| again.expose(|again| payload.ct_eq(again)))) {
                return Err(NotOpened::NotAuthentic);
            }
            (WrappingKey::Platform(new), blob)
        }
    };
    let binding = blob_binding(&identity, wrapped_by);
    let sealed_blob = platform.seal_blob(&blob, &binding, entropy);
    if platform.open_blob(&sealed_blob, &binding)? != blob {
        return Err(NotOpened::NotAuthentic);
    }
    Ok(Wrapping { wrapped_by, sealed_blob, ..wrapping.clone() })
}
