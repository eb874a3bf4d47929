//! Answers `byok.v1.Encryption`.
//!
//! The warm path is synchronous: read the name, seal into the answer's own buffer, print the key's name. Only a key that is
//! not in memory makes a call wait, and only then does it get a request id and a span.

use std::ops::Range;

use api::byok::v1 as pb;
use api::byok::v1::encryption_server::Encryption;
use bytes::Bytes;
use domain::permission::{self, Action, Permit};
use envelope::{Context, OVERHEAD};
use service::{ItemToOpen, ItemToSeal, Refusal};
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, Entries, context};
use super::streams::{self, Answers};
use super::text::{self, Under};

#[tonic::async_trait]
impl Encryption for Call {
    async fn encrypt(&self, request: Request<pb::EncryptRequest>) -> Result<Response<pb::EncryptResponse>, Status> {
        const METHOD: &str = "Encryption/Encrypt";
        let pb::EncryptRequest { app, plaintext, context: entries } = request.into_inner();
        let (permit, context) =
            self.app_and_context::<permission::Encrypt>(&app, &entries).map_err(|no| self.refuse(&no, METHOD))?;
        let mut ciphertext = Vec::with_capacity(plaintext.len() + OVERHEAD);
        let sealed = match self.service().try_encrypt(&permit, &context, &plaintext, &mut ciphertext) {
            Some(sealed) => sealed.map_err(|no| self.refuse(&no, METHOD))?,
            None => {
                let cold = self.service().encrypt(&permit, &context, &plaintext, &mut ciphertext);
                self.attend(METHOD, cold).await?
            }
        };
        let Under { protection, data_key, key_version } = Under::sealed(&permit, &sealed);
        Ok(Response::new(pb::EncryptResponse { ciphertext: ciphertext.into(), protection, data_key, key_version }))
    }

    async fn decrypt(&self, request: Request<pb::DecryptRequest>) -> Result<Response<pb::DecryptResponse>, Status> {
        const METHOD: &str = "Encryption/Decrypt";
        let pb::DecryptRequest { app, ciphertext, context: entries } = request.into_inner();
        let (permit, context) =
            self.app_and_context::<permission::Decrypt>(&app, &entries).map_err(|no| self.refuse(&no, METHOD))?;
        let mut plaintext = Vec::with_capacity(ciphertext.len().saturating_sub(OVERHEAD));
        let opened = match self.service().try_decrypt(&permit, &context, &ciphertext, &mut plaintext) {
            Some(opened) => opened.map_err(|no| self.refuse(&no, METHOD))?,
            None => {
                let cold = self.service().decrypt(&permit, &context, &ciphertext, &mut plaintext);
                self.attend(METHOD, cold).await?
            }
        };
        let Under { protection, data_key, key_version } = Under::opened(&permit, &opened);
        Ok(Response::new(pb::DecryptResponse { plaintext: plaintext.into(), protection, data_key, key_version }))
    }

    async fn batch_encrypt(
        &self,
        request: Request<pb::BatchEncryptRequest>,
    ) -> Result<Response<pb::BatchEncryptResponse>, Status> {
        const METHOD: &str = "Encryption/BatchEncrypt";
        let pb::BatchEncryptRequest { app, items } = request.into_inner();
        let permit = self.permit_app::<permission::Encrypt>(&app).map_err(|no| self.refuse(&no, METHOD))?;
        let to_seal: Vec<_> = items
            .iter()
            .map(|item| ItemToSeal { context: Context::from_entries(&item.context), plaintext: &item.plaintext })
            .collect();
        let mut out = Vec::with_capacity(items.iter().map(|item| item.plaintext.len() + OVERHEAD).sum());
        let batch = match self.service().try_batch_encrypt(&permit, &to_seal, &mut out) {
            Some(batch) => batch.map_err(|no| self.refuse(&no, METHOD))?,
            None => {
                let cold = self.service().batch_encrypt(&permit, &to_seal, &mut out);
                self.attend(METHOD, cold).await?
            }
        };
        let Under { protection, data_key, key_version } = Under::sealed(&permit, &batch.sealed);
        use pb::batch_encrypt_result::Outcome;
        let results = parts(out, batch.items, Outcome::Ciphertext, Outcome::Error)
            .map(|outcome| pb::BatchEncryptResult { outcome: Some(outcome) })
            .collect();
        Ok(Response::new(pb::BatchEncryptResponse { results, protection, data_key, key_version }))
    }

