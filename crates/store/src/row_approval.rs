//! What an operation's row says of who has to approve it: only where there is something to say, so that rows of operations that
//! need nobody are what they were before there were approvals.

use domain::operation::{Operation, OperationKind};
use domain::row_seal::RowBytes;

use crate::row::{KindColumns, lease_micros, operation_kind_columns};

/// Appends what the first two kinds do not have.
pub(crate) fn columns(operation: &Operation, row: RowBytes) -> RowBytes {
    let first = matches!(operation.kind, OperationKind::RotateKey { .. } | OperationKind::RotateDataKeys { .. });
    if first && operation.approval.is_none() {
        return row;
    }
    let KindColumns { key, tenant, data_key, .. } = operation_kind_columns(&operation.kind);
    let row = row
        .optional(key.map(|key| key.to_string()).as_ref().map(|key| key.as_bytes()))
        .optional(tenant.as_ref().map(|tenant| tenant.as_str().as_bytes()))
        .optional(data_key.as_ref().map(|id| id.as_bytes().as_slice()));
    let Some(approval) = &operation.approval else { return row };
    let row = row.number(approval.approve_by.micros()).field(&lease_micros(approval.waits).to_be_bytes());
    match &approval.decision {
        None => row,
        Some(decision) => {
            row.field(decision.by.as_bytes()).number(decision.at.micros()).field(&[u8::from(decision.approved)])
        }
    }
}
