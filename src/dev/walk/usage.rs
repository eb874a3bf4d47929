//! The steps that show what is under whose key: the guide's validation, usage and coverage.

use client::pb;

use super::setup::short;
use super::{APP, BOT, Finding, Walk, app, check, unexpected, workspace};

impl Walk<'_> {
    pub(super) async fn validated(&mut self) -> Finding {
        let answer = self.client.validate_app(pb::ValidateAppRequest { app: app(BOT) }).await?;
        check(answer.successful, format_args!("{} [{}]", answer.message, answer.reason))?;
        check(answer.message == domain::validation::SUCCESSFUL, "a success is said in other words")?;
        check(answer.protection() == pb::Protection::CustomerKey, "the credential is not under the customer's key")?;
        check(answer.key_version.ends_with(&self.key()?.version), "the credential is under another version")?;
        Ok(format!(
            "{BOT} stored a credential under the customer's key, read it back from the database and opened it: {}",
            answer.message
        ))
    }

    pub(super) async fn counted(&mut self) -> Finding {
        let request = pb::GetUsageRequest { parent: workspace(), ..Default::default() };
        let hours = self.client.usage(request).await?;
        let mut early = 0;
        let mut sums = [pb::Tally::default(), pb::Tally::default()];
        for hour in &hours {
            if hour.protection() == pb::Protection::PlatformKey {
                check(hour.app == app(BOT), "something else is counted under the platform's key")?;
                early += hour.tally.unwrap_or_default().sealed_messages;
                continue;
            }
            let one = [APP, BOT].into_iter().position(|id| app(id) == hour.app);
            let one = one.ok_or_else(|| unexpected(format_args!("{} was never used", hour.app)))?;
            let (sum, tally) = (&mut sums[one], hour.tally.unwrap_or_default());
            sum.sealed_messages += tally.sealed_messages;
            sum.opened_messages += tally.opened_messages;
            sum.sealed_bytes += tally.sealed_bytes;
        }
        let [orders, bot] = &sums;
        // The batch and the stream; and two encryptions and a credential.
        check(orders.sealed_messages >= 101, format_args!("{APP} sealed {}", orders.sealed_messages))?;
        check(orders.opened_messages >= 100, format_args!("{APP} opened {}", orders.opened_messages))?;
        check(orders.sealed_bytes >= 8 << 20, format_args!("{APP} sealed {} B", orders.sealed_bytes))?;
        check(early == 1, format_args!("{early} messages were sealed under the platform's key"))?;
        check(bot.sealed_messages >= 3, format_args!("{BOT} sealed {}", bot.sealed_messages))?;
        Ok(format!(
            "In the last day {APP} sealed {} messages ({} MiB) and opened {}, {BOT} sealed {} and opened {}: all under CUSTOMER_KEY, but for the one before the date.",
            orders.sealed_messages,
            orders.sealed_bytes >> 20,
            orders.opened_messages,
            bot.sealed_messages,
            bot.opened_messages
        ))
    }

    pub(super) async fn covered(&mut self) -> Finding {
        let apps = self.client.coverage(&workspace(), "").await?;
        check(apps.len() == 2, format_args!("{} apps are covered", apps.len()))?;
        let (mut told, mut left) = (Vec::new(), 0);
        for found in &apps {
            let present = found.data_keys.iter().find(|key| key.present);
            let present = present.ok_or_else(|| unexpected(format_args!("{} has no present data key", found.app)))?;
            check(found.protection() == pb::Protection::CustomerKey, "an app is under another key")?;
            // The platform's data key, of the one message before the date.
            let early = i64::from(found.app == app(BOT));
            check(found.data_keys_left == early, format_args!("{} has {} left", found.app, found.data_keys_left))?;
            left += found.messages_left;
            check(present.first_seal_time.is_some() && present.last_open_time.is_some(), "a data key was never used")?;
            let [id, name] = [&present.data_key, &found.app].map(|name| name.rsplit('/').next().unwrap_or_default());
            told.push(format!("{name} under data key {}", short(id)));
        }
        Ok(format!(
            "{}; {left} message under an older one, from before the date: ReEncrypt brings it over.",
            told.join(", ")
        ))
    }
}
