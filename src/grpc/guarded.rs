//! Answers the calls of `byok.v1.EnterpriseKeys` that need a second person: another key, no key, the end of a data key.

use api::byok::v1 as pb;
use domain::permission::{self, Target};
use service::{Refusal, ReplaceKey};

use super::call::Call;
use super::{enterprise_keys, operations, refuse};

pub(super) async fn replace_key(
    call: &Call,
    request: pb::ReplaceKeyRequest,
) -> Result<pb::ReplaceKeyResponse, Refusal> {
    let pb::ReplaceKeyRequest { name, key_identifier, key_name, tenant_id, validate_only } = request;
    let permit = call.permit_key::<permission::ReplaceKey>(&name)?;
    let key_name = Some(key_name).filter(|name| !name.is_empty());
    let wanted = ReplaceKey { key_identifier, key_name, tenant_id, validate_only };
    let started = call.service().replace_key(&permit, wanted).await?;
    let workspace = domain::name::parse_key(&name).map_err(refuse::name)?;
    Ok(pb::ReplaceKeyResponse {
        plan: Some(enterprise_keys::plan(&workspace, &started.plan)),
        operation: started.operation.as_ref().map(operations::operation),
        needs_approval: started.approval.is_some(),
        waits: started.approval.and_then(|waits| prost_types::Duration::try_from(waits).ok()),
    })
}

pub(super) async fn leave_customer_key(
    call: &Call,
    request: pb::LeaveCustomerKeyRequest,
) -> Result<pb::LeaveCustomerKeyResponse, Refusal> {
    let pb::LeaveCustomerKeyRequest { name, validate_only } = request;
    let permit = call.permit_key::<permission::LeaveCustomerKey>(&name)?;
    let workspace = domain::name::parse_key(&name).map_err(refuse::name)?;
    let leaving = call.service().leave_customer_key(&permit, validate_only).await?;
    let needed = leaving.needed.iter().map(|needed| pb::StillNeeded {
        app: domain::name::app(&workspace, &needed.app),
        data_keys: i64::try_from(needed.data_keys).unwrap_or(i64::MAX),
    });
    Ok(pb::LeaveCustomerKeyResponse {
        still_needed: needed.collect(),
        operation: leaving.operation.as_ref().map(operations::operation),
    })
}

pub(super) async fn destroy_data_key(
    call: &Call,
    request: pb::DestroyDataKeyRequest,
) -> Result<pb::Operation, Refusal> {
    let (workspace, app, data_key) = domain::name::parse_data_key(&request.name).map_err(refuse::name)?;
    let permit = call.permit::<permission::DestroyDataKey>(Target::App(workspace, app))?;
    Ok(operations::operation(&call.service().destroy_data_key(&permit, data_key).await?))
}
