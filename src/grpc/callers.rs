//! Answers `byok.v1.Callers`.

use api::byok::v1 as pb;
use api::byok::v1::callers_server::Callers;
use domain::caller::{StoredCaller, StoredToken, TokenSlot};
use domain::permission::{self, Giver, Grant, ROLES, Target, Verb};
use domain::{CallerId, CertificateName, Reason, Timestamp};
use identity::ConfiguredCaller;
use service::{CreateCaller, ListedCaller, Refusal, UpdateCaller};
use tonic::{Request, Response, Status};

use super::call::Call;
use super::{refuse, text};

impl Call {
    /// The right to change callers, with what the caller holds.
    fn permit_to_give(&self) -> Result<Giver, Refusal> {
        permission::permit_to_give(self.caller()).map_err(refuse::not_permitted)
    }
}

#[tonic::async_trait]
impl Callers for Call {
    async fn create_caller(&self, request: Request<pb::CreateCallerRequest>) -> Result<Response<pb::Caller>, Status> {
        let pb::CreateCallerRequest { caller_id, grants: given, certificate: named, expire_time } =
            request.into_inner();
        self.answer("Callers/CreateCaller", async {
            let giver = self.permit_to_give()?;
            let wanted = CreateCaller {
                id: caller_id.parse().map_err(refuse::id)?,
                grants: grants("grants", &given)?,
                certificate: certificate(&named)?,
                expires: expire_time.map(moment).transpose()?,
            };
            Ok(stored(self.service().create_caller(giver, wanted).await?))
        })
        .await
    }

    async fn get_caller(&self, request: Request<pb::GetCallerRequest>) -> Result<Response<pb::Caller>, Status> {
        let pb::GetCallerRequest { name } = request.into_inner();
        self.answer("Callers/GetCaller", async {
            let permit = self.permit::<permission::ReadCallers>(Target::Platform)?;
            // One of the configuration may have a name that is no id.
            let known = name.strip_prefix("callers/").unwrap_or_default();
            match self.service().read_caller(&permit, known).await {
                Err(refusal) if refusal.reason() == Reason::NotFound => {
                    caller_id(&name)?;
                    Err(refusal)
                }
                outcome => Ok(listed(outcome?)),
            }
        })
        .await
    }

    async fn list_callers(
        &self,
        request: Request<pb::ListCallersRequest>,
    ) -> Result<Response<pb::ListCallersResponse>, Status> {
        let pb::ListCallersRequest { page_size, page_token } = request.into_inner();
        self.answer("Callers/ListCallers", async {
            let permit = self.permit::<permission::ReadCallers>(Target::Platform)?;
            let after = super::workspaces::token::<CallerId>(&page_token)?;
            let size = super::workspaces::size(page_size)?;
            let page = self.service().list_callers(&permit, after.as_ref(), size).await?;
            Ok(pb::ListCallersResponse {
                callers: page.callers.into_iter().map(listed).collect(),
                next_page_token: page.next.map_or_else(String::new, |next| next.to_string()),
            })
        })
        .await
    }

    async fn update_caller(&self, request: Request<pb::UpdateCallerRequest>) -> Result<Response<pb::Caller>, Status> {
        let request = request.into_inner();
        self.answer("Callers/UpdateCaller", async {
            let giver = self.permit_to_give()?;
            let id = caller_id(&request.name)?;
            let update = update(request)?;
            Ok(stored(self.service().update_caller(giver, &id, update).await?))
        })
        .await
    }

    async fn issue_token(
        &self,
        request: Request<pb::IssueTokenRequest>,
    ) -> Result<Response<pb::IssueTokenResponse>, Status> {
        let pb::IssueTokenRequest { name, expire_time } = request.into_inner();
        self.answer("Callers/IssueToken", async {
            let giver = self.permit_to_give()?;
            let expires = expire_time.map(moment).transpose()?;
            let issued = self.service().issue_token(giver, &caller_id(&name)?, expires).await?;
            Ok(pb::IssueTokenResponse {
                token: issued.token.to_string(),
                slot: issued.slot.as_str().to_owned(),
                caller: Some(stored(issued.caller)),
            })
        })
        .await
    }

    async fn remove_token(&self, request: Request<pb::RemoveTokenRequest>) -> Result<Response<pb::Caller>, Status> {
        let pb::RemoveTokenRequest { name, slot } = request.into_inner();
        self.answer("Callers/RemoveToken", async {
            let giver = self.permit_to_give()?;
            let slot = TokenSlot::named(&slot).ok_or_else(|| refuse::field("slot must be a or b"))?;
            Ok(stored(self.service().remove_token(giver, &caller_id(&name)?, slot).await?))
        })
        .await
    }

    async fn delete_caller(
        &self,
        request: Request<pb::DeleteCallerRequest>,
    ) -> Result<Response<pb::DeleteCallerResponse>, Status> {
        let pb::DeleteCallerRequest { name } = request.into_inner();
        self.answer("Callers/DeleteCaller", async {
            let giver = self.permit_to_give()?;
            self.service().delete_caller(giver, &caller_id(&name)?).await?;
            Ok(pb::DeleteCallerResponse {})
        })
        .await
    }

