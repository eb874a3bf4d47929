//! The workspaces, keys and events the promises are tried on.

use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind};
use domain::key_config::VersionChoices;
use domain::key_test::{Step, StepResult, StepState};
use domain::operation::{Operation, OperationId, OperationKind};
use domain::{
    App, AppId, AppKind, BootId, Cloud, ConfigHash, DataKey, DataKeyId, DataKeyState, KeyConfig, KeyLocation, KeyTest,
    KeyTestId, KeyUsage, KeyVersion, KeyVersionId, PlatformKeyId, Protection, Reason, StoredCredential, Tally,
    Timestamp, Traffic, Workspace, WorkspaceId, WrapScheme, Wrapping, WrappingKey,
};

use domain::key_life::{
    AppSelection, Armed, Cause, Draft, EnforceAt, Enforcement, Held, KeyLife, PassingTest, Plan, Policy, Rehearsal,
    Revocation, Scheduled,
};

use crate::Store;

/// A point in time, `n` microseconds after a fixed one.
pub fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + n)
}

/// A workspace's id.
pub fn workspace_id(name: &str) -> WorkspaceId {
    name.parse().expect("samples have well-formed ids")
}

/// An app's id.
pub fn app_id(name: &str) -> AppId {
    name.parse().expect("samples have well-formed ids")
}

/// A live workspace.
pub fn workspace(name: &str) -> Workspace {
    Workspace {
        id: workspace_id(name),
        display_name: format!("The {name} company"),
        created_at: at(1),
        deleted_at: None,
    }
}

/// A live app.
pub fn app(workspace: &str, name: &str) -> App {
    App {
        workspace: workspace_id(workspace),
        id: app_id(name),
        kind: AppKind::App,
        display_name: format!("{name} of {workspace}"),
        created_at: at(2),
        deleted_at: None,
    }
}

/// The `n`th version of the workspace's customer key.
pub fn key_version(workspace: &str, n: u8) -> KeyVersion {
    let id = KeyVersionId::from_bytes([n; 16]);
    KeyVersion {
        workspace: workspace_id(workspace),
        id,
        location: location(workspace).at(id),
        modulus: vec![n | 0x80; 256],
        exponent: vec![1, 0, 1],
        thumbprint: [n; 32],
        hsm: n.is_multiple_of(2),
        recorded_at: at(i64::from(n)),
        tenant: None,
    }
}

fn location(workspace: &str) -> KeyLocation {
    KeyLocation::from_parts(Cloud::Public, &format!("{workspace}-kv"), "byok").expect("samples have well-formed vaults")
}

/// The workspace's key configuration with its `n`th version, in wrap epoch `n`.
pub fn key_config(workspace: &str, n: u8) -> KeyConfig {
    KeyConfig {
        workspace: workspace_id(workspace),
        location: location(workspace),
        tenant: "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().expect("a well-formed GUID"),
        current_version: KeyVersionId::from_bytes([n; 16]),
        wrap_epoch: u64::from(n),
        lease: Duration::from_secs(300),
        configured_at: at(i64::from(n)),
        left_at: None,
        choices: VersionChoices::default(),
    }
}

/// The `n`th test of the workspace's configuration: it failed at the key.
pub fn key_test(workspace: &str, n: u8) -> KeyTest {
    let config = key_config(workspace, 1);
    let started_at = at(i64::from(n) * 1_000_000);
    let step = |step: &Step| match step {
        Step::Key => StepResult {
            state: StepState::Failed,
            duration: Duration::from_micros(60_000 + u64::from(n)),
            finding: "the version is disabled".to_owned(),
            reason: Some(Reason::KeyDisabled),
            remedy: Some(Reason::KeyDisabled.remedy().to_owned()),
            command: Some("az keyvault key set-attributes --enabled true".to_owned()),
            ..StepResult::not_run(*step)
        },
        earlier if *earlier < Step::Key => StepResult { state: StepState::Passed, ..StepResult::not_run(*step) },
        _ => StepResult::not_run(*step),
    };
    KeyTest {
        id: KeyTestId::new(started_at, [n; 10]),
        workspace: config.workspace.clone(),
        config_hash: ConfigHash::of(&config.workspace, &config.location, &config.tenant, Some(config.current_version)),
        started_at,
        finished_at: at(i64::from(n) * 1_000_000 + 500_000),
        steps: Step::ALL.iter().map(step).collect(),
    }
}

