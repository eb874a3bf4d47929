//! Validation, usage and coverage as the contract has them.

use std::time::Duration;

use api::byok::v1 as pb;
use domain::permission::{self, Permit};
use domain::{AppId, DataKeyState, Hour, HourOfApp, Protection, Reason, Tally, Timestamp, WorkspaceId};
use service::{AppCoverage, DataKeyCoverage, ReadUsage, Refusal, Validation};

use super::call::Call;
use super::{refuse, text};

pub(super) async fn validate_app(
    call: &Call,
    request: pb::ValidateAppRequest,
) -> Result<pb::ValidateAppResponse, Refusal> {
    let permit = call.permit_app::<permission::ValidateApp>(&request.app)?;
    let validation = call.service().validate_app(&permit).await?;
    Ok(validated(&permit, &validation))
}

fn validated(permit: &Permit<permission::ValidateApp>, validation: &Validation) -> pb::ValidateAppResponse {
    let under = validation.sealed.as_ref().map(|sealed| text::Under::sealed(permit, sealed));
    let (protection, data_key, key_version) =
        under.map_or_else(Default::default, |under| (under.protection, under.data_key, under.key_version));
    let reason = validation.obstacle.as_ref().map(|obstacle| obstacle.refusal.reason());
    pb::ValidateAppResponse {
        successful: validation.is_successful(),
        message: validation.message(),
        protection,
        data_key,
        key_version,
        reason: reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        owner: reason.map(|reason| reason.owner().as_str().to_owned()).unwrap_or_default(),
        remedy: reason.map(|reason| reason.remedy().to_owned()).unwrap_or_default(),
    }
}

pub(super) async fn read_usage(call: &Call, request: pb::GetUsageRequest) -> Result<pb::GetUsageResponse, Refusal> {
    let pb::GetUsageRequest { parent, app, start_time, end_time, page_size, page_token, last } = request;
    let permit = call.permit_workspace::<permission::ReadUsage>(&parent)?;
    let workspace = domain::name::parse_workspace(&parent).map_err(refuse::name)?;
    let request = ReadUsage {
        app: one_app(&workspace, &app)?,
        from: start_time.map(moment).transpose()?,
        until: end_time.map(moment).transpose()?,
        last: last.map(Duration::try_from).transpose().map_err(|_| refuse::field("last must not be negative"))?,
        after: position(&page_token)?,
        page: Some(usize::try_from(page_size).map_err(|_| refuse::field("page_size must not be negative"))?),
    };
    let page = call.service().read_usage(&permit, request).await?;
    Ok(pb::GetUsageResponse {
        hours: page.hours.into_iter().map(|hour| hour_of_usage(&workspace, hour)).collect(),
        next_page_token: page.next.map_or_else(String::new, |next| token(&next)),
    })
}

pub(super) async fn read_coverage(
    call: &Call,
    request: pb::GetCoverageRequest,
) -> Result<pb::GetCoverageResponse, Refusal> {
    let pb::GetCoverageRequest { parent, app, page_size, page_token } = request;
    let permit = call.permit_workspace::<permission::ReadUsage>(&parent)?;
    let workspace = domain::name::parse_workspace(&parent).map_err(refuse::name)?;
    let app = one_app(&workspace, &app)?;
    let after = match page_token.as_str() {
        "" => None,
        after => Some(after.parse().map_err(refuse::id)?),
    };
    let page = usize::try_from(page_size).map_err(|_| refuse::field("page_size must not be negative"))?;
    let page = call.service().read_coverage(&permit, app.as_ref(), after.as_ref(), Some(page)).await?;
    Ok(pb::GetCoverageResponse {
        apps: page.apps.into_iter().map(coverage).collect(),
        next_page_token: page.next.map_or_else(String::new, |next| next.to_string()),
    })
}

/// One app of a workspace, by its resource name. One that is elsewhere is answered like one that is not there (I-14).
fn one_app(workspace: &WorkspaceId, name: &str) -> Result<Option<AppId>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    let (its, app) = domain::name::parse_app(name).map_err(refuse::name)?;
    if its == *workspace { Ok(Some(app)) } else { Err(Refusal::because(Reason::NotFound)) }
}