    async fn batch_decrypt(
        &self,
        request: Request<pb::BatchDecryptRequest>,
    ) -> Result<Response<pb::BatchDecryptResponse>, Status> {
        const METHOD: &str = "Encryption/BatchDecrypt";
        let pb::BatchDecryptRequest { app, items } = request.into_inner();
        let permit = self.permit_app::<permission::Decrypt>(&app).map_err(|no| self.refuse(&no, METHOD))?;
        let to_open: Vec<_> = items
            .iter()
            .map(|item| ItemToOpen { context: Context::from_entries(&item.context), ciphertext: &item.ciphertext })
            .collect();
        let mut out = Vec::with_capacity(items.iter().map(|item| item.ciphertext.len().saturating_sub(OVERHEAD)).sum());
        let work = self.service().batch_decrypt(&permit, &to_open, &mut out);
        let opened = self.attend(METHOD, work).await?;
        use pb::batch_decrypt_result::Outcome;
        let results = parts(out, opened, Outcome::Plaintext, Outcome::Error)
            .map(|outcome| pb::BatchDecryptResult { outcome: Some(outcome) })
            .collect();
        Ok(Response::new(pb::BatchDecryptResponse { results }))
    }

    type EncryptStreamStream = Answers<pb::EncryptStreamResponse>;

    async fn encrypt_stream(
        &self,
        request: Request<Streaming<pb::EncryptStreamRequest>>,
    ) -> Result<Response<Self::EncryptStreamStream>, Status> {
        streams::encrypt(self, request.into_inner()).await.map(Response::new)
    }

    type DecryptStreamStream = Answers<pb::DecryptStreamResponse>;

    async fn decrypt_stream(
        &self,
        request: Request<Streaming<pb::DecryptStreamRequest>>,
    ) -> Result<Response<Self::DecryptStreamStream>, Status> {
        streams::decrypt(self, request.into_inner()).await.map(Response::new)
    }

    async fn re_encrypt(
        &self,
        request: Request<pb::ReEncryptRequest>,
    ) -> Result<Response<pb::ReEncryptResponse>, Status> {
        const METHOD: &str = "Encryption/ReEncrypt";
        let pb::ReEncryptRequest { app, ciphertext, context: entries, new_context } = request.into_inner();
        let parse = || {
            let (permit, old) = self.app_and_context::<permission::ReEncrypt>(&app, &entries)?;
            let new = new_context.as_ref().map(|new| context(&new.entries)).transpose()?;
            Ok::<_, Refusal>((permit, old, new))
        };
        let (permit, old, new) = parse().map_err(|no| self.refuse(&no, METHOD))?;
        let mut sealed_again = Vec::with_capacity(ciphertext.len());
        let work = self.service().re_encrypt(&permit, &ciphertext, &old, new.as_ref(), &mut sealed_again);
        let done = self.attend(METHOD, work).await?;
        let Under { protection, data_key, key_version } = Under::sealed(&permit, &done.sealed);
        Ok(Response::new(pb::ReEncryptResponse {
            ciphertext: sealed_again.into(),
            protection,
            data_key,
            key_version,
            data_key_changed: done.data_key_changed,
        }))
    }
}

impl Call {
    /// What every call of this service begins with.
    pub(super) fn app_and_context<A: Action>(
        &self,
        app: &str,
        entries: &Entries,
    ) -> Result<(Permit<A>, Context), Refusal> {
        Ok((self.permit_app(app)?, context(entries)?))
    }
}

/// The items of a batch: slices of the one buffer they were written to, or each its own error.
fn parts<T>(
    out: Vec<u8>,
    items: Vec<Result<Range<usize>, Refusal>>,
    part: impl Fn(Bytes) -> T,
    failed: impl Fn(pb::ItemError) -> T,
) -> impl Iterator<Item = T> {
    let out = Bytes::from(out);
    items.into_iter().map(move |item| match item {
        Ok(range) => part(out.slice(range)),
        Err(refusal) => failed(pb::ItemError {
            reason: text::reason(refusal.reason()).into(),
            message: refusal.message().into_owned(),
        }),
    })
}
