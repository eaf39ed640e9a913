//! The rows of those who may act: operators, tokens, sessions.

use std::fmt::Display;

use tenantry_model::{Email, KeyDigest, OperatorId, TokenId};

/// All operators.
pub(crate) const OPERATORS: &str = "operator/";
/// All access tokens.
pub(crate) const TOKENS: &str = "token/";

pub(crate) fn operator(id: OperatorId) -> String {
    format!("{OPERATORS}{id}")
}

pub(crate) fn operator_email(email: &Email) -> String {
    format!("operatoremail/{email}")
}

pub(crate) fn token(id: TokenId) -> String {
    format!("{TOKENS}{id}")
}

pub(crate) fn token_digest(digest: &KeyDigest) -> String {
    format!("tokendigest/{digest}")
}

/// All tokens of an operator or a tenant.
pub(crate) fn tokens_of(holder: impl Display) -> String {
    format!("tokensof/{holder}/")
}

pub(crate) fn token_used(id: TokenId) -> String {
    format!("tokenused/{id}")
}

pub(crate) fn session(digest: &KeyDigest) -> String {
    format!("session/{digest}")
}