/// A data key's id.
pub fn data_key_id(n: u64) -> DataKeyId {
    let mut bytes = [0xd0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    DataKeyId::from_bytes(bytes)
}

/// A pending data key under the workspace's first key version, with its wrapping.
pub fn customer_key(workspace: &str, app: &str, n: u64) -> (DataKey, Wrapping) {
    let key = data_key(workspace, app, n, Protection::CustomerKey, 1);
    let wrapped_by = WrappingKey::Customer(KeyVersionId::from_bytes([1; 16]));
    let wrapping = wrapping(&key, wrapped_by, WrapScheme::RsaOaep256);
    (key, wrapping)
}

/// A pending data key under the platform's key, with its wrapping.
pub fn platform_key(workspace: &str, app: &str, n: u64) -> (DataKey, Wrapping) {
    let key = data_key(workspace, app, n, Protection::PlatformKey, 0);
    let wrapped_by = WrappingKey::Platform(PlatformKeyId::from_bytes([9; 16]));
    let wrapping = wrapping(&key, wrapped_by, WrapScheme::PlatformAesGcm);
    (key, wrapping)
}

fn data_key(workspace: &str, app: &str, n: u64, protection: Protection, wrap_epoch: u64) -> DataKey {
    DataKey {
        workspace: workspace_id(workspace),
        app: app_id(app),
        id: data_key_id(n),
        protection,
        state: DataKeyState::Pending,
        key_check_value: [n.to_be_bytes()[7]; 16],
        wrap_epoch,
        created_at: at(3),
        activated_at: None,
        retired_at: None,
        destroyed_at: None,
    }
}

fn wrapping(key: &DataKey, wrapped_by: WrappingKey, scheme: WrapScheme) -> Wrapping {
    Wrapping {
        workspace: key.workspace.clone(),
        data_key: key.id,
        wrapped_by,
        scheme,
        sealed_blob: vec![key.key_check_value[0]; 300],
        created_at: key.created_at,
    }
}

/// The `n`th data key's wrapping by the workspace's second key version, made at `time`.
pub fn rewrapped(workspace: &str, n: u64, time: i64) -> Wrapping {
    Wrapping {
        workspace: workspace_id(workspace),
        data_key: data_key_id(n),
        wrapped_by: WrappingKey::Customer(KeyVersionId::from_bytes([2; 16])),
        scheme: WrapScheme::RsaOaep256,
        sealed_blob: vec![0x5e; 300],
        created_at: at(time),
    }
}

/// The `n`th operation of a workspace, planned: a rotation from its first key version to its second.
pub fn rotation(workspace: &str, n: u8) -> Operation {
    let (from, to) = (KeyVersionId::from_bytes([1; 16]), KeyVersionId::from_bytes([2; 16]));
    let id = OperationId::new(at(i64::from(n) * 1_000_000), [n; 10]);
    Operation::plan(id, workspace_id(workspace), OperationKind::RotateKey { from, to }, "ann", 3, at(5))
}

/// A life of a workspace's key in each of its states, all of them its first.
pub fn lives(workspace: &str) -> Vec<KeyLife> {
    let plan = |policy| {
        let local = "2027-03-28T03:30:00";
        let kept = EnforceAt::kept(local, "Europe/Berlin", Timestamp::from_micros(1_806_197_400_000_000));
        Plan { at: kept.expect("a local time and a zone"), policy }
    };
    let test = PassingTest::kept([7; 16], [8; 32], at(9));
    let states = [
        Enforcement::Draft(Draft { kept: None }),
        Enforcement::Draft(Draft { kept: Some(plan(Policy::Refuse)) }),
        Enforcement::Scheduled(Scheduled { plan: plan(Policy::Stay), test, rehearsed: Some(Rehearsal::Day) }),
        Enforcement::Held(Held { plan: plan(Policy::Refuse), why: domain::Reason::KeyDisabled, since: at(10) }),
        Enforcement::Armed(Armed { plan: plan(Policy::Stay), test }),
        Enforcement::InForce { since: at(11) },
    ];
    let mut lives: Vec<_> = states
        .into_iter()
        .map(|enforcement| KeyLife {
            workspace: workspace_id(workspace),
            change: 1,
            enforcement,
            revoked: None,
            every_app: true,
            changed_at: at(12),
        })
        .collect();
    let revoked = Some(Revocation { cause: Cause::KillSwitch, since: at(13) });
    let last = lives[lives.len() - 1].clone();
    lives.push(KeyLife { revoked, every_app: false, ..last });
    lives
}

/// An app that was selected, or taken out.
pub fn app_selection(workspace: &str, app: &str, selected: bool) -> AppSelection {
    AppSelection { workspace: workspace_id(workspace), app: app_id(app), selected, changed_at: at(14) }
}

/// What one replica counted in all under the workspace's `n`th data key, which is under the customer's key if `n` is odd.
pub fn usage(workspace: &str, app: &str, n: u64, seals: u64) -> KeyUsage {
    let tally = Tally { seals, sealed_bytes: 100 * seals, opens: 1, opened_bytes: 100 };
    let protection = if n.is_multiple_of(2) { Protection::PlatformKey } else { Protection::CustomerKey };
    KeyUsage {
        workspace: workspace_id(workspace),
        app: app_id(app),
        data_key: data_key_id(n),
        protection,
        hour: None,
        boot: BootId::from_bytes([0xb0; 16]),
        flush: 1,
        traffic: Traffic::between(at(10), at(10 + i64::try_from(seals).unwrap_or(0)), tally),
    }
}

/// The `n`th credential of an app, under the workspace's first data key.
pub fn credential(workspace: &str, app: &str, n: u8) -> StoredCredential {
    StoredCredential {
        workspace: workspace_id(workspace),
        app: app_id(app),
        data_key: data_key_id(1),
        protection: Protection::CustomerKey,
        ciphertext: vec![n; 140],
        stored_at: at(i64::from(n)),
    }
}

/// An event of a workspace's chain, or of the platform's.
pub fn event(workspace: Option<&str>, count: u64) -> AuditEvent {
    AuditEvent {
        workspace: workspace.map(workspace_id),
        at: at(4),
        actor: "ann".to_owned(),
        what: AuditKind::WrappedKeysExported { count },
    }
}

/// Fills a database: each workspace with these apps, two key versions, a configuration in wrap epoch 1 and one event.
pub async fn furnish(store: &dyn Store, workspaces: &[&str], apps: &[&str]) {
    let mut tx = store.begin("furnish").await.expect("a transaction");
    for name in workspaces {
        tx.put_workspace(&workspace(name)).await.expect("a workspace");
        for id in apps {
            tx.put_app(&app(name, id)).await.expect("an app");
        }
        for n in [1, 2] {
            tx.add_key_version(&key_version(name, n)).await.expect("a key version");
        }
        tx.put_key_config(&key_config(name, 1)).await.expect("a key configuration");
        tx.append_audit(event(Some(name), 0)).await.expect("an event");
    }
    tx.commit().await.expect("a commit");
}