    async fn list_roles(
        &self,
        _request: Request<pb::ListRolesRequest>,
    ) -> Result<Response<pb::ListRolesResponse>, Status> {
        self.answer("Callers/ListRoles", async {
            self.permit::<permission::ReadCallers>(Target::Platform)?;
            let role = |(role, verbs): &(permission::Role, &[Verb])| pb::Role {
                name: role.to_string(),
                actions: verbs.iter().map(ToString::to_string).collect(),
                names_its_workspaces: role.names_its_workspaces(),
            };
            Ok(pb::ListRolesResponse { roles: ROLES.iter().map(role).collect() })
        })
        .await
    }
}

fn caller_id(name: &str) -> Result<CallerId, Refusal> {
    domain::name::parse_caller(name).map_err(refuse::name)
}

/// Each with its place in the list: the text itself is not repeated.
fn grants(field: &str, texts: &[String]) -> Result<Vec<Grant>, Refusal> {
    let read = |(at, text): (usize, &String)| {
        if text.len() > Grant::LONGEST {
            let what = format!("{field}: entry {} is longer than {} bytes", at + 1, Grant::LONGEST);
            return Err(Refusal::because(Reason::RequestInvalid).detail(what));
        }
        text.parse::<Grant>().map_err(|why| {
            Refusal::because(Reason::RequestInvalid).detail(format!("{field}: entry {} is not a grant: {why}", at + 1))
        })
    };
    texts.iter().enumerate().map(read).collect()
}

/// Empty: none.
fn certificate(text: &str) -> Result<Option<CertificateName>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = text.parse::<CertificateName>();
    read.map(Some).map_err(|why| Refusal::because(Reason::RequestInvalid).detail(format!("certificate: {why}")))
}

fn moment(at: prost_types::Timestamp) -> Result<Timestamp, Refusal> {
    let micros = at.seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(at.nanos) / 1_000));
    let in_range = (0..1_000_000_000).contains(&at.nanos);
    let micros = micros.filter(|_| in_range).ok_or_else(|| refuse::field("expire_time is not a time"))?;
    Ok(Timestamp::from_micros(micros))
}

fn update(request: pb::UpdateCallerRequest) -> Result<UpdateCaller, Refusal> {
    let mut update = UpdateCaller {
        add: grants("add_grants", &request.add_grants)?,
        remove: grants("remove_grants", &request.remove_grants)?,
        ..UpdateCaller::default()
    };
    let mask = request.update_mask.unwrap_or_default();
    for path in &mask.paths {
        match path.as_str() {
            "expire_time" => update.expires = Some(request.expire_time.map(moment).transpose()?),
            "certificate" => update.certificate = Some(certificate(&request.certificate)?),
            "disabled" => update.disabled = Some(request.disabled),
            _ => return Err(refuse::field("update_mask may name expire_time, certificate and disabled")),
        }
    }
    let forgotten = [
        (request.expire_time.is_some(), "expire_time"),
        (!request.certificate.is_empty(), "certificate"),
        (request.disabled, "disabled"),
    ];
    if forgotten.iter().any(|(given, path)| *given && !mask.paths.iter().any(|named| named == path)) {
        return Err(refuse::field("update_mask must name each field that is set"));
    }
    Ok(update)
}

fn listed(caller: ListedCaller) -> pb::Caller {
    match caller {
        ListedCaller::Stored(caller) => stored(*caller),
        ListedCaller::Configured(caller) => configured(caller),
    }
}

fn texts(grants: &[Grant]) -> Vec<String> {
    grants.iter().map(ToString::to_string).collect()
}

fn stored(caller: StoredCaller) -> pb::Caller {
    let token = |slot: TokenSlot| {
        caller.tokens[slot.index()].as_ref().map(|token: &StoredToken| pb::CallerToken {
            slot: slot.as_str().to_owned(),
            issuer: token.issued_by.clone(),
            issue_time: text::stamp(token.issued_at),
            expire_time: token.expires.and_then(text::stamp),
        })
    };
    pb::Caller {
        name: domain::name::caller(caller.id.as_str()),
        grants: texts(&caller.grants),
        certificate: caller.certificate.as_ref().map_or_else(String::new, ToString::to_string),
        tokens: TokenSlot::ALL.into_iter().filter_map(token).collect(),
        expire_time: caller.expires.and_then(text::stamp),
        disabled: caller.disabled,
        configured: false,
        create_time: text::stamp(caller.created_at),
        update_time: text::stamp(caller.changed_at),
        creator: caller.created_by,
        updater: caller.changed_by,
    }
}

fn configured(caller: ConfiguredCaller) -> pb::Caller {
    pb::Caller {
        name: domain::name::caller(&caller.name),
        grants: texts(&caller.grants),
        certificate: caller.certificate.as_ref().map_or_else(String::new, ToString::to_string),
        tokens: if caller.token { vec![pb::CallerToken::default()] } else { Vec::new() },
        expire_time: caller.expires.and_then(text::stamp),
        configured: true,
        ..pb::Caller::default()
    }
}
