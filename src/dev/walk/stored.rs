//! The steps on what an app has stored: what it says of itself, and how it comes over to the present data key.

use bytes::Bytes;
use client::pb;
use envelope::Header;

use super::data::FIRST;
use super::setup::short;
use super::{BOT, Finding, Walk, app, check, order, unexpected, workspace};
use crate::trouble::Trouble;

/// A ciphertext from before the date, kept for later walks.
const EARLY: &str = "before-the-date.byok";

impl Walk<'_> {
    pub(super) async fn inspected(&mut self) -> Finding {
        if let Some(early) = self.early.as_ref().filter(|_| !self.home.file(EARLY).exists()) {
            self.home.write(&self.home.file(EARLY), early)?;
        }
        let coverage = self.client.coverage(&workspace(), &app(BOT)).await?;
        let keys = coverage.first().map_or(&[][..], |covered| &covered.data_keys[..]);
        let mut told = Vec::new();
        for (name, protection) in [(EARLY, pb::Protection::PlatformKey), (FIRST, pb::Protection::CustomerKey)] {
            let ciphertext = self.read(name)?;
            let header = Header::parse(&ciphertext).map_err(unexpected)?;
            let id = hex::encode(header.data_key_id);
            let found = keys.iter().find(|key| key.data_key.ends_with(&id));
            let found = found.ok_or_else(|| unexpected(format_args!("{name} is under a data key nobody knows")))?;
            check(
                found.protection() == protection,
                format_args!("{name} is under {}", found.protection().as_str_name()),
            )?;
            check(found.left == (name == EARLY), format_args!("{name} is taken for what it is not"))?;
            told.push(format!("{name}: data key {}, {}", short(&id), protection.as_str_name()));
        }
        Ok(format!(
            "{}.\nThe header names the data key, and the service says under whose key that is: byokctl data inspect DIRECTORY \
             --workspace counts everything stored like this.",
            told.join("\n")
        ))
    }

    pub(super) async fn re_encrypted(&mut self) -> Finding {
        let old = self.read(EARLY)?;
        let plain = self.client.decrypt(&app(BOT), order(), old.clone()).await?.plaintext;
        let request = pb::ReEncryptRequest { app: app(BOT), ciphertext: old, context: order(), new_context: None };
        let moved = self.client.re_encrypt(request).await?;
        check(moved.data_key_changed, "it is under the data key it was under")?;
        check(moved.protection() == pb::Protection::CustomerKey, "it is not under the customer's key")?;
        let opened = self.client.decrypt(&app(BOT), order(), moved.ciphertext.clone()).await?;
        check(opened.plaintext == plain, "another plaintext came back")?;
        let context = order();
        let again = pb::ReEncryptRequest { app: app(BOT), ciphertext: moved.ciphertext, context, new_context: None };
        check(!self.client.re_encrypt(again).await?.data_key_changed, "it changes its data key each time")?;
        Ok("What was encrypted before the date is under the customer's key now, inside the service: its plaintext went nowhere. \
            byokctl data re-encrypt --in-place DIRECTORY does it for everything stored."
            .to_owned())
    }

    fn read(&self, name: &str) -> Result<Bytes, Trouble> {
        let path = self.home.file(name);
        let bytes = std::fs::read(&path).map_err(|cause| unexpected(format_args!("{}: {cause}", path.display())))?;
        Ok(bytes.into())
    }
}
