//! Whose signed tokens let callers in.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use domain::permission::Grant;
use identity::SubjectPattern;
use identity::jwt::Algorithm;
use url::{Host, Url};

use super::callers::{caller_name, grants};
use super::document::Section;
use super::{ConfiguredCaller, LONGEST};

/// An issuer of signed tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredIssuer {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// Where its keys are; absent: where its OpenID configuration says.
    pub jwks: Option<Url>,
    /// PEM of the authorities trusted for it, in place of the system's.
    pub trust: Option<PathBuf>,
    /// How its tokens may be signed; at least one.
    pub algorithms: Vec<Algorithm>,
    /// From `iat` to `exp` at most.
    pub longest_life: Duration,
    /// How often its keys are asked for.
    pub refresh: Duration,
    /// Which of its subjects are callers; at least one.
    pub subjects: Vec<ConfiguredSubject>,
}

/// A subject, or all that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredSubject {
    /// Which.
    pub subject: SubjectPattern,
    /// The name that audit records carry.
    pub name: String,
    /// What they may do: at least one grant.
    pub grants: Vec<Grant>,
}

const ONE_HOUR: Duration = Duration::from_secs(3_600);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// The tables `[[issuers]]`. `callers`: whose names are taken.
pub(super) fn issuers(
    sections: Vec<Section<'_, '_>>,
    callers: &[ConfiguredCaller],
    file: &impl Fn(&str) -> PathBuf,
) -> Vec<ConfiguredIssuer> {
    let mut names: BTreeSet<String> = callers.iter().map(|caller| caller.name.clone()).collect();
    let mut all: Vec<ConfiguredIssuer> = Vec::new();
    for section in sections {
        all.extend(issuer(section, &mut names, &all, file));
    }
    all
}

fn issuer(
    mut section: Section<'_, '_>,
    names: &mut BTreeSet<String>,
    before: &[ConfiguredIssuer],
    file: &impl Fn(&str) -> PathBuf,
) -> Option<ConfiguredIssuer> {
    let issuer = section.required("issuer", "write the issuer as its tokens name it in `iss`");
    let issuer = issuer.filter(|text| {
        let address = address(text);
        if address.is_none() {
            section.fault(
                "issuer",
                "is not an issuer's address",
                "write it as its tokens do: https://, without a query",
            );
        }
        if before.iter().any(|other| other.issuer == *text) {
            section.fault("issuer", "is configured twice", "put its subjects into one table");
        }
        address.is_some()
    });
    let audience =
        section.required("audience", "write the audience that callers ask their tokens for, such as \"byokd\"");
    let jwks = section.text("jwks").and_then(|text| {
        let address = address(text);
        if address.is_none() {
            let hint = "write an https:// address, or leave it out for what the issuer's OpenID configuration says";
            section.fault("jwks", "is not the address of a key set", hint);
        }
        address
    });
    let trust = section.text("trust").map(file);
    let algorithms = match section.texts("algorithms") {
        None => vec![Algorithm::Rs256],
        Some(texts) => {
            let read: Vec<_> = texts.iter().filter_map(|text| Algorithm::named(text)).collect();
            if read.is_empty() || read.len() != texts.len() {
                let hint = "write some of \"RS256\", \"PS256\" and \"ES256\"; no other is accepted";
                section.fault("algorithms", "names an algorithm that is not accepted", hint);
            }
            read
        }
    };
    let second = Duration::from_secs(1);
    let longest_life = section.duration("longest_life", second * 60, LONGEST).unwrap_or(ONE_HOUR);
    let refresh = section.duration("refresh", second, ONE_HOUR * 12).unwrap_or(FIVE_MINUTES);
    let tables = section.sections("subjects");
    if tables.is_empty() && !section.has("subjects") {
        let hint =
            "add an [[issuers.subjects]] table with `subject`, `name` and `grants`: without one nobody is let in";
        section.fault("subjects", "is missing", hint);
    }
    let mut subjects: Vec<ConfiguredSubject> = Vec::new();
    for mut table in tables {
        let name = caller_name(&mut table, names);
        let subject = table.required("subject", "write the subject as tokens name it in `sub`; a * may end it");
        let subject = subject.and_then(|text| {
            let read = text.parse::<SubjectPattern>();
            if let Err(why) = &read {
                table.fault("subject", "is not a subject", why.to_string());
            }
            read.ok()
        });
        let grants = grants(&mut table);
        if let (Some(name), Some(subject)) = (name, subject) {
            if subjects.iter().any(|other| other.subject == subject) {
                table.fault("subject", "is given to two callers", "whose name would the audit carry? Remove one");
            }
            subjects.push(ConfiguredSubject { subject, name, grants });
        }
        table.close();
    }
    section.close();
    Some(ConfiguredIssuer {
        issuer: issuer?.to_owned(),
        audience: audience?.to_owned(),
        jwks,
        trust,
        algorithms,
        longest_life,
        refresh,
        subjects,
    })
}

/// An address that may be asked: https, nothing beside host and path, and not the machine's own metadata service by number.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = match url.host()? {
        Host::Domain(name) => !name.is_empty(),
        Host::Ipv4(v4) => outbound::is_a_host(v4.into()),
        Host::Ipv6(v6) => outbound::is_a_host(v6.into()),
    };
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    (url.scheme() == "https" && host && bare).then_some(url)
}
