//! How long it takes until a change of one tenant is enforced.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::Contender;
use crate::{exchange::Connection, peers::Place, policy::Tenant, variant::Proof};

const PATIENCE: Duration = Duration::from_secs(120);

/// A request of a tenant with what it is to show.
pub(super) fn request(place: &Place<'_>, tenant: Option<&Tenant>) -> anyhow::Result<String> {
    let tenant = tenant.context("there are no tenants")?;
    let shown = match place.proof {
        Proof::Key => format!("X-API-Key: {}", tenant.key),
        Proof::Token => format!("Authorization: Bearer {}", place.credentials.token(tenant)?),
    };
    Ok(format!("GET / HTTP/1.1\r\nHost: {}\r\n{shown}\r\n\r\n", tenant.host))
}

/// A tenant's allow-list loses the network that is asked from, and gets it back.
pub(super) async fn measure(contender: &mut Contender<'_>) -> anyhow::Result<()> {
    if !contender.peer.has_policy() {
        return Ok(());
    }
    let (begun, answered) = one(contender, false, 403).await?;
    contender.rounds.changes.push(begun);
    contender.rounds.changes_after_answer.push(answered);
    one(contender, true, 200).await.map(drop)
}

/// Milliseconds until every connection is answered with this status, from when the change was begun and from when it
/// was accepted.
async fn one(
    contender: &Contender<'_>,
    may_enter: bool,
    status: u16,
) -> anyhow::Result<(f64, f64)> {
    let Contender { peer, place, running, .. } = contender;
    let request = request(place, Some(place.policy.changing()))?;
    let to = contender.plain();
    // A connection of before. Whoever replaces processes has old ones that may still answer it as they did.
    let mut kept = Connection::open(to).await?;
    kept.exchange(request.as_bytes()).await?;
    let begun = Instant::now();
    peer.change(place, running, may_enter).await?;
    let accepted = Instant::now();
    loop {
        let by_new = ask_anew(to, &request).await;
        let by_kept = match kept.exchange(request.as_bytes()).await {
            Ok(head) if head.is_kept => Some(head.status),
            _ => {
                kept = Connection::open(to).await?;
                None
            }
        };
        if by_new == Some(status) && by_kept.is_none_or(|by_kept| by_kept == status) {
            break;
        }
        let title = peer.title();
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{title} does not enforce a change");
    }
    let milliseconds = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    Ok((milliseconds(begun), milliseconds(accepted)))
}

async fn ask_anew(to: SocketAddr, request: &str) -> Option<u16> {
    let mut connection = Connection::open(to).await.ok()?;
    connection.exchange(request.as_bytes()).await.ok().map(|head| head.status)
}
