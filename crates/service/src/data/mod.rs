//! The data path: what is done with an app's data under its data keys.
//!
//! A warm call reads the table and two clocks: no database, no vault, no lock, and no counter that others than users of the same
//! data key write. A cold one waits for the key and then does the same as a warm one.

mod batch;
mod decrypt;
mod encrypt;
mod re_encrypt;
mod stream;

pub use batch::{BatchSealed, ItemToOpen, ItemToSeal};
pub use decrypt::Opened;
pub use encrypt::Sealed;
pub use re_encrypt::ReEncrypted;
pub use stream::{DecryptStream, EncryptStream};

use domain::permission::{Action, Permit, Target};
use domain::{Moment, Reason};
use envelope::{Binding, Context, Header, HeaderError, Kind};
use zeroize::Zeroize;

use crate::Refusal;
use crate::keys::{AppRef, OpenKey};

/// How often a request whose key became ready, and cold again before it was used, waits once more.
const ATTEMPTS: usize = 4;

/// The app a permit is for. A permit for anything else is a fault of this program.
fn app_of<A: Action>(permit: &Permit<A>) -> Result<AppRef<'_>, Refusal> {
    match permit.target() {
        Target::App(workspace, app) => Ok(AppRef { workspace, app }),
        Target::Workspace(_) | Target::Platform => {
            Err(Refusal::because(Reason::Internal).detail("the permission is not for an app"))
        }
    }
}

/// What a ciphertext is bound to.
fn binding<'a>(app: AppRef<'a>, key: &OpenKey, context: &'a Context) -> Binding<'a> {
    let (workspace, app) = (app.workspace.as_str(), app.app.as_str());
    Binding { workspace, app, protection: key.protection.byte(), context }
}

/// The header of a ciphertext of this kind: what is wrong with it in public may be said.
fn header_of(ciphertext: &[u8], kind: Kind) -> Result<Header, Refusal> {
    let header = Header::parse(ciphertext).map_err(|fault| {
        Refusal::because(match fault {
            HeaderError::Malformed => Reason::CiphertextMalformed,
            HeaderError::VersionUnsupported => Reason::CiphertextVersionUnsupported,
        })
    })?;
    match (header.kind, kind) {
        (Kind::Message, Kind::Message) | (Kind::Stream, Kind::Stream) => Ok(header),
        (Kind::Stream, Kind::Message) => {
            Err(Refusal::because(Reason::CiphertextMalformed).detail("this is a stream; use DecryptStream"))
        }
        (Kind::Message, Kind::Stream) => {
            Err(Refusal::because(Reason::CiphertextMalformed).detail("this is a message, not a stream; use Decrypt"))
        }
    }
}

/// Real time in nanoseconds, for the envelope to mix into a nonce against a restored memory snapshot.
pub(crate) fn nanos(now: Moment) -> u64 {
    now.wall.micros().unsigned_abs().wrapping_mul(1_000).wrapping_add(u64::from(now.boot.subsec_nanos()))
}

/// Takes back what was appended to `out` since it was `from` long, and leaves nothing of it behind.
fn take_back(out: &mut Vec<u8>, from: usize) {
    out[from..].zeroize();
    out.truncate(from);
}
