//! What an operator reads: every figure is on the list, the list is in the documentation, and what is told is so.

use std::time::Duration;

use domain::permission::{Caller, ChangeCredentials, Target, permit};
use domain::{Reason, Timestamp};
use metrics_exporter_prometheus::PrometheusBuilder;
use service::figures::{self, FIGURES};
use service::{AddSecret, PlatformCertificate};
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

/// When credentials end is told by who looks for their expiry: of every slot that holds one, long before a notice is due; a slot that
/// was freed and a workspace that was deleted do not stay with what they held, and the platform's own certificate is told too.
#[tokio::test]
async fn when_credentials_end_is_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = World::start();
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let may = || permit::<ChangeCredentials>(&Caller::platform("tester"), Target::Workspace(acme.id.clone())).unwrap();
    let day = Duration::from_secs(86_400);
    let add = async |days: u32| {
        let (value, client_id) =
            ("canary8Q~0123456789abcdefWXYZ".to_owned(), "11111111-2222-4333-8444-555555555555".into());
        let expires_at = world.now().saturating_add(day * days);
        let request = AddSecret { client_id, tenant: None, value: value.into(), expires_at };
        world.service.add_secret(&may(), request).await.unwrap().1
    };
    let own = PlatformCertificate { thumbprint: [7; 32], expires_at: world.now().saturating_add(day * 200) };
    let days = async |own| {
        world.service.notice_expiry(own).await.unwrap();
        let text = handle.render();
        let slot = |slot: &str| {
            told(&text, &format!(r#"byokd_credential_seconds_left{{workspace="acme",slot="{slot}"}}"#))
                .map(|left| left / 86_400.0)
        };
        (
            slot("first"),
            slot("second"),
            told(&text, "byokd_platform_certificate_seconds_left").map(|left| left / 86_400.0),
        )
    };
    assert_eq!(days(None).await, (None, None, None));
    let first = add(300).await;
    assert_eq!(days(Some(own)).await, (Some(300.0), Some(f64::INFINITY), Some(200.0)));
    add(350).await;
    world.clock.advance(day);
    assert_eq!(days(Some(own)).await, (Some(299.0), Some(349.0), Some(199.0)));
    world.service.remove_credential(&may(), first).await.unwrap();
    assert_eq!(days(Some(own)).await, (Some(349.0), Some(f64::INFINITY), Some(199.0)));
    // Told after its end as well, and until it is replaced.
    world.clock.advance(day * 350);
    assert_eq!(days(Some(own)).await, (Some(-1.0), Some(f64::INFINITY), Some(-151.0)));
    world.service.delete_workspace(&acme.may_delete()).await.unwrap();
    assert_eq!(days(Some(own)).await, (Some(f64::INFINITY), Some(f64::INFINITY), Some(-151.0)));
    for line in handle.render().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let known = FIGURES.iter().find(|figure| figure.name == name).map(|figure| figure.kind);
        assert!(known.is_some_and(|known| known == kind || known == "histogram"), "{name} is not on the list");
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
