//! What a delivery says, as far as anybody here listens to it.

use serde::Deserialize;

/// The most events of one delivery.
const MOST_EVENTS: usize = 100;
const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";
const NEW_VERSION: &str = "Microsoft.KeyVault.KeyNewVersionCreated";

/// A delivery that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Whether this place wants events. Answered with the code alone.
    Handshake {
        /// Letters, digits and hyphens.
        code: String,
    },
    /// The keys that are said to have a new version; none in a delivery about anything else.
    Events(Vec<Named>),
}

/// A key as an event names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) vault: String,
    pub(super) key: String,
}

/// In the Event Grid schema (`eventType`) or as a CloudEvent (`type`), whose `data` is the same.
#[derive(Deserialize)]
struct Event {
    #[serde(alias = "eventType", rename = "type")]
    kind: String,
    #[serde(default)]
    data: Option<Data>,
}

/// Event Grid writes the names of fields in either case.
#[derive(Deserialize, Default)]
struct Data {
    #[serde(default, rename = "VaultName", alias = "vaultName")]
    vault: Option<String>,
    #[serde(default, rename = "ObjectName", alias = "objectName")]
    key: Option<String>,
    #[serde(default, rename = "validationCode", alias = "ValidationCode")]
    code: Option<String>,
}

/// `None`: not a delivery of Event Grid. What its events carry beside names and a code is not read, however it looks.
pub(super) fn read(body: &[u8]) -> Option<Delivery> {
    // Said by the first byte, so that an error inside one form is not tried as the other.
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
    let events: Vec<Event> = match first {
        b'[' => serde_json::from_slice(body).ok()?,
        b'{' => vec![serde_json::from_slice(body).ok()?],
        _ => return None,
    };
    if events.is_empty() || events.len() > MOST_EVENTS {
        return None;
    }
    if events.iter().any(|event| event.kind.eq_ignore_ascii_case(VALIDATION)) {
        let [Event { data: Some(Data { code: Some(code), .. }), .. }] = &events[..] else { return None };
        let sound = (1..=128).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        return sound.then(|| Delivery::Handshake { code: code.clone() });
    }
    let named = events.into_iter().filter(|event| event.kind.eq_ignore_ascii_case(NEW_VERSION)).filter_map(|event| {
        let Data { vault, key, .. } = event.data?;
        Some(Named { vault: vault?, key: key? })
    });
    Some(Delivery::Events(named.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_version(kind: &str, vault: &str) -> String {
        format!(
            r#"{{"id":"1","topic":"/subscriptions/s/providers/Microsoft.KeyVault/vaults/{vault}","subject":"byok",
                "{kind}":"{NEW_VERSION}","eventTime":"2026-01-01T00:00:00Z","dataVersion":"1",
                "data":{{"Id":"https://{vault}.vault.azure.net/keys/byok/0","VaultName":"{vault}","ObjectType":"Key",
                "ObjectName":"byok","Version":"0","NBF":null,"EXP":1}}}}"#
        )
    }

    fn named(vault: &str) -> Named {
        Named { vault: vault.into(), key: "byok".into() }
    }

    /// Both schemas name a key, one by one or in a batch; what is about something else is understood and names none.
    #[test]
    fn events_name_keys() {
        let batch = format!("[{},{}]", new_version("eventType", "contoso-kv"), new_version("eventType", "other"));
        assert_eq!(read(batch.as_bytes()), Some(Delivery::Events(vec![named("contoso-kv"), named("other")])));
        let cloud = new_version("type", "contoso-kv");
        assert_eq!(read(cloud.as_bytes()), Some(Delivery::Events(vec![named("contoso-kv")])));
        for other in [
            r#"[{"eventType":"Microsoft.KeyVault.KeyNearExpiry","data":{"VaultName":"v","ObjectName":"k"}}]"#,
            r#"[{"eventType":"Microsoft.KeyVault.KeyNewVersionCreated"}]"#,
            r#"[{"eventType":"Microsoft.KeyVault.KeyNewVersionCreated","data":{"VaultName":"v"}}]"#,
        ] {
            assert_eq!(read(other.as_bytes()), Some(Delivery::Events(Vec::new())), "{other}");
        }
    }

    /// A handshake is its code and nothing else: alone, and nothing that would have to be escaped.
    #[test]
    fn a_handshake_is_its_code() {
        let shake = |code: &str| {
            format!(
                r#"{{"eventType":"{VALIDATION}","data":{{"validationCode":"{code}","validationUrl":"https://example"}}}}"#
            )
        };
        let good = format!("[{}]", shake("512d38b6-c7b8-40c8-89fe-f46f9e9622b6"));
        let code = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6".to_owned();
        assert_eq!(read(good.as_bytes()), Some(Delivery::Handshake { code }));
        let long = "a".repeat(129);
        for bad in ["", "a\\\"b", "<b>", long.as_str()] {
            assert_eq!(read(format!("[{}]", shake(bad)).as_bytes()), None, "{bad}");
        }
        assert_eq!(read(format!("[{},{}]", shake("a"), shake("b")).as_bytes()), None, "two at once");
    }

    /// What is no delivery is none, however deep, long or odd it is.
    #[test]
    fn what_is_no_delivery_is_refused() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let deep_inside = format!(r#"[{{"eventType":"x","other":{deep}}}]"#);
        let many = format!("[{}]", vec![r#"{"type":"x"}"#; MOST_EVENTS + 1].join(","));
        let bad = [
            "",
            " ",
            "[]",
            "{}",
            "null",
            "7",
            "\"x\"",
            "[{}]",
            "[[]]",
            "[{\"eventType\":7}]",
            "{\"type\":\"x\"} x",
            "[{\"eventType\":\"x\",\"data\":\"text\"}]",
            &deep,
            &many,
        ];
        for bad in bad {
            assert_eq!(read(bad.as_bytes()), None, "{}", &bad[..bad.len().min(60)]);
        }
        assert_eq!(read(&[b'[', 0xff, 0xfe]), None);
        // Where nobody looks it is passed over, without going deeper for it.
        assert_eq!(read(deep_inside.as_bytes()), Some(Delivery::Events(Vec::new())));
    }
}
