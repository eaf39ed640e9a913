//! `--wait`: a command that has changed something returns once every connected proxy enforces it.

use std::{collections::BTreeSet, time::Duration};

use indicatif::ProgressBar;
use tenantry_api::ProxyBody;

use crate::{error::CliError, session::Session};

/// How long proxies are waited for if nothing else is said.
pub(crate) const USUAL_SECONDS: &str = "30";
const FIRST_LOOK: Duration = Duration::from_millis(20);
const RARELY: Duration = Duration::from_millis(500);
/// How often the sign that something goes on moves.
const TICK: Duration = Duration::from_millis(100);

/// What proxies refused before the change: none of its business.
#[derive(Debug)]
pub(crate) struct Refused(BTreeSet<String>);

/// Looks at the proxies before something is changed. Whoever may not look may not wait, and learns so while
/// nothing is changed yet.
pub(crate) async fn before(session: &Session) -> Result<Refused, CliError> {
    let proxies = session.ask(session.client.proxies()).await.map_err(|error| match error {
        CliError::Refused(mut problem) if problem.status == 403 => {
            let detail = &problem.detail;
            problem.detail = format!("--wait has to look at the proxies: {detail}");
            CliError::Refused(problem)
        }
        error => error,
    })?;
    let proxies = proxies.items;
    Ok(Refused(proxies.iter().flat_map(refusals).collect()))
}

/// Waits until every proxy that is connected enforces what was changed.
///
/// # Errors
/// [`CliError::NotEnforced`] with those that do not, after a while; [`CliError::RefusedByProxy`] if
/// one refuses something that it did not refuse before; what asking can end in.
pub(crate) async fn enforced(
    session: &Session,
    before: &Refused,
    patience: Duration,
) -> Result<(), CliError> {
    // What has changed nothing is enforced.
    let Some(revision) = session.client.written() else { return Ok(()) };
    let deadline = tokio::time::Instant::now() + patience;
    // On a terminal only: elsewhere nothing is drawn.
    let sign = ProgressBar::new_spinner();
    sign.enable_steady_tick(TICK);
    let mut pause = FIRST_LOOK;
    let done = loop {
        let proxies = match session.ask(session.client.proxies()).await {
            Ok(page) => page.items,
            Err(error) => break Err(error),
        };
        let connected = || proxies.iter().filter(|proxy| proxy.connected);
        let behind = connected()
            .filter(|proxy| proxy.enforced_through.is_none_or(|enforced| enforced < revision));
        let behind: Vec<_> = behind.map(|proxy| proxy.node.clone()).collect();
        let refused = connected().flat_map(refusals).find(|refusal| !before.0.contains(refusal));
        if let Some(refusal) = refused {
            break Err(CliError::RefusedByProxy { revision, refusal });
        }
        if behind.is_empty() && connected().next().is_some() {
            break Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            break Err(CliError::NotEnforced { revision, behind });
        }
        sign.set_message(format!(
            "waiting for {} of {} proxies",
            behind.len(),
            connected().count()
        ));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RARELY);
    };
    sign.finish_and_clear();
    done
}

fn refusals(proxy: &ProxyBody) -> impl Iterator<Item = String> {
    let node = &proxy.node;
    proxy.refused.iter().map(move |refused| {
        format!("{node} refuses {} {}: {}", refused.kind, refused.id, refused.reason)
    })
}
