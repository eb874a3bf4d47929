//! The deciding function against a second one that knows nothing of it: a million callers and targets.

use domain::permission::{self, Action, Caller, Grant, NotPermitted, Pattern, Permit, Role, Target, Verb, permit};

/// What the roles may do, written down a second time by hand: an action that slips into a role must slip into both.
const ROLES: [(&str, &str); 5] = [
    ("platform-service", "data.encrypt data.decrypt data.reencrypt key.read_selection"),
    (
        "platform-operator",
        "workspaces.create workspaces.read workspaces.delete apps.change apps.read apps.validate operations.read \
         operations.cancel key.read key.read_selection key.revoke key.rotate key.rotate_data_keys usage.read audit.read audit.checkpoint tenant.read",
    ),
    (
        "workspace-owner",
        "workspaces.read apps.read apps.validate key.configure key.read key.schedule key.select_apps key.read_selection \
         key.revoke key.restore key.test key.export key.rotate key.rotate_data_keys operations.read operations.cancel \
         usage.read audit.read audit.checkpoint operations.decide key.replace key.leave key.destroy_data_key tenant.read tenant.connect tenant.disconnect",
    ),
    (
        "workspace-admin",
        "workspaces.read apps.read apps.validate key.configure key.read key.schedule key.select_apps key.read_selection \
         key.revoke key.restore key.test key.rotate key.rotate_data_keys operations.read operations.cancel usage.read audit.read audit.checkpoint tenant.read tenant.connect",
    ),
    (
        "auditor",
        "workspaces.read apps.read key.read key.read_selection operations.read usage.read audit.read audit.checkpoint tenant.read",
    ),
];

/// Ids that begin alike, so that a pattern that reaches too far is noticed.
const WORKSPACES: [&str; 8] = ["acme", "acme-eu", "acme-eu-2", "acme-us", "acmecorp", "acm", "contoso", "acme-e"];
const APPS: [&str; 6] = ["bot", "support-bot", "support", "support-bot-2", "supporters", "sales-bot"];
const WORKSPACE_PATTERNS: [&str; 8] = ["*", "acme", "acme-*", "acme-eu-*", "contoso", "acm", "acme-e-*", "acme-eu"];
const APP_PATTERNS: [&str; 6] = ["*", "*", "bot", "support-*", "support-bot", "sales-bot"];

/// xorshift64*: a million pairs that are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

fn any_grant(dice: &mut Dice) -> String {
    let what = match dice.roll(10) {
        0 => "*",
        1..5 => ROLES[dice.roll(ROLES.len())].0,
        _ => Verb::ALL[dice.roll(Verb::ALL.len())].as_str(),
    };
    loop {
        let text = match dice.roll(4) {
            0 => what.to_owned(),
            1 => format!("{what}@{}", dice.one(&WORKSPACE_PATTERNS)),
            _ => format!("{what}@{}/{}", dice.one(&WORKSPACE_PATTERNS), dice.one(&APP_PATTERNS)),
        };
        if text.parse::<Grant>().is_ok() {
            return text;
        }
    }
}

/// A target as words: nothing, a workspace, or a workspace and an app.
type Place = (Option<&'static str>, Option<&'static str>);

fn pattern_covers(pattern: &str, id: &str) -> bool {
    match pattern.split_once('*') {
        Some((beginning, _)) => id.starts_with(beginning) && (beginning.is_empty() || id != beginning),
        None => pattern == id,
    }
}

/// Whether a grant's text is for a target, by its words.
fn is_for(grant: &str, (workspace, app): Place) -> bool {
    let place = grant.split_once('@').map_or("*/*", |(_, place)| place);
    let (workspaces, apps) = place.split_once('/').unwrap_or((place, "*"));
    match (workspace, app) {
        (None, _) => workspaces == "*" && apps == "*",
        (Some(workspace), None) => apps == "*" && pattern_covers(workspaces, workspace),
        (Some(workspace), Some(app)) => pattern_covers(workspaces, workspace) && pattern_covers(apps, app),
    }
}

fn names(grant: &str, verb: &str) -> bool {
    let what = grant.split_once('@').map_or(grant, |(what, _)| what);
    match ROLES.iter().find(|(role, _)| *role == what) {
        Some((_, verbs)) => verbs.split_whitespace().any(|of| of == verb),
        None => what == "*" || what == verb,
    }
}

