//! `tenantry context`: several control planes, each with a name.

use std::{
    io::{self, Read as _},
    path::PathBuf,
};

use clap::Subcommand;
use serde::Serialize;

use crate::{
    contexts::{Context, ContextError, ContextStore, Contexts, Name},
    error::CliError,
    output::{Answer, Columns, Rest},
    session::with_scheme,
};

/// What can be done with a context. None of it asks a control plane.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextVerb {
    /// Give a control plane a name
    Add {
        name: Name,
        /// Its API, such as http://127.0.0.1:7070
        #[arg(long = "url", value_name = "URL", value_parser = url)]
        url: String,
        /// The file that holds its token, which nobody else may read; `login` needs none
        #[arg(long, value_name = "FILE", conflicts_with = "token_stdin")]
        token_file: Option<PathBuf>,
        /// Read its token from standard input, and keep it
        #[arg(long)]
        token_stdin: bool,
        /// Make it the current one
        #[arg(long = "use")]
        use_it: bool,
    },
    /// Show all
    List,
    /// Make one the current one
    Use { name: Name },
    /// Show one, or the current one
    Show { name: Option<Name> },
    /// Give one another name
    Rename { name: Name, new: Name },
    /// Forget one, with the token that is kept for it; its session is not ended
    Remove { name: Name },
}

/// A context as it is shown: where its token is, and nothing of it.
#[derive(Debug, Serialize)]
struct Shown {
    name: Name,
    current: bool,
    api: String,
    token_file: PathBuf,
    has_token: bool,
}

impl Columns for Shown {
    const NAMES: &'static [&'static str] = &["CURRENT", "NAME", "API", "TOKEN"];

    fn cells(&self) -> Vec<String> {
        let mark = if self.current { "*" } else { "" };
        let token = if self.has_token { "yes" } else { "no" };
        vec![mark.to_owned(), self.name.to_string(), self.api.clone(), token.to_owned()]
    }
}

pub(crate) fn run(verb: &ContextVerb, store: &ContextStore) -> Result<Answer, CliError> {
    match verb {
        ContextVerb::Add { name, url, token_file, token_stdin, use_it } => {
            let token = token_stdin.then(token).transpose()?;
            let token_file = token_file.as_ref().map(std::path::absolute).transpose();
            let token_file =
                token_file.map_err(|source| CliError::Read { path: ".".into(), source })?;
            let context = Context { api: url.clone(), token_file };
            add(store, name, &context, token.as_deref(), *use_it)?;
            Ok(Answer::Done(format!("context {name} is {}", context.api)))
        }
        ContextVerb::List => {
            let contexts = store.read()?;
            let all = contexts.contexts.iter();
            let all = all.map(|(name, context)| shown(store, &contexts, name, context));
            Ok(Answer::list(&all.collect::<Result<Vec<_>, _>>()?, Rest::Nothing))
        }
        ContextVerb::Use { name } => {
            store.change(|contexts, _| {
                contexts.context(name)?;
                contexts.current = Some(name.clone());
                Ok(())
            })?;
            Ok(Answer::Done(format!("context {name} is the current one")))
        }
        ContextVerb::Show { name } => {
            let contexts = store.read()?;
            let (name, context) = contexts.named(name.as_ref())?;
            Ok(Answer::item(shown(store, &contexts, &name, &context)?))
        }
        ContextVerb::Rename { name, new } => {
            rename(store, name, new)?;
            Ok(Answer::Done(format!("context {name} is called {new}")))
        }
        ContextVerb::Remove { name } => {
            store.change(|contexts, tokens| {
                contexts.contexts.remove(name).ok_or_else(|| ContextError::None(name.clone()))?;
                contexts.current.take_if(|current| current == name);
                tokens.forget(name)
            })?;
            Ok(Answer::Done(format!("context {name} is forgotten")))
        }
    }
}

fn add(
    store: &ContextStore,
    name: &Name,
    context: &Context,
    token: Option<&str>,
    use_it: bool,
) -> Result<(), ContextError> {
    store.change(|contexts, tokens| {
        if contexts.contexts.contains_key(name) {
            return Err(ContextError::Taken(name.clone()));
        }
        // What a context of this name may have left behind is not for this one.
        tokens.forget(name)?;
        if let Some(token) = token {
            tokens.keep(name, token)?;
        }
        contexts.contexts.insert(name.clone(), context.clone());
        if use_it {
            contexts.current = Some(name.clone());
        }
        Ok(())
    })
}

fn rename(store: &ContextStore, name: &Name, new: &Name) -> Result<(), ContextError> {
    store.change(|contexts, tokens| {
        if contexts.contexts.contains_key(new) {
            return Err(ContextError::Taken(new.clone()));
        }
        let context = contexts.contexts.remove(name);
        let context = context.ok_or_else(|| ContextError::None(name.clone()))?;
        tokens.forget(new)?;
        tokens.rename(name, new)?;
        contexts.contexts.insert(new.clone(), context);
        if contexts.current.as_ref() == Some(name) {
            contexts.current = Some(new.clone());
        }
        Ok(())
    })
}

fn shown(
    store: &ContextStore,
    contexts: &Contexts,
    name: &Name,
    context: &Context,
) -> Result<Shown, ContextError> {
    let token_file = store.token_file(name, context)?;
    Ok(Shown {
        name: name.clone(),
        current: contexts.current.as_ref() == Some(name),
        api: context.api.clone(),
        has_token: token_file.exists(),
        token_file,
    })
}

/// All of standard input: on the command line, others could see it.
fn token() -> Result<String, CliError> {
    let mut token = String::new();
    let read = io::stdin().read_to_string(&mut token);
    read.map_err(|source| CliError::Read { path: "standard input".into(), source })?;
    match token.trim() {
        "" => Err(CliError::Usage("there is no token on standard input".to_owned())),
        token => Ok(token.to_owned()),
    }
}

/// An address without anything secret in it: it is shown.
fn url(text: &str) -> Result<String, String> {
    let url = with_scheme(text.to_owned());
    let uri: http::Uri = url.parse().map_err(|_| "this is no URL".to_owned())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if !is_http || authority.is_empty() || authority.contains('@') || uri.query().is_some() {
        return Err(
            "write it as http://HOST:PORT, without a name, a password or a query".to_owned()
        );
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_no_secrets() {
        assert_eq!(url("127.0.0.1:7070/").unwrap(), "http://127.0.0.1:7070");
        assert_eq!(url("https://api.example.com").unwrap(), "https://api.example.com");
        for bad in ["http://ada:secret@a", "ftp://a", "http://", "http://a?token=x", "http://a b"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
