//! The steps that show whose data it is: the customer switches the key off, and on again.

use std::time::Duration;

use bytes::Bytes;
use client::pb;
use domain::{Clock, Moment};

use super::{BOT, Finding, LEASE, LOOK_EVERY, Walk, app, check, order, refused, unexpected};
use crate::clock::SystemClock;

/// What may pass beyond the lease: a look, a call to the vault, a busy machine.
const SLACK: Duration = Duration::from_secs(3);
/// A denied key is used again when two probes 5 s apart have succeeded.
const ADMITTED_WITHIN: Duration = Duration::from_secs(15);

impl Walk<'_> {
    pub(super) async fn switched_off(&mut self) -> Finding {
        self.azure.enable_key(false).await?;
        let started = SystemClock.now();
        let mut served = 0;
        let attempt = loop {
            match self.open_sample().await {
                Ok(()) if since(started) > LEASE + SLACK => {
                    return Err(unexpected(format_args!(
                        "it still decrypts {:?} after the key was disabled",
                        since(started)
                    )));
                }
                Ok(()) => {
                    served += 1;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) => break error,
            }
        };
        let after = since(started);
        let refusal = refused::<()>(Err(attempt), pb::Reason::KeyDisabled)?;
        check(refusal.owner == client::Owner::Customer, "a disabled key is the customer's to enable")?;
        let sealing = self.client.encrypt(&app(BOT), order(), Bytes::from_static(b"new")).await;
        refused(sealing, pb::Reason::KeyDisabled)?;
        let until_then = match served {
            0 => String::new(),
            _ => format!(
                " Until then {served} of {served} calls were served: the data key was in memory under a lease of {} s, which is \
                 300 s unless set lower.",
                LEASE.as_secs()
            ),
        };
        Ok(format!(
            "{:.1} s later it neither decrypts nor encrypts.{until_then}\n{}: {}.\nRemedy: {}.",
            after.as_secs_f64(),
            refusal.reason,
            refusal.message,
            refusal.remedy
        ))
    }

    pub(super) async fn switched_on(&mut self) -> Finding {
        self.azure.enable_key(true).await?;
        let started = SystemClock.now();
        loop {
            match self.open_sample().await {
                Ok(()) => break,
                Err(error) if since(started) > ADMITTED_WITHIN => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        let after = since(started);
        self.client.encrypt(&app(BOT), order(), Bytes::from_static(b"new")).await?;
        Ok(format!("Decrypts and encrypts again {:.1} s later; nothing was lost.", after.as_secs_f64()))
    }
}

fn since(started: Moment) -> Duration {
    SystemClock.now().since(started)
}
