//! What an operator reads: every figure is on the list, the list is in the documentation, and what is told is so.

use domain::{Reason, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use service::figures::{self, FIGURES};
use testkit::World;

/// The value of a figure with these labels, as it is told.
fn told(text: &str, figure: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' ')?.parse().ok())
}

/// A vault's calls, a denial, a failed test and everything that is read where it stands are told under names of the list, with
/// nothing of a customer but the workspace.
#[tokio::test]
async fn what_happens_is_told_under_names_of_the_list() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let world = World::start();
    world.service.tell_figures().await;
    let quiet = handle.render();
    assert_eq!(told(&quiet, "byokd_lease_seconds_left"), Some(f64::INFINITY), "{quiet}");

    let acme = world.workspace("acme").await;
    let version = acme.connect_key().await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    world.service.tell_figures().await;
    let busy = handle.render();
    assert_eq!(told(&busy, "byokd_open_data_keys"), Some(1.0), "{busy}");
    assert!(told(&busy, "byokd_lease_seconds_left").is_some_and(|left| (1.0..=300.0).contains(&left)), "{busy}");
    assert!(told(&busy, "byokd_store_revision").is_some_and(|commits| commits > 3.0), "{busy}");
    assert_eq!(told(&busy, r#"byokd_operations_open{state="running"}"#), Some(0.0), "{busy}");
    assert_eq!(told(&busy, "byokd_denials_total"), None);

    world.vault.disable(&acme.key(), version);
    let cold = bot.through(&world.another_service());
    assert_eq!(cold.decrypt(&sealed).await.unwrap_err().reason(), Reason::KeyDisabled);
    acme.test_key().await.unwrap();
    figures::refused(Reason::KeyDisabled);
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let in_a_day = Timestamp::from_micros(now.micros() + 86_400_000_000);
    figures::certificate_ends("tls/cert.pem", in_a_day, now);
    figures::credential_ends(&"acme".parse().unwrap(), "first", now, in_a_day);
    let text = handle.render();
    for (figure, at_least) in [
        (r#"byokd_denials_total{workspace="acme",reason="KEY_DISABLED"}"#, 1.0),
        (r#"byokd_vault_calls_total{purpose="wrap",outcome="done"}"#, 1.0),
        (r#"byokd_vault_calls_total{purpose="unwrap",outcome="denied"}"#, 1.0),
        (r#"byokd_requests_refused_total{reason="KEY_DISABLED"}"#, 1.0),
        (r#"byokd_key_tests_failed_total{reason="OWNERSHIP_NOT_PROVEN"}"#, 1.0),
        (r#"byokd_certificate_seconds_left{listener="tls/cert.pem"}"#, 86_400.0),
    ] {
        assert!(told(&text, figure).is_some_and(|value| value >= at_least), "{figure} is not in {text}");
    }
    let ended = told(&text, r#"byokd_credential_seconds_left{workspace="acme",slot="first"}"#);
    assert_eq!(ended, Some(-86_400.0), "{text}");

    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let known = FIGURES.iter().find(|figure| figure.name == name);
        // Without buckets, as here, a histogram is told as a summary.
        let kind = if kind == "summary" { "histogram" } else { kind };
        assert_eq!(known.map(|figure| figure.kind), Some(kind), "{name} is not on the list");
    }
    let labels: std::collections::BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once('{')?.1.split_once('}'))
        .flat_map(|(labels, _)| labels.split(','))
        .filter_map(|label| Some(label.split_once('=')?.0))
        .collect();
    let allowed = ["purpose", "outcome", "reason", "workspace", "state", "listener", "slot", "quantile"];
    assert!(labels.iter().all(|label| allowed.contains(label)), "{labels:?}");
    for secret in ["bot", "8a3c0e5b", "vault.azure.net", &version.to_string()] {
        assert!(!text.contains(secret), "{secret} is told");
    }
}

/// docs/metrics.md has exactly the figures of the program, in their order and in their words.
#[test]
fn the_documentation_has_every_figure() {
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md")).unwrap();
    let rows: Vec<_> = documented.lines().filter(|line| line.starts_with("| `byokd_")).collect();
    let listed: Vec<_> =
        FIGURES.iter().map(|f| format!("| `{}` | {} | {} | {} |", f.name, f.kind, f.labels, f.what)).collect();
    assert_eq!(rows, listed);
    for (at, figure) in FIGURES.iter().enumerate() {
        assert!(FIGURES[..at].iter().all(|other| other.name != figure.name), "{} is there twice", figure.name);
        assert_eq!(figure.kind == "counter", figure.name.ends_with("_total"), "{}", figure.name);
    }
}
