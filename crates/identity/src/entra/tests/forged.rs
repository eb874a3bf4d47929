//! Forged and misused id_tokens: each is refused by its own rule, and passes once that rule is left out.

use azure_emulator::{Fault, IdTokenFault as F, KeySetFault, Operation, Scope};

use super::*;
use crate::entra::{IdTokenRefused, Rule};

/// What is wrong, by which rule it is refused, and which rules have to be left out for it to pass: more than the first one where
/// another stands behind it.
const TABLE: &[(F, &[Rule])] = &[
    (F::AlgorithmNone, &[Rule::Algorithm]),
    (F::HmacWithPublicKey, &[Rule::Algorithm]),
    (F::ClaimsTouched, &[Rule::Signature]),
    (F::StrangersKey, &[Rule::Signature]),
    (F::KeyOfAnotherIssuer, &[Rule::KeyIssuer]),
    (F::UnknownKid, &[Rule::KeyKnown]),
    (F::NoKid, &[Rule::KeyId, Rule::KeyKnown]),
    (F::Critical, &[Rule::Extensions]),
    (F::WrongAudience, &[Rule::Audience]),
    (F::WrongIssuer, &[Rule::Issuer]),
    (F::IssuerOfAnotherTenant, &[Rule::Issuer]),
    (F::AnotherTenant, &[Rule::Tenant]),
    (F::PersonalTenant, &[Rule::NotPersonal, Rule::Tenant]),
    (F::TenantNoGuid, &[Rule::TenantForm, Rule::Tenant]),
    (F::NoTenant, &[Rule::TenantForm, Rule::Tenant, Rule::Issuer]),
    (F::WrongNonce, &[Rule::Nonce]),
    (F::NoNonce, &[Rule::Nonce]),
    (F::Expired, &[Rule::Expiry]),
    (F::NoExpiry, &[Rule::Expiry]),
    (F::NotYetValid, &[Rule::NotBefore]),
    (F::IssuedAhead, &[Rule::IssuedAt]),
    (F::VersionOne, &[Rule::Version]),
    (F::NoObject, &[Rule::ObjectId]),
    (F::Guest, &[Rule::NotAGuest]),
    (F::NoAccountKind, &[Rule::AccountKind]),
    (F::NotAdministrator, &[Rule::Administrator]),
    (F::AdministratorsMail, &[Rule::Administrator]),
    (F::NoRoles, &[Rule::RolesSaid, Rule::Administrator]),
    (F::GroupsOverage, &[Rule::GroupsInFull]),
    (F::Oversized, &[Rule::Size, Rule::Ambiguity]),
    (F::DeeplyNested, &[Rule::Ambiguity]),
    (F::ClaimTwice, &[Rule::Ambiguity]),
];

/// Each forged token is refused by the rule that is for it. With that rule left out it signs somebody in: so the rule is what
/// refuses it, and the test would notice its loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_forged_token_is_refused_by_its_own_rule_and_by_that_alone() {
    let mut world = World::start().await;
    let token = Scope::everywhere().operation(Operation::Token);
    world.sign_in(owner()).await.unwrap();
    for (fault, rules) in TABLE {
        let on = world.emulator.faults().switch_on(Fault::IdToken(*fault), token.clone());
        // An unknown key id may make us ask again only when the pause is over.
        world.clock.pass(31);
        let refused = world.sign_in(owner()).await;
        assert_eq!(refused, Err(IdTokenRefused { rule: rules[0] }.into()), "{fault:?}");
        for left_out in 0..rules.len() {
            world.directory.rules.without = rules[..=left_out].to_vec();
            let outcome = world.sign_in(owner()).await;
            let passes = left_out + 1 == rules.len();
            assert_eq!(outcome.is_ok(), passes, "{fault:?} without {:?}: {outcome:?}", &rules[..=left_out]);
        }
        world.directory.rules.without.clear();
        world.emulator.faults().clear(on);
        world.sign_in(owner()).await.unwrap_or_else(|why| panic!("after {fault:?}: {why:?}"));
    }
    assert!(TABLE.len() >= 20);
    let missing: Vec<_> = F::ALL.iter().filter(|f| **f != F::Garbage && !TABLE.iter().any(|(t, _)| t == *f)).collect();
    assert!(missing.is_empty(), "{missing:?} is tried by nobody");
}

/// What is no token at all is refused before anything of it is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_token_is_refused() {
    let world = World::start().await;
    world.emulator.faults().switch_on(Fault::IdToken(F::Garbage), Scope::everywhere());
    assert_eq!(world.sign_in(owner()).await, Err(IdTokenRefused { rule: Rule::Form }.into()));
}

/// Keys that belong to another issuer, or do not say whose they are, sign nobody in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_not_the_directorys_sign_nobody_in() {
    for fault in [KeySetFault::AnotherIssuers, KeySetFault::NoIssuer] {
        let world = World::start().await;
        world.emulator.faults().switch_on(Fault::Keys(fault), Scope::everywhere());
        let refused = world.sign_in(owner()).await;
        assert_eq!(refused, Err(IdTokenRefused { rule: Rule::KeyIssuer }.into()), "{fault:?}");
    }
}

/// A forger learns the same from each broken rule of the signature and of the token's form: one reason, one remedy.
#[test]
fn what_a_forger_broke_is_not_told_apart() {
    let forger = [Rule::Algorithm, Rule::KeyKnown, Rule::Signature, Rule::KeyIssuer, Rule::Audience, Rule::Issuer];
    for rule in forger {
        let refused: DirectoryRefused = IdTokenRefused { rule }.into();
        assert_eq!(refused.reason(), domain::Reason::SignInUntrusted);
        assert!(refused.is_suspicious());
    }
}