/// The answer as words: yes, yes as a person, what is missing, or nothing there.
fn expected(grants: &[String], verb: Verb, place: Place) -> &'static str {
    let permitting: Vec<&String> =
        grants.iter().filter(|grant| is_for(grant, place) && names(grant, verb.as_str())).collect();
    let as_service = permitting.iter().any(|grant| grant.starts_with("platform-service"));
    match (permitting.is_empty(), grants.iter().any(|grant| is_for(grant, place)) || place.0.is_none()) {
        (false, _) if verb.as_str().starts_with("data.") && !as_service => "as a person",
        (false, _) => "yes",
        (true, true) => "not granted",
        (true, false) => "not there",
    }
}

fn said<A: Action>(decided: Result<Permit<A>, NotPermitted>) -> &'static str {
    match decided {
        Ok(permit) if permit.is_personal() => "as a person",
        Ok(_) => "yes",
        Err(NotPermitted::NotGranted(verb)) if verb == A::VERB => "not granted",
        Err(NotPermitted::NotGranted(_)) => "another action",
        Err(NotPermitted::NotThere) => "not there",
    }
}

macro_rules! deciders {
    ($($action:ident)*) => {
        /// Asks the one function for an action that is known only now.
        fn decide(caller: &Caller, verb: Verb, target: Target) -> &'static str {
            match verb { $(Verb::$action => said(permit::<permission::$action>(caller, target)),)* }
        }
    };
}

deciders! {
    Encrypt Decrypt ReEncrypt CreateWorkspace ReadWorkspaces DeleteWorkspace ChangeApps ReadApps ConfigureKey ReadKey
    ScheduleEnforcement SelectApps ReadSelection RevokeKey RestoreKey TestKey ExportWrappedKeys RotateKey RotateDataKeys
    ReadOperations CancelOperation ValidateApp ReadUsage DecideOperation ReplaceKey LeaveCustomerKey DestroyDataKey
    ReadAudit MakeCheckpoint ReadConnection ConnectTenant DisconnectTenants
}

fn target((workspace, app): Place) -> Target {
    let workspace = workspace.map(|id| id.parse().unwrap());
    match (workspace, app) {
        (None, _) => Target::Platform,
        (Some(workspace), None) => Target::Workspace(workspace),
        (Some(workspace), Some(app)) => Target::App(workspace, app.parse().unwrap()),
    }
}

/// I-14: of a million callers and targets none is answered otherwise than by a reading of the words of its grants.
#[test]
fn of_a_million_callers_and_targets_none_is_served_across() {
    let mut dice = Dice(0x5EED_0F00_D001_CA11);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..50_000 {
        let grants: Vec<String> = (0..=dice.roll(3)).map(|_| any_grant(&mut dice)).collect();
        let parsed: Vec<Grant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        let caller = Caller::new("somebody", &parsed);
        for _ in 0..20 {
            let place = match dice.roll(8) {
                0 => (None, None),
                1..4 => (Some(dice.one(&WORKSPACES)), None),
                _ => (Some(dice.one(&WORKSPACES)), Some(dice.one(&APPS))),
            };
            let verb = Verb::ALL[dice.roll(Verb::ALL.len())];
            let (found, wanted) = (decide(&caller, verb, target(place)), expected(&grants, verb, place));
            assert_eq!(found, wanted, "{grants:?} {verb} {place:?}");
            *seen.entry(found).or_insert(0_u32) += 1;
        }
    }
    // Every answer was really given, many times.
    assert_eq!(seen.values().sum::<u32>(), 1_000_000);
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.values().all(|times| *times > 5_000), "{seen:?}");
}

/// The comparison notices a pattern that reaches one character too far: the reading of the words tells these apart.
#[test]
fn the_reading_of_the_words_tells_neighbours_apart() {
    for (pattern, id, covers) in [
        ("acme-*", "acme-eu", true),
        ("acme-*", "acme", false),
        ("acme-*", "acmecorp", false),
        ("acme", "acme-eu", false),
        ("*", "acme", true),
    ] {
        assert_eq!(pattern_covers(pattern, id), covers, "{pattern} {id}");
        let parsed: Pattern = match pattern {
            "*" => Pattern::Any,
            text => match text.strip_suffix('*') {
                Some(beginning) => Pattern::Beginning(beginning.into()),
                None => Pattern::Exactly(text.into()),
            },
        };
        assert_eq!(parsed.covers(id), covers, "{pattern} {id}");
    }
    assert_eq!(Role::ALL.len(), ROLES.len());
}
