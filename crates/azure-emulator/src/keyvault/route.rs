//! Which operation on which key a vault request means.

use http::Method;

use crate::operation::Operation;

/// An operation and what it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) key: Option<String>,
    /// `""`: the latest.
    pub(crate) version: String,
}

impl Route {
    fn on(operation: Operation, key: &str, version: &str) -> Self {
        Self { operation, key: Some(key.to_owned()), version: version.to_owned() }
    }

    fn of_vault(operation: Operation) -> Self {
        Self { operation, key: None, version: String::new() }
    }

    pub(crate) fn find(method: &Method, parts: &[&str]) -> Self {
        use Operation as O;
        let unknown = Self::of_vault(O::Unknown);
        match (method.as_str(), parts) {
            ("GET", ["healthstatus"]) => Self::of_vault(O::Health),
            ("GET", ["keys"] | ["keys", ""]) => Self::of_vault(O::ListKeys),
            ("GET", ["deletedkeys"] | ["deletedkeys", ""]) => Self::of_vault(O::ListDeleted),
            ("GET", ["deletedkeys", key]) => Self::on(O::GetDeleted, key, ""),
            ("DELETE", ["deletedkeys", key]) => Self::on(O::Purge, key, ""),
            ("POST", ["deletedkeys", key, "recover"]) => Self::on(O::Recover, key, ""),
            ("GET", ["keys", key, "versions"]) => Self::on(O::ListVersions, key, ""),
            ("GET", ["keys", key, "rotationpolicy"]) => Self::on(O::GetRotationPolicy, key, ""),
            ("PUT", ["keys", key, "rotationpolicy"]) => Self::on(O::PutRotationPolicy, key, ""),
            ("POST", ["keys", key, "create"]) => Self::on(O::Create, key, ""),
            ("POST", ["keys", key, "rotate"]) => Self::on(O::Rotate, key, ""),
            ("PUT", ["keys", key] | ["keys", key, ""]) => Self::on(O::Import, key, ""),
            ("DELETE", ["keys", key] | ["keys", key, ""]) => Self::on(O::Delete, key, ""),
            ("GET", ["keys", key]) => Self::on(O::GetKey, key, ""),
            ("PATCH", ["keys", key]) => Self::on(O::Update, key, ""),
            ("GET", ["keys", key, version]) => Self::on(O::GetKey, key, version),
            ("PATCH", ["keys", key, version]) => Self::on(O::Update, key, version),
            ("POST", ["keys", key, verb]) => Self::crypto(key, "", verb).unwrap_or(unknown),
            ("POST", ["keys", key, version, verb]) => Self::crypto(key, version, verb).unwrap_or(unknown),
            _ => unknown,
        }
    }

    fn crypto(key: &str, version: &str, verb: &str) -> Option<Self> {
        let operation = match verb {
            "wrapkey" => Operation::WrapKey,
            "unwrapkey" => Operation::UnwrapKey,
            "encrypt" => Operation::Encrypt,
            "decrypt" => Operation::Decrypt,
            _ => return None,
        };
        Some(Self::on(operation, key, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A double slash stands for the latest version, as the official SDKs write it.
    #[test]
    fn a_double_slash_is_the_latest_version() {
        let post = |parts: &[&str]| Route::find(&Method::POST, parts);
        assert_eq!(post(&["keys", "k1", "", "wrapkey"]), Route::on(Operation::WrapKey, "k1", ""));
        assert_eq!(post(&["keys", "k1", "ab", "unwrapkey"]), Route::on(Operation::UnwrapKey, "k1", "ab"));
        assert_eq!(Route::find(&Method::GET, &["keys", "k1", ""]), Route::on(Operation::GetKey, "k1", ""));
        assert_eq!(post(&["keys", "k1", "ab", "sign"]).operation, Operation::Unknown);
    }
}
