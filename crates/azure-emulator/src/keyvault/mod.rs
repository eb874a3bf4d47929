//! Key Vault's data plane for keys: from a request to its answer.

pub(crate) mod access;
mod crypto;
mod deleted;
mod door;
pub(crate) mod key;
mod listing;
mod material;
pub(crate) mod refusal;
mod rotation;
pub(crate) mod route;
pub(crate) mod vault;
mod write;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::exchange::{Answer, Request};
use crate::faults::{Falsified, Fault, Met};
use crate::jwt::Jwt;
use crate::keyvault::door::Caller;
use crate::keyvault::refusal::{Circumstances, Refused, VaultRefusal};
use crate::keyvault::route::Route;
use crate::operation::Operation;
use crate::world::World;

pub(crate) use deleted::{delete, purge, recover};
pub(crate) use material::{new_version, version_of};
pub(crate) use rotation::rotate;
pub(crate) use write::{is_key_name, put_version};

/// The api-versions that are answered; others get the refusal Azure gives to unknown ones.
pub const API_VERSIONS: [&str; 3] = ["7.5", "7.6", "2025-07-01"];

/// What serves an answered request besides the answer.
pub(crate) struct Served {
    pub(crate) answer: Answer,
    /// The caller's object id.
    pub(crate) principal: Option<String>,
    /// The version that was used, where "latest" was asked.
    pub(crate) version: Option<String>,
}

/// A success.
pub(crate) struct Done {
    status: u16,
    body: Option<Value>,
    /// The version that was used or made.
    pub(crate) version: Option<String>,
}

impl Done {
    fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body), version: None }
    }
}

/// The public context of the vault that is asked; taken once, before any key is touched.
struct Site {
    login_host: &'static str,
    audience: String,
    tenant: String,
    issuer: String,
    subscription: String,
}

/// Answers a request to a vault that exists. `met`: the faults that meet it.
pub(crate) async fn serve(world: &Arc<World>, request: &Request, route: &Route, met: &[Met]) -> Served {
    let Some(site) = site(world, &request.host) else {
        return Served { answer: Answer::empty(421), principal: None, version: None };
    };
    let claims = request.bearer().and_then(Jwt::parse).map(|jwt| jwt.claims);
    let caller = claims.as_ref().map(Caller::claimed).unwrap_or_default();
    let switched = met.iter().find_map(|m| match m.fault {
        Fault::Vault(refusal) => Some(Refused::from(refusal)),
        Fault::Entra(_) | Fault::Answer(_) | Fault::Wire(_) | Fault::IdToken(_) | Fault::Keys(_) => None,
    });
    let result = match switched {
        Some(refused) => Err(refused),
        None => perform(world, request, route, &site).await,
    };
    let principal = (!caller.object_id.is_empty()).then(|| caller.object_id.clone());
    let (answer, version) = match result {
        Ok(done) => {
            let body = done.body.map(|mut body| {
                falsify(&mut body, met);
                body
            });
            let answer = body.map_or_else(|| Answer::empty(done.status), |b| Answer::json(done.status, &b));
            (answer, done.version)
        }
        Err(refused) => (refuse(world, request, route, &site, &caller, refused, met), None),
    };
    let answer = answer.header("x-ms-keyvault-service-version", "1.9.0.0").header("x-ms-keyvault-region", "emulated");
    Served { answer: network_info(answer, request), principal, version }
}

fn site(world: &World, host: &str) -> Option<Site> {
    world.read(|state| {
        let vault = state.vault(host)?;
        let tenant = state.tenant(&vault.tenant)?;
        Some(Site {
            login_host: vault.cloud.login_host(),
            audience: vault.cloud.vault_audience(),
            tenant: tenant.id.clone(),
            issuer: tenant.issuer_v1(),
            subscription: tenant.subscription.clone(),
        })
    })
}

async fn perform(world: &Arc<World>, request: &Request, route: &Route, site: &Site) -> Result<Done, Refused> {
    if let Some(why) = world.not_kept() {
        return Err(Refused::with(VaultRefusal::InternalError, why));
    }
    let deleted = world.read(|s| s.vault(&request.host).is_none_or(|v| v.deleted));
    if deleted {
        return Err(VaultRefusal::VaultDeleted.into());
    }
    if route.operation == Operation::Health {
        return Ok(Done { status: 200, body: None, version: None });
    }
    let token = request.bearer().ok_or(VaultRefusal::TokenMissing)?;
    let caller = door::verify(world, token, &site.audience, &site.issuer)?;
    check_api_version(request)?;
    world.read(|state| {
        let vault = state.vault(&request.host).ok_or(VaultRefusal::VaultDeleted)?;
        door::check_network(vault, request)?;
        if route.operation == Operation::Unknown {
            return Err(VaultRefusal::NoSuchPath.into());
        }
        door::check_permission(vault, &caller, route)?;
        door::check_rate(world, vault, &site.subscription, route)
    })?;
    match route.operation {
        Operation::GetKey | Operation::ListVersions | Operation::ListKeys | Operation::ListDeleted => {
            listing::perform(world, request, route)
        }
        Operation::Create | Operation::Import | Operation::Update => write::perform(world, request, route).await,
        Operation::Rotate | Operation::GetRotationPolicy | Operation::PutRotationPolicy => {
            rotation::perform(world, request, route).await
        }
        Operation::Delete | Operation::GetDeleted | Operation::Recover | Operation::Purge => {
            deleted::perform(world, request, route)
        }
        Operation::WrapKey | Operation::UnwrapKey | Operation::Encrypt | Operation::Decrypt => {
            crypto::perform(world, request, route).await
        }
        Operation::Connect
        | Operation::Challenge
        | Operation::Health
        | Operation::Token
        | Operation::Discovery
        | Operation::Jwks
        | Operation::AdminConsent
        | Operation::Authorize
        | Operation::Unknown => Err(VaultRefusal::NoSuchPath.into()),
    }
}

