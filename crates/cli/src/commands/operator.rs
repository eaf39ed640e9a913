//! `tenantry operator` and `tenantry login`.

use std::io::{self, BufRead as _};

use clap::{Args, Subcommand};
use tenantry_api::{CreateOperator, LogIn, SetPassword};
use tenantry_model::{Email, OperatorRole};

use crate::{
    body::{ChangeBody, NewBody},
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
    Ok(Answer::Secret { item: value(&opened), secret: opened.secret })
}

/// The first line of standard input: on the command line, others could see it.
fn password() -> Result<String, CliError> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|source| CliError::Read { path: "standard input".into(), source })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
