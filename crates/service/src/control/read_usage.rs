//! Reading what was sealed and opened: by hour, app and protection.

use std::ops::Range;
use std::time::Duration;

use domain::permission::{self, Permit};
use domain::{AppId, Hour, HourOfApp, Protection, Reason, Timestamp};

use super::{cut, not_found, page_size, workspace_of};
use crate::{Refusal, Service};

/// The longest range of one reading: a leap year's hours and a day.
const LONGEST: u32 = 367 * 24;
/// What is read when no range is given.
const USUAL: u32 = 24;

/// Which usage is read.
#[derive(Debug, Clone, Default)]
pub struct ReadUsage {
    /// One app; absent: all of the workspace, deleted ones too.
    pub app: Option<AppId>,
    /// From the hour this lies in; absent: `last` before the end.
    pub from: Option<Timestamp>,
    /// So long before the end, begun hours taken whole; absent: 24 hours.
    pub last: Option<Duration>,
    /// To the end of the hour that is over or under way then; absent: now.
    pub until: Option<Timestamp>,
    /// Where the page before ended.
    pub after: Option<(Hour, AppId, Protection)>,
    /// 1 to 1,000 entries, 100 if absent.
    pub page: Option<usize>,
}

/// Some usage, by hour, app and protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePage {
    /// Hours in which nothing was done are left out.
    pub hours: Vec<HourOfApp>,
    /// Where the next page begins; absent on the last.
    pub next: Option<(Hour, AppId, Protection)>,
}

impl Service {
    /// What a workspace's apps sealed and opened. This replica's own counts are complete; another's are missing at most its last
    /// minute or so.
    pub async fn read_usage(
        &self,
        permit: &Permit<permission::ReadUsage>,
        request: ReadUsage,
    ) -> Result<UsagePage, Refusal> {
        let (core, workspace) = (&self.0, workspace_of(permit)?);
        let found = core.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        if let Some(app) = &request.app {
            core.store.app(&workspace, app).await?.ok_or_else(not_found)?;
        }
        let hours = range(request.from, request.last, request.until, core.clock.now().wall)?;
        core.flush_for_reading().await;
        let page = page_size(request.page);
        let read = core.store.usage_by_hour(&workspace, request.app.as_ref(), hours, request.after, page + 1).await?;
        let (hours, more) = cut(read, page);
        let next = hours.last().filter(|_| more).map(|last| (last.hour, last.app.clone(), last.protection));
        Ok(UsagePage { hours, next })
    }
}

fn range(
    from: Option<Timestamp>,
    last: Option<Duration>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Range<Hour>, Refusal> {
    let invalid = |what| Err(Refusal::because(Reason::RequestInvalid).detail(what));
    // The hour under way belongs to it.
    let end = until.map_or_else(|| Hour::of_number(Hour::of(now).number().saturating_add(1)), Hour::at_or_after);
    let start = match (from, last) {
        (Some(_), Some(_)) => return invalid("start_time and last exclude each other"),
        (Some(from), None) => Hour::of(from),
        (None, Some(last)) => end.minus(u32::try_from(last.as_secs().div_ceil(3_600)).unwrap_or(u32::MAX)),
        (None, None) => end.minus(USUAL),
    };
    if start >= end {
        return invalid("the range of usage ends before it begins");
    }
    if end.number() - start.number() > LONGEST {
        return invalid("the range of usage is longer than 367 days");
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A range is of whole hours, holds the hour that is under way, and a day when nothing is said.
    #[test]
    fn a_range_is_of_whole_hours() {
        let at = |hour: i64, seconds: i64| Timestamp::from_micros((hour * 3_600 + seconds) * 1_000_000);
        let read = |from, until| range(from, None, until, at(1_000, 1)).ok().map(|r| r.start.number()..r.end.number());
        assert_eq!(read(None, None), Some(977..1_001));
        assert_eq!(read(Some(at(10, 59)), Some(at(12, 0))), Some(10..12));
        assert_eq!(read(Some(at(10, 0)), Some(at(12, 1))), Some(10..13));
        assert_eq!(read(None, Some(at(500, 0))), Some(476..500));
        let last = |from, seconds| {
            let range = range(from, Some(Duration::from_secs(seconds)), None, at(1_000, 1));
            range.ok().map(|range| range.start.number()..range.end.number())
        };
        assert_eq!((last(None, 3_600), last(None, 3_601)), (Some(1_000..1_001), Some(999..1_001)));
        assert_eq!((last(None, 0), last(Some(at(1, 0)), 60)), (None, None));
        assert_eq!(read(Some(at(12, 0)), Some(at(12, 0))), None);
        assert_eq!(read(Some(at(2_000, 0)), None), None, "in the future");
        assert_eq!(read(Some(at(0, 0)), Some(at(9_000, 0))), None, "too long");
    }
}
