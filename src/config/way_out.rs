//! Where vaults may be reached besides the internet, where never, and through which proxy.

use std::collections::HashMap;

use domain::WorkspaceId;
use outbound::{Proxy, Range, Ranges};
use vault::azure::Approved;

use super::document::Section;

/// The way out to vaults and directories.
#[derive(Debug, Clone, Default)]
pub struct WayOut {
    /// The platform's own networks: reached by nobody.
    pub never: Ranges,
    /// Private addresses, and who may reach them.
    pub approved: Approved,
    /// The proxy through which connections are made; none unless it is named.
    pub proxy: Option<Proxy>,
}

/// The keys `never` and `private` of the table `[vaults]`.
pub(super) fn ranges(vaults: &mut Section<'_, '_>) -> (Ranges, HashMap<WorkspaceId, Ranges>) {
    let never: Ranges = read(vaults, "never", |_| Ok(())).into_iter().collect();
    let mut approved = HashMap::new();
    for mut one in vaults.sections("private") {
        let hint = "write the id of one workspace; what is approved is approved for that one, and no pattern stands for several";
        let workspace = one.required("workspace", hint).and_then(|text| {
            let workspace = text.parse::<WorkspaceId>().ok();
            if workspace.is_none() {
                one.fault("workspace", "is not a workspace", hint);
            }
            workspace
        });
        let ranges = private(&mut one, "ranges", &never);
        if ranges.is_empty() && !one.has("ranges") {
            one.fault(
                "ranges",
                "is missing",
                "write the networks of its private endpoints, such as [\"10.20.0.0/16\"]",
            );
        }
        if let Some(workspace) = workspace
            && approved.insert(workspace, ranges).is_some()
        {
            one.fault("workspace", "is named twice", "write all ranges of a workspace into one table");
        }
        one.close();
    }
    (never, approved)
}

/// A list of private ranges, none of which lies in a range that is never reached.
pub(super) fn private(section: &mut Section<'_, '_>, key: &'static str, never: &Ranges) -> Ranges {
    let fit = |range: &Range| match never.iter().find(|never| range.is_within(never)) {
        _ if !range.is_private() => Err("is not private: addresses of the internet need no approval".to_owned()),
        Some(never) => Err(format!("lies in {never}, which vaults.never excludes")),
        None => Ok(()),
    };
    read(section, key, fit).into_iter().collect()
}

/// The table `[outbound]`.
pub(super) fn proxy(mut section: Section<'_, '_>) -> Option<Proxy> {
    let proxy = section.text("proxy").and_then(|text| {
        let read = text.parse::<Proxy>();
        if let Err(why) = &read {
            section.fault("proxy", "is not a proxy that can be used", why.to_string());
        }
        read.ok()
    });
    section.close();
    proxy
}

fn read(section: &mut Section<'_, '_>, key: &'static str, fit: impl Fn(&Range) -> Result<(), String>) -> Vec<Range> {
    let mut ranges = Vec::new();
    for (at, text) in section.texts(key).unwrap_or_default().into_iter().enumerate() {
        match text.parse::<Range>() {
            Ok(range) => match fit(&range) {
                Ok(()) => ranges.push(range),
                Err(why) => section.fault(key, format!("entry {} {why}", at + 1), "correct it, or leave it out"),
            },
            Err(why) => section.fault(key, format!("entry {} is not a range of addresses", at + 1), why.to_string()),
        }
    }
    ranges
}
