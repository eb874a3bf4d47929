//! Who may call, as `[[callers]]` says it.

use std::collections::BTreeSet;

use domain::audit::SERVICE;
use domain::permission::{Caller, Grant};
use domain::usage::parse_time;
use identity::CertificateName;

use super::ConfiguredCaller;
use super::document::Section;

/// A caller's name, which nobody else has.
pub(super) fn caller_name(section: &mut Section<'_, '_>, names: &mut BTreeSet<String>) -> Option<String> {
    let name = section.required("name", "write a name; audit records carry it")?;
    // It is read beside others in audit records: no two look alike, and none is the service itself.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@:/-".contains(c);
    if name.len() > 100 || !name.chars().all(plain) || name == SERVICE {
        let hint = "write at most 100 letters, digits and ._@:/- ; `service` is the service itself";
        section.fault("name", "is not a caller's name", hint);
        return None;
    }
    if !names.insert(name.to_owned()) {
        section.fault("name", "is given to two callers", "choose another name");
    }
    Some(name.to_owned())
}

pub(super) fn callers(sections: Vec<Section<'_, '_>>) -> Vec<ConfiguredCaller> {
    let mut callers: Vec<ConfiguredCaller> = Vec::new();
    let mut names = BTreeSet::new();
    for mut section in sections {
        let name = caller_name(&mut section, &mut names);
        let how = "write the SHA-256 of the token as 64 hexadecimal digits: printf %s \"$TOKEN\" | sha256sum";
        let certificate = section.text("certificate").and_then(|text| {
            let read = text.parse::<CertificateName>();
            if let Err(why) = &read {
                section.fault("certificate", "is not the name of a certificate", why.to_string());
            }
            read.ok()
        });
        if !section.has("token_sha256") && !section.has("certificate") {
            let hint = "write `token_sha256`, `certificate`, or both: by what is the caller known?";
            section.fault("token_sha256", "is missing", hint);
        }
        let sha256 = section.text("token_sha256").and_then(|text| {
            let mut hash = [0; 32];
            let read = hex::decode_to_slice(text, &mut hash);
            if read.is_err() {
                section.fault("token_sha256", "is not a SHA-256", how);
            }
            read.ok().map(|()| hash)
        });
        let grants = grants(&mut section);
        let expires = section.text("expires").and_then(|text| {
            let expires = parse_time(text);
            if expires.is_none() {
                let hint = "write a date and time with its zone, such as \"2027-01-01T00:00:00Z\"";
                section.fault("expires", "is not a date and time", hint);
            }
            expires
        });
        if let Some(name) = name
            && (sha256.is_some() || certificate.is_some())
        {
            if let Some(same) = callers.iter().find(|caller| sha256.is_some() && caller.sha256 == sha256) {
                let what = format!("is the same token as that of {}", same.name);
                section.fault("token_sha256", what, "give each caller a token of its own");
            }
            if let Some(same) = callers.iter().find(|caller| certificate.is_some() && caller.certificate == certificate)
            {
                let what = format!("is the same certificate as that of {}", same.name);
                section.fault("certificate", what, "give each caller a certificate of its own");
            }
            callers.push(ConfiguredCaller { name, sha256, certificate, grants, expires });
        }
        section.close();
    }
    callers
}

/// A caller's grants, at least one. A refused one is told with its place in the list, and the others are read all the same.
pub(super) fn grants(section: &mut Section<'_, '_>) -> Vec<Grant> {
    let hint = "write what its holder may do, such as [\"platform-service\"], [\"workspace-owner@acme\"], or [\"*\"] for everything";
    let Some(texts) = section.texts("grants") else {
        if !section.has("grants") {
            section.fault("grants", "is missing", hint);
        }
        return Vec::new();
    };
    if texts.is_empty() {
        section.fault("grants", "is empty", hint);
    }
    if texts.len() > Caller::MOST_GRANTS {
        let what = format!("has more than {} entries", Caller::MOST_GRANTS);
        section.fault("grants", what, "give roles, or patterns such as acme-*, instead of single ones");
    }
    let mut grants = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        match text.parse::<Grant>() {
            Ok(grant) => grants.push(grant),
            Err(why) => section.fault("grants", format!("entry {} is not a grant", at + 1), why.to_string()),
        }
    }
    grants
}
