//! Opening a ciphertext and sealing it again under the app's present data key, without the plaintext leaving.

use domain::permission::{self, Permit};
use envelope::Context;
use zeroize::{Zeroize, Zeroizing};

use super::decrypt::check;
use super::{ATTEMPTS, Sealed, app_of, take_back};
use crate::keys::{Failure, personal_use};
use crate::{Refusal, Service};

/// What a ciphertext was sealed under anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReEncrypted {
    /// Under what it is now.
    pub sealed: Sealed,
    /// Whether that is another data key than before.
    pub data_key_changed: bool,
}

impl Service {
    /// Opens a message made with `context` and seals it again with `new_context` (absent: the same) under the app's present
    /// data key and protection, appended to `out`. A refusal leaves `out` as it was.
    pub async fn re_encrypt(
        &self,
        permit: &Permit<permission::ReEncrypt>,
        ciphertext: &[u8],
        context: &Context,
        new_context: Option<&Context>,
        out: &mut Vec<u8>,
    ) -> Result<ReEncrypted, Refusal> {
        let using = self.0.journal.begin_use(permit, 1)?;
        let outcome = self.open_and_seal(permit, ciphertext, (context, new_context), out).await;
        personal_use::ended(using, &outcome);
        outcome
    }

    async fn open_and_seal(
        &self,
        permit: &Permit<permission::ReEncrypt>,
        ciphertext: &[u8],
        (context, new_context): (&Context, Option<&Context>),
        out: &mut Vec<u8>,
    ) -> Result<ReEncrypted, Refusal> {
        let app = app_of(permit)?;
        let key = check(app, ciphertext)?;
        // As long as it can become: growing would leave copies of it behind in freed memory.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
        let from = out.len();
        for _ in 0..ATTEMPTS {
            plaintext.zeroize();
            let opened = self.0.open(key, context, ciphertext, &mut plaintext).await?;
            let sealed = self.0.seal(app, new_context.unwrap_or(context), &plaintext, out).await?;
            // Sealing may have waited. Where the right to open ended meanwhile, what came of it is not given out (I-10).
            if self.0.is_ready_to_open(key) {
                return Ok(ReEncrypted { sealed, data_key_changed: sealed.data_key != opened.data_key });
            }
            take_back(out, from);
        }
        Err(Failure::TooLate.into())
    }
}
