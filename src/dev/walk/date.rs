//! The steps from a tested key to one that is in force: its date, the apps it is for, and the moment it comes.

use std::time::Duration;

use bytes::Bytes;
use client::pb;
use domain::{Clock, Timestamp};
use pb::select_apps_request::Selection;

use super::super::daemon::SOONEST_DATE;
use super::{APP, BOT, Finding, LOOK_EVERY, Walk, app, check, order, refused, unexpected, workspace};
use crate::clock::SystemClock;
use crate::trouble::Trouble;

/// What may pass beyond the date on a busy machine.
const LATE: Duration = Duration::from_secs(20);

impl Walk<'_> {
    pub(super) async fn before_the_date(&mut self) -> Finding {
        let key = self.client.key(pb::GetKeyRequest { name: self.key_name() }).await?;
        if key.phase() == pb::KeyPhase::Enforced {
            return Ok("Its date came in an earlier start; what was encrypted before it is still readable.".to_owned());
        }
        check(key.phase() == pb::KeyPhase::Tested, format_args!("the key is {:?} after its test", key.phase()))?;
        let sealed = self.client.encrypt(&app(BOT), order(), Bytes::from_static(b"before the date")).await?;
        check(sealed.protection() == pb::Protection::PlatformKey, "a key without a date encrypts already")?;
        self.early = Some(sealed.ciphertext);
        Ok("TESTED, and nothing is under it yet: new data is under the platform's key.".to_owned())
    }

    pub(super) async fn schedule(&mut self) -> Finding {
        if self.early.is_none() {
            let again = self.client.schedule_enforcement(self.date(later(Duration::from_secs(3_600)), "UTC")).await;
            let refusal = refused(again, pb::Reason::KeyAlreadyEnforced)?;
            return Ok(format!("It has come, and is set once: {}.", refusal.reason));
        }
        // Clocks in Berlin skip that hour.
        let gap = self.client.schedule_enforcement(self.date("2027-03-28T02:30".to_owned(), "Europe/Berlin")).await;
        let gap = refused(gap, pb::Reason::EnforcementDateInGap)?;
        let key = self.client.schedule_enforcement(self.date(later(SOONEST_DATE), "UTC")).await?;
        check(key.phase() == pb::KeyPhase::Scheduled, format_args!("the key is {:?} with a date", key.phase()))?;
        let date = key.enforcement.ok_or_else(|| unexpected("there is no date"))?;
        Ok(format!(
            "{} {}; until its freeze it may be moved. 2027-03-28 02:30 in Berlin is none: {}.\n\
             It is so soon because this service takes {} s for what takes 6 min elsewhere.",
            date.local_time,
            date.time_zone,
            gap.reason,
            SOONEST_DATE.as_secs()
        ))
    }

    pub(super) async fn select(&mut self) -> Finding {
        let request = |selection, validate_only| pb::SelectAppsRequest {
            name: self.key_name(),
            selection: Some(selection),
            validate_only,
        };
        let only = || Selection::Only(pb::AppList { apps: vec![app(BOT)] });
        let mut watch = self.client.watch_selection(&workspace()).await?;
        let first = told(&mut watch, 0).await?;
        check(first.every_app && first.apps.iter().all(|app| app.selected), "an app is not selected")?;
        let preview = self.client.select_apps(request(only(), true)).await?;
        check(preview.to_platform_key == [app(APP)], "the preview names other apps")?;
        check(preview.effective_time.is_none(), "a preview takes effect")?;

        let out = self.client.select_apps(request(only(), false)).await?;
        let second = told(&mut watch, out.revision).await?;
        let selected: Vec<_> = second.apps.iter().filter(|app| app.selected).map(|app| &app.name).collect();
        check(!second.every_app && selected == [&app(BOT)], "the watch shows another selection")?;
        check(second.effective_time == out.effective_time, "the watch says another time")?;
        let back = self.client.select_apps(request(Selection::EveryApp(true), false)).await?;
        let third = told(&mut watch, back.revision).await?;
        check(third.every_app && third.apps.iter().all(|app| app.selected), "an app is not selected again")?;
        Ok(format!(
            "Every one, future ones too. Only {BOT} would take {} of {} out: previewed, done, and taken back. Whoever watches \
             (byokctl key watch) saw revisions {}, {} and {}, each with the time from which every replica goes by it.",
            preview.to_platform_key.len(),
            first.apps.len(),
            first.revision,
            second.revision,
            third.revision
        ))
    }

    pub(super) async fn enforced(&mut self) -> Finding {
        let Some(early) = self.early.clone() else { return Ok("It came in an earlier start.".to_owned()) };
        let mut watch = self.client.watch_selection(&workspace()).await?;
        let key = self.client.key(pb::GetKeyRequest { name: self.key_name() }).await?;
        let date = key.enforcement.and_then(|date| date.time).ok_or_else(|| unexpected("there is no date"))?;
        let date = Timestamp::from_micros(date.seconds * 1_000_000 + i64::from(date.nanos) / 1_000);
        let mut armed = false;
        loop {
            let key = self.client.key(pb::GetKeyRequest { name: self.key_name() }).await?;
            armed |= key.enforcement.as_ref().is_some_and(|date| date.armed);
            if key.phase() == pb::KeyPhase::Enforced {
                break;
            }
            let why = key.hold.map(|hold| hold.cause).filter(|cause| !cause.is_empty());
            if let Some(why) = why {
                return Err(Trouble::new(
                    format_args!("the date is not kept: {why}"),
                    "look at byokctl key tests acme",
                ));
            }
            if SystemClock.now().wall > date.saturating_add(LATE) {
                return Err(unexpected("the date has passed and the key is not in force"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        check(armed, "it is in force without having been decided")?;
        let sealed = self.client.encrypt(&app(BOT), order(), Bytes::from_static(b"after the date")).await?;
        check(sealed.protection() == pb::Protection::CustomerKey, "new data is not under the customer's key")?;
        let mut shown = told(&mut watch, 0).await?;
        while !shown.apps.iter().all(|app| app.protection() == pb::Protection::CustomerKey) {
            shown = told(&mut watch, 0).await?;
        }
        let opened = self.client.decrypt(&app(BOT), order(), early).await?;
        check(opened.plaintext == b"before the date".as_slice(), "what was encrypted before reads otherwise")?;
        let edit = self.client.configure_key(pb::ConfigureKeyRequest { lease: None, ..self.another_key()? }).await;
        let edit = refused(edit, pb::Reason::KeyAlreadyEnforced)?;
        Ok(format!(
            "Tested again, armed, and in force: new data is under the customer's key, as whoever watches was told. What was encrypted \
             before stays readable. Another key now: {}.",
            edit.reason
        ))
    }

    pub(super) async fn local_switch(&mut self) -> Finding {
        let name = self.key_name();
        let off = self.client.revoke_key(pb::RevokeKeyRequest { name: name.clone() }).await?;
        let cause = off.hold.map(|hold| hold.cause).unwrap_or_default();
        check(cause == "KILL_SWITCH", format_args!("the key is held by {cause:?}"))?;
        let refusal = refused(self.open_sample().await, pb::Reason::KeyRevoked)?;
        self.client.restore_key(pb::RestoreKeyRequest { name }).await?;
        self.open_sample().await?;
        Ok(format!(
            "byokctl key revoke: {} at once, for everything under it. byokctl key restore: back.",
            refusal.reason
        ))
    }

    fn date(&self, local_time: String, zone: &str) -> pb::ScheduleEnforcementRequest {
        pb::ScheduleEnforcementRequest {
            name: self.key_name(),
            local_time,
            time_zone: zone.to_owned(),
            otherwise: pb::enforcement::Otherwise::Stay.into(),
        }
    }

    fn another_key(&self) -> Result<pb::ConfigureKeyRequest, Trouble> {
        Ok(pb::ConfigureKeyRequest {
            name: self.key_name(),
            key_identifier: format!("{}-2", self.key()?.identifier),
            tenant_id: self.tenant.clone(),
            ..Default::default()
        })
    }
}

/// What a watch tells next of a revision not before this one.
async fn told(watch: &mut client::Selections, revision: u64) -> Result<pb::Selection, Trouble> {
    loop {
        let now = watch.next().await?.ok_or_else(|| unexpected("the watch ended"))?;
        if now.revision >= revision {
            return Ok(now);
        }
    }
}

/// So much after now, in whole seconds, as clocks at Greenwich show it.
pub(super) fn later(by: Duration) -> String {
    let at = SystemClock.now().wall.saturating_add(by + Duration::from_secs(1)).to_string();
    at.chars().take("2027-03-01T09:00:00".len()).collect()
}
