//! Tokens and key sets that nobody may believe: what an attacker, or a directory gone wrong, would send.

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::entra::users::PERSONAL_ACCOUNTS;
use crate::exchange::Answer;
use crate::faults::{Fault, Met};
use crate::jwt::{b64, signed_part};
use crate::world::World;

macro_rules! kinds {
    ($(#[$of:meta])* $type:ident { $($(#[doc = $doc:literal])* $name:ident,)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $type { $($(#[doc = $doc])* $name,)* }

        impl $type {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

kinds! {
    /// What is wrong with an id_token. Everything else about it is right.
    IdTokenFault {
        /// `alg` is `none`, without a signature.
        AlgorithmNone,
        /// Signed with HMAC, the key being the directory's public key: modulus and exponent.
        HmacWithPublicKey,
        /// The signature is over other claims.
        ClaimsTouched,
        /// Signed by a stranger under the directory's own `kid`.
        StrangersKey,
        /// Signed by a key that is listed as another issuer's.
        KeyOfAnotherIssuer,
        /// The `kid` is listed nowhere.
        UnknownKid,
        /// No `kid`.
        NoKid,
        /// The header asks for an extension to be understood (`crit`).
        Critical,
        /// For another application.
        WrongAudience,
        /// Of a host that is no directory.
        WrongIssuer,
        /// `iss` of another tenant than `tid`.
        IssuerOfAnotherTenant,
        /// `tid` and `iss` of another tenant.
        AnotherTenant,
        /// `tid` and `iss` of personal accounts.
        PersonalTenant,
        /// `tid` is no GUID.
        TenantNoGuid,
        /// No `tid`.
        NoTenant,
        /// Another sign-in's `nonce`.
        WrongNonce,
        /// No `nonce`.
        NoNonce,
        /// Expired an hour ago.
        Expired,
        /// No `exp`.
        NoExpiry,
        /// Not valid for another hour.
        NotYetValid,
        /// Issued an hour from now.
        IssuedAhead,
        /// Of version 1.0.
        VersionOne,
        /// No `oid`.
        NoObject,
        /// `acct` says guest.
        Guest,
        /// No `acct`.
        NoAccountKind,
        /// `wids` without an administrator.
        NotAdministrator,
        /// No `wids`.
        NoRoles,
        /// So many groups that they are to be asked for elsewhere.
        GroupsOverage,
        /// E-mail address, name and UPN are an administrator's; the role is not.
        AdministratorsMail,
        /// 20 KiB.
        Oversized,
        /// A claim of 64 levels.
        DeeplyNested,
        /// `tid` twice, the right one last.
        ClaimTwice,
        /// Not a token.
        Garbage,
    }
}

kinds! {
    /// What is wrong with the key set. Tokens stay as they are.
    KeySetFault {
        /// 2 MiB of keys.
        Huge,
        /// No keys.
        Empty,
        /// No JSON.
        NotJson,
        /// The keys say to be another issuer's.
        AnotherIssuers,
        /// The keys do not say whose they are.
        NoIssuer,
        /// Every answer names its keys anew: no token's `kid` is ever there.
        EndlessRotation,
        /// A kid is two keys'.
        KidTwice,
    }
}

/// The id_token with these claims, as the faults that were met leave it.
pub(super) fn id_token(world: &World, met: &[Met], mut claims: Value) -> String {
    let fault = met.iter().find_map(|m| match m.fault {
        Fault::IdToken(fault) => Some(fault),
        Fault::Vault(_) | Fault::Entra(_) | Fault::Answer(_) | Fault::Wire(_) | Fault::Keys(_) => None,
    });
    let key = world.signer.newest();
    let mut header = key.header();
    let Some(fault) = fault else { return key.sign(&header, &claims) };
    let now = world.seconds();
    let other = "11111111-2222-4333-8444-555555555555";
    let host = claims["iss"].as_str().and_then(|iss| iss.split('/').nth(2)).unwrap_or_default().to_owned();
    let issuer = |tid: &str| json!(format!("https://{host}/{tid}/v2.0"));
    let absent = |claims: &mut Value, name: &str| {
        claims.as_object_mut().and_then(|all| all.remove(name));
    };
    match fault {
        IdTokenFault::AlgorithmNone => {
            header["alg"] = json!("none");
            return format!("{}.", signed_part(&header, &claims));
        }
        IdTokenFault::HmacWithPublicKey => {
            header["alg"] = json!("HS256");
            let signed = signed_part(&header, &claims);
            let public = [key.key.modulus(), key.key.exponent()].concat();
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), signed.as_bytes());
            return format!("{signed}.{}", b64(tag.as_ref()));
        }
        IdTokenFault::ClaimsTouched => {
            let signed = key.sign(&header, &claims);
            claims["wids"] = json!([crate::entra::users::GLOBAL_ADMINISTRATOR]);
            claims["touched"] = json!(true);
            let signature = signed.rsplit('.').next().unwrap_or_default();
            return format!("{}.{signature}", signed_part(&header, &claims));
        }
        IdTokenFault::StrangersKey | IdTokenFault::KeyOfAnotherIssuer => {
            let Some(stranger) = world.signer.stranger() else { return String::new() };
            if fault == IdTokenFault::KeyOfAnotherIssuer {
                header = stranger.header();
            }
            return stranger.sign(&header, &claims);
        }
        IdTokenFault::UnknownKid => header["kid"] = json!(world.random.version()),
        IdTokenFault::NoKid => absent(&mut header, "kid"),
        IdTokenFault::Critical => {
            header["crit"] = json!(["exp"]);
        }
        IdTokenFault::WrongAudience => claims["aud"] = json!(other),
        IdTokenFault::WrongIssuer => {
            claims["iss"] = json!(format!("https://login.example/{}/v2.0", claims["tid"].as_str().unwrap_or_default()));
        }
        IdTokenFault::IssuerOfAnotherTenant => claims["iss"] = issuer(other),
        IdTokenFault::AnotherTenant => (claims["tid"], claims["iss"]) = (json!(other), issuer(other)),
        IdTokenFault::PersonalTenant => {
            (claims["tid"], claims["iss"]) = (json!(PERSONAL_ACCOUNTS), issuer(PERSONAL_ACCOUNTS));
        }
        IdTokenFault::TenantNoGuid => (claims["tid"], claims["iss"]) = (json!("contoso"), issuer("contoso")),
        IdTokenFault::NoTenant => absent(&mut claims, "tid"),
        IdTokenFault::WrongNonce => claims["nonce"] = json!("of another sign-in"),
        IdTokenFault::NoNonce => absent(&mut claims, "nonce"),
        IdTokenFault::Expired => {
            (claims["iat"], claims["nbf"], claims["exp"]) =
                (json!(now - 7_200), json!(now - 7_200), json!(now - 3_600));
        }
        IdTokenFault::NoExpiry => absent(&mut claims, "exp"),
        IdTokenFault::NotYetValid => claims["nbf"] = json!(now + 3_600),
        IdTokenFault::IssuedAhead => claims["iat"] = json!(now + 3_600),
        IdTokenFault::VersionOne => claims["ver"] = json!("1.0"),
        IdTokenFault::NoObject => absent(&mut claims, "oid"),
        IdTokenFault::Guest => claims["acct"] = json!(1),
        IdTokenFault::NoAccountKind => absent(&mut claims, "acct"),
        IdTokenFault::NotAdministrator => claims["wids"] = json!(["b79fbf4d-3ef9-4689-8143-76b194e85509"]),
        IdTokenFault::NoRoles => absent(&mut claims, "wids"),
        IdTokenFault::GroupsOverage => {
            let endpoint = json!({"endpoint": "https://graph.windows.net/users/getMemberObjects"});
            claims["_claim_names"] = json!({"groups": "src1"});
            claims["_claim_sources"] = json!({"src1": endpoint});
        }
        IdTokenFault::AdministratorsMail => {
            for name in ["email", "upn", "preferred_username"] {
                claims[name] = json!("owner@contoso.onmicrosoft.com");
            }
            claims["wids"] = json!([]);
            claims["roles"] = json!([crate::entra::users::GLOBAL_ADMINISTRATOR]);
        }
        IdTokenFault::Oversized => claims["padding"] = json!("x".repeat(20 * 1024)),
        IdTokenFault::DeeplyNested => {
            claims["nest"] = (0..64).fold(json!(1), |inner, _| json!([inner]));
        }
        IdTokenFault::ClaimTwice => {
            let text = claims.to_string().replacen('{', &format!("{{\"tid\":\"{other}\","), 1);
            let signed = format!("{}.{}", b64(header.to_string().as_bytes()), b64(text.as_bytes()));
            return format!("{signed}.{}", b64(&key.key.sign_rs256(signed.as_bytes())));
        }
        IdTokenFault::Garbage => return "not.a.token".to_owned(),
    }
    key.sign(&header, &claims)
}

/// The key set, as the faults that were met leave it. A stranger's key, once there is one, is listed as personal accounts' are in the
/// real directory: with an issuer of its own.
pub(super) fn key_set(world: &World, met: &[Met], mut keys: Value) -> Answer {
    let fault = met.iter().find_map(|m| match m.fault {
        Fault::Keys(fault) => Some(fault),
        Fault::Vault(_) | Fault::Entra(_) | Fault::Answer(_) | Fault::Wire(_) | Fault::IdToken(_) => None,
    });
    let personal = format!("https://login.microsoftonline.com/{PERSONAL_ACCOUNTS}/v2.0");
    let Some(list) = keys["keys"].as_array_mut() else { return Answer::empty(500) };
    let needed = fault == Some(KeySetFault::KidTwice);
    if let Some(stranger) = if needed { world.signer.stranger() } else { world.signer.stranger_so_far() } {
        list.push(stranger.jwk(&personal));
    }
    match fault {
        None => {}
        Some(KeySetFault::Huge) => {
            let one = list[0].clone();
            list.extend((0..6_000).map(|i| {
                let mut more = one.clone();
                more["kid"] = json!(format!("more-{i}"));
                more
            }));
        }
        Some(KeySetFault::Empty) => list.clear(),
        Some(KeySetFault::NotJson) => {
            return Answer::html(200, "<!doctype html><title>captive portal</title>".to_owned());
        }
        Some(KeySetFault::AnotherIssuers) => list.iter_mut().for_each(|key| key["issuer"] = json!(personal)),
        Some(KeySetFault::NoIssuer) => list.iter_mut().for_each(|key| {
            key.as_object_mut().and_then(|all| all.remove("issuer"));
        }),
        Some(KeySetFault::EndlessRotation) => {
            list.iter_mut().for_each(|key| key["kid"] = json!(world.random.version()));
        }
        Some(KeySetFault::KidTwice) => {
            let kid = list[0]["kid"].clone();
            list.iter_mut().for_each(|key| key["kid"] = kid.clone());
        }
    }
    Answer::json(200, &keys)
}
