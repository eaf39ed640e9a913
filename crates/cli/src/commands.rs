//! One module for each kind of thing: its flags, and what each verb asks of the API.

pub(crate) mod document;

mod effective;
pub(crate) mod feature;
pub(crate) mod group;
pub(crate) mod plan;
pub(crate) mod route;
mod status;
pub(crate) mod upstream;

pub(crate) mod certificate;
pub(crate) mod domain;
pub(crate) mod issuer;
pub(crate) mod key;
pub(crate) mod quota;
pub(crate) mod subscription;
pub(crate) mod tenant;

pub(crate) mod operator;
pub(crate) mod people;
pub(crate) mod token;

pub(crate) mod context;

pub(crate) mod audit;
pub(crate) mod desired;
pub(crate) mod import;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod replay;
pub(crate) mod revision;
pub(crate) mod rollout;
pub(crate) mod snapshot;

#[cfg(test)]
mod coverage;
mod progress;

use crate::{
    args::{ApiCommand, Format},
    error::CliError,
    explain,
    output::Answer,
    session::Session,
};

/// Does what was asked.
pub(crate) async fn run(
    command: &ApiCommand,
    output: Format,
    session: &Session,
) -> Result<Answer, CliError> {
    let client = &session.client;
    match command {
        ApiCommand::Tenant(verb) => tenant::run(verb, session).await,
        ApiCommand::Plan(verb) => document::run("plan", verb, client.plans(), session).await,
        ApiCommand::Group(verb) => document::run("group", verb, client.groups(), session).await,
        ApiCommand::Feature(verb) => {
            document::run("feature", verb, client.features(), session).await
        }
        ApiCommand::Upstream(verb) => {
            document::run("upstream", verb, client.upstreams(), session).await
        }
        ApiCommand::Route(verb) => document::run("route", verb, client.routes(), session).await,
        ApiCommand::Quota(verb) => quota::run(verb, session).await,
        ApiCommand::Subscription(verb) => subscription::run(verb, session).await,
        ApiCommand::Domain(verb) => domain::run(verb, session).await,
        ApiCommand::Key(verb) => key::run(verb, session).await,
        ApiCommand::Certificate(verb) => certificate::run(verb, session).await,
        ApiCommand::Issuer(verb) => issuer::run(verb, session).await,
        ApiCommand::User(verb) => people::user(verb, session).await,
        ApiCommand::Member(verb) => people::member(verb, session).await,
        ApiCommand::Role(verb) => people::role(verb, session).await,
        ApiCommand::Invitation(verb) => people::invitation(verb, session).await,
        ApiCommand::Operator(verb) => operator::run(verb, session).await,
        ApiCommand::Token(verb) => token::run(verb, session).await,
        ApiCommand::Login(arguments) => operator::log_in(arguments, session).await,
        ApiCommand::Logout => operator::log_out(session).await,
        ApiCommand::Whoami => session.ask(client.me()).await.map(Answer::item),
        ApiCommand::Replay(arguments) => replay::run(arguments, session).await,
        ApiCommand::Explain(arguments) => explain::run(arguments, session).await,
        ApiCommand::Proxy(verb) => proxy::run(verb, session).await,
        ApiCommand::Snapshot(verb) => snapshot::run(verb, session).await,
        ApiCommand::Export(export) => desired::export(export, output, session).await,
        ApiCommand::Diff(diff) => desired::diff(diff, session).await,
        ApiCommand::Apply(apply) => desired::apply(apply, session).await,
        ApiCommand::Import(arguments) => import::run(arguments, session).await,
        ApiCommand::Api(request) => raw::run(request, session).await,
        ApiCommand::Audit(verb) => audit::run(verb, session).await,
        ApiCommand::Revision(verb) => revision::run(verb, session).await,
        ApiCommand::Rollout(verb) => rollout::run(verb, session).await,
    }
}
