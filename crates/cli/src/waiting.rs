//! `--wait`: a command that has changed something returns once every connected proxy enforces it.
//!
//! The control plane does the waiting and says what came of it with its answer, which is printed first: what was made
//! is made, and its secret is shown only this once.

use tenantry_api::Enforcement;

use crate::{error::CliError, session::Session};

/// How long proxies are waited for if nothing else is said.
pub(crate) const USUAL_SECONDS: &str = "30";

/// Whether every proxy that is connected enforces what was changed.
///
/// # Errors
/// [`CliError::RefusedByProxy`] if one refuses a part of it; [`CliError::NotEnforced`] if one does not enforce it yet,
/// or if there is none.
pub(crate) fn enforced(session: &Session) -> Result<(), CliError> {
    let applied = session.client.applied();
    for Enforcement { revision, refused, refused_at, .. } in &applied {
        let refusal = match refused_at.as_slice() {
            _ if *refused == 0 => continue,
            [] => format!("{refused} of the proxies refuse a part of it"),
            [first, ..] => format!("{} refuses {}", first.node, first.resource.replace('/', " ")),
        };
        return Err(CliError::RefusedByProxy { revision: *revision, refusal });
    }
    // What is in force last is all in force. What has changed nothing was not waited for.
    match applied.into_iter().next_back() {
        Some(Enforcement { revision, behind, behind_at, enforced, .. })
            if behind > 0 || enforced == 0 =>
        {
            Err(CliError::NotEnforced { revision, behind, behind_at })
        }
        _ => Ok(()),
    }
}