fn moment(at: prost_types::Timestamp) -> Result<Timestamp, Refusal> {
    let micros = at.seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(at.nanos) / 1_000));
    micros.map(Timestamp::from_micros).ok_or_else(|| refuse::field("a time is out of range"))
}

/// Where a page ended, as a page token has it: hour, app, protection.
fn token((hour, app, protection): &(Hour, AppId, Protection)) -> String {
    format!("{}.{app}.{}", hour.number(), protection.byte())
}

fn position(token: &str) -> Result<Option<(Hour, AppId, Protection)>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (hour, rest) = token.split_once('.')?;
        let (app, protection) = rest.split_once('.')?;
        let protection = Protection::from_byte(protection.parse().ok()?)?;
        Some((Hour::of_number(hour.parse().ok()?), app.parse().ok()?, protection))
    };
    read().map(Some).ok_or_else(|| refuse::field("page_token is not one of ours"))
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn tally(tally: &Tally) -> pb::Tally {
    pb::Tally {
        sealed_messages: count(tally.seals),
        sealed_bytes: count(tally.sealed_bytes),
        opened_messages: count(tally.opens),
        opened_bytes: count(tally.opened_bytes),
    }
}

fn hour_of_usage(workspace: &WorkspaceId, found: HourOfApp) -> pb::HourOfUsage {
    pb::HourOfUsage {
        start_time: text::stamp(found.hour.start()),
        app: domain::name::app(workspace, &found.app),
        protection: text::protection(found.protection).into(),
        tally: Some(tally(&found.tally)),
    }
}

fn coverage(found: AppCoverage) -> pb::AppCoverage {
    let protections = [Protection::PlatformKey, Protection::CustomerKey].into_iter().filter_map(|protection| {
        let (data_keys, sum) = found.under(protection);
        let (protection, tally) = (text::protection(protection).into(), Some(tally(&sum)));
        (data_keys > 0).then(|| pb::ProtectionCoverage { protection, data_keys: count(data_keys as u64), tally })
    });
    let left = || found.data_keys.iter().filter(|key| key.is_left());
    pb::AppCoverage {
        app: domain::name::app(&found.app.workspace, &found.app.id),
        protection: text::protection(found.protection).into(),
        protections: protections.collect(),
        data_keys_left: count(left().count() as u64),
        messages_left: count(left().fold(0, |sum, key| key.traffic.tally.seals.saturating_add(sum))),
        data_keys: found.data_keys.iter().map(data_key).collect(),
    }
}

fn data_key(found: &DataKeyCoverage) -> pb::DataKeyCoverage {
    let (key, traffic) = (&found.key, &found.traffic);
    pb::DataKeyCoverage {
        data_key: domain::name::data_key(&key.workspace, &key.app, key.id),
        protection: text::protection(key.protection).into(),
        state: state(key.state).into(),
        present: found.present,
        left: found.is_left(),
        create_time: text::stamp(key.created_at),
        activate_time: key.activated_at.and_then(text::stamp),
        retire_time: key.retired_at.and_then(text::stamp),
        tally: Some(tally(&traffic.tally)),
        first_seal_time: traffic.first_seal.and_then(text::stamp),
        last_seal_time: traffic.last_seal.and_then(text::stamp),
        last_open_time: traffic.last_open.and_then(text::stamp),
    }
}

fn state(state: DataKeyState) -> pb::DataKeyState {
    match state {
        DataKeyState::Active => pb::DataKeyState::Active,
        DataKeyState::Retired => pb::DataKeyState::Retired,
        // Not part of a coverage: they have sealed nothing.
        DataKeyState::Pending | DataKeyState::Staged | DataKeyState::Abandoned => pb::DataKeyState::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page goes on where the one before ended; a stranger's token is refused and not guessed at.
    #[test]
    fn a_page_goes_on_where_the_one_before_ended() {
        let at = (Hour::of_number(495_000), "support-bot".parse().unwrap(), Protection::CustomerKey);
        assert_eq!(position(&token(&at)).unwrap(), Some(at));
        assert_eq!(position("").unwrap(), None);
        for bad in ["x", "1.support-bot", "1.support-bot.3", "-1.support-bot.1", "1.Bad App.1", "1..1"] {
            assert!(position(bad).is_err(), "{bad}");
        }
    }
}