fn check_api_version(request: &Request) -> Result<(), Refused> {
    match request.query.get("api-version") {
        None => Err(Refused::bad("api-version must be specified")),
        Some(version) if API_VERSIONS.contains(&version.as_str()) => Ok(()),
        Some(version) => Err(Refused::bad(format!(
            "The specified version ({version}) is not recognized. Consider using the latest supported version ({}).",
            API_VERSIONS[2]
        ))),
    }
}

fn refuse(
    world: &World,
    request: &Request,
    route: &Route,
    site: &Site,
    caller: &Caller,
    refused: Refused,
    met: &[Met],
) -> Answer {
    let mut at = world.read(|state| {
        state.vault(&request.host).map_or_else(Circumstances::default, |vault| {
            door::circumstances(vault, &site.subscription, &site.issuer, route, caller, request)
        })
    });
    at.detail = refused.detail;
    let refusal = refused.refusal;
    let mut error = json!({"code": refusal.code(), "message": refusal.message(&at)});
    if let Some(inner) = refusal.inner_code() {
        error["innererror"] = json!({"code": inner});
    }
    let mut answer = Answer::json(refusal.status(), &json!({"error": error}));
    if refusal.status() == 401 {
        let falsified = |f| met.iter().any(|m| m.fault == Fault::Answer(f));
        let foreign_tenant = falsified(Falsified::ChallengeTenant);
        let tenant = if foreign_tenant { "00000000-0000-4000-8000-00000000f0e1" } else { &site.tenant };
        let foreign_resource = falsified(Falsified::ChallengeResource);
        let resource = if foreign_resource { "https://vault.foreign.example" } else { &site.audience };
        answer = answer.header("www-authenticate", door::challenge(site.login_host, tenant, resource));
    }
    match refused.retry_after {
        Some(seconds) => answer.header("retry-after", seconds.to_string()),
        None => answer,
    }
}

/// How the vault sees its caller: what an admin has to allow.
fn network_info(answer: Answer, request: &Request) -> Answer {
    let family = if request.from.is_ipv4() { ("Ipv4", "InterNetwork") } else { ("Ipv6", "InterNetworkV6") };
    let kind = if request.private { "PrivateLink" } else { family.0 };
    let info = format!("conn_type={kind};addr={};act_addr_fam={};", request.from, family.1);
    answer.header("x-ms-keyvault-network-info", info)
}

fn falsify(body: &mut Value, met: &[Met]) {
    for one in met {
        let Fault::Answer(falsified) = one.fault else { continue };
        match falsified {
            Falsified::WrongKid => {
                for kid in ["/kid", "/key/kid"] {
                    if let Some(Value::String(kid)) = body.pointer_mut(kid) {
                        let keep = kid.rfind('/').map_or(0, |at| at + 1);
                        kid.replace_range(keep.., "00000000000000000000000000000bad");
                    }
                }
            }
            Falsified::WrongPlaintext => {
                if let Some(Value::String(value)) = body.pointer_mut("/value") {
                    let other = crate::jwt::from_b64(value).map(|mut bytes| {
                        if let Some(last) = bytes.last_mut() {
                            *last ^= 1;
                        }
                        crate::jwt::b64(&bytes)
                    });
                    *value = other.unwrap_or_default();
                }
            }
            Falsified::WrongPublicKey => {
                if let Some(Value::String(n)) = body.pointer_mut("/key/n") {
                    let first = if n.starts_with('w') { "x" } else { "w" };
                    n.replace_range(..1, first);
                }
            }
            Falsified::OtherKeyType => {
                if let Some(kty) = body.pointer_mut("/key/kty") {
                    *kty = "EC".into();
                }
            }
            Falsified::SmallKey => {
                if let Some(Value::String(n)) = body.pointer_mut("/key/n") {
                    let small = crate::jwt::from_b64(n).map(|bytes| crate::jwt::b64(&bytes[..bytes.len().min(128)]));
                    *n = small.unwrap_or_default();
                }
            }
            Falsified::ForeignNextLink => {
                if body.get("value").is_some_and(Value::is_array) {
                    body["nextLink"] = "https://collector.foreign.example/keys?api-version=7.5".into();
                }
            }
            // The challenge's own are applied where the challenge is made; those of the whole answer where it is sent.
            Falsified::ChallengeTenant | Falsified::ChallengeResource | Falsified::BadJson | Falsified::Redirect => {}
        }
    }
}
