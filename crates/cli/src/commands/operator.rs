//! `tenantry operator` and `tenantry login`.

use std::io::{self, BufRead as _};

use clap::{Args, Subcommand};
use serde_json::json;
use tenantry_api::{CreateOperator, LogIn, SetPassword};
use tenantry_model::{Email, OperatorRole};

use crate::{
    body::{ChangeBody, NewBody},
    contexts::ContextError,
    error::CliError,
    output::{Answer, value},
    pages::{self, Listing},
    session::Session,
    value,
};

/// What can be done with an operator. It is named by its id.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorVerb {
    /// Make one; it has neither password nor token yet
    Create {
        /// Its address
        #[arg(required_unless_present = "file")]
        email: Option<Email>,
        #[command(flatten)]
        fields: OperatorFields,
        #[command(flatten)]
        body: NewBody,
    },
    /// Show all
    List {
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one
    Get { operator: String },
    /// Change some fields; roles that are given replace all roles
    Update {
        operator: String,
        #[command(flatten)]
        fields: OperatorFields,
        #[command(flatten)]
        body: ChangeBody,
    },
    /// Give one a password, read from standard input; its sessions end
    SetPassword { operator: String },
    /// Remove one, with its tokens and sessions
    Delete { operator: String },
}

#[derive(Debug, Args)]
pub(crate) struct OperatorFields {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it is: owner, admin, support, billing or auditor; may be repeated
    #[arg(long = "role", value_name = "ROLE", value_parser = value::word::<OperatorRole>)]
    roles: Vec<OperatorRole>,
    /// Whether it may do nothing for now
    #[arg(long, value_name = "true|false")]
    disabled: Option<bool>,
}

/// Log in as an operator; the password is read from standard input
#[derive(Debug, Args)]
pub(crate) struct LogInArguments {
    /// The operator's address
    email: Email,
}

pub(super) async fn run(verb: &OperatorVerb, session: &Session) -> Result<Answer, CliError> {
    let operators = session.client.operators();
    match verb {
        OperatorVerb::Create { email, fields, body } => {
            let mut body = body.read()?;
            body.set("email", email.as_ref());
            body.set("name", fields.name.as_ref());
            body.set_list("roles", &fields.roles);
            body.set("disabled", fields.disabled);
            if let Some(email) = email {
                body.set_default("name", email.as_str());
            }
            let body: CreateOperator = body.create("operator")?;
            session.ask(operators.create(&body)).await.map(Answer::item)
        }
        OperatorVerb::List { listing } => {
            pages::collect(session, listing, async |query| operators.list(&query).await).await
        }
        OperatorVerb::Get { operator } => {
            session.ask(operators.get(operator)).await.map(Answer::item)
        }
        OperatorVerb::Update { operator, fields, body } => {
            let if_revision = body.if_revision;
            let mut body = body.read()?;
            body.set("name", fields.name.as_ref());
            body.set_list("roles", &fields.roles);
            body.set("disabled", fields.disabled);
            let patch = body.patch()?;
            session.ask(operators.patch(operator, &patch, if_revision)).await.map(Answer::item)
        }
        OperatorVerb::SetPassword { operator } => {
            let password = SetPassword { password: password()? };
            session.ask(operators.set_password(operator, &password)).await.map(Answer::item)
        }
        OperatorVerb::Delete { operator } => {
            session.ask(operators.delete(operator)).await?;
            Ok(Answer::Done(format!("operator {operator} is removed")))
        }
    }
}

pub(super) async fn log_in(
    arguments: &LogInArguments,
    session: &Session,
) -> Result<Answer, CliError> {
    let log_in = LogIn { email: arguments.email.clone(), password: password()? };
    let opened = session.ask(session.client.log_in(&log_in)).await;
    let opened = opened.map_err(|error| match error {
        CliError::WrongToken { .. } => CliError::WrongPassword,
        error => error,
    })?;
    let Some(name) = session.context() else {
        return Ok(Answer::Secret { item: value(&opened), secret: opened.secret });
    };
    let kept = session.contexts.change(|contexts, tokens| {
        let path = tokens.keep(name, &opened.secret)?;
        let context = contexts.contexts.get_mut(name);
        context.ok_or_else(|| ContextError::None(name.clone()))?.token_file = None;
        Ok(path)
    })?;
    let text = format!(
        "{} is logged in to context {name}, until {} at the latest; the session is kept in {}",
        arguments.email,
        opened.expires_at,
        kept.display()
    );
    let json = json!({
        "context": name, "operator": opened.operator, "session": opened.id,
        "expires_at": opened.expires_at, "token_file": kept,
    });
    Ok(Answer::Text { text, json })
}

/// Ends the session, and forgets the token that was kept for it.
pub(super) async fn log_out(session: &Session) -> Result<Answer, CliError> {
    let ended = session.ask(session.client.log_out()).await;
    let is_over = match &ended {
        Err(error) => matches!(error, CliError::WrongToken { .. }),
        Ok(()) => true,
    };
    // One that has ended by itself is of no use either.
    if let Some(name) = session.kept_in().filter(|_| is_over) {
        session.contexts.change(|contexts, tokens| match contexts.context(name)?.token_file {
            Some(_) => Ok(()),
            None => tokens.forget(name),
        })?;
        return Ok(Answer::Done(format!("context {name} is logged out")));
    }
    ended?;
    Ok(Answer::Done("the session has ended".to_owned()))
}

/// The first line of standard input: on the command line, others could see it.
fn password() -> Result<String, CliError> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|source| CliError::Read { path: "standard input".into(), source })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
