//! `tenantry`: the operator's command, and `tenantry up`, which runs everything on one machine.
//!
//! A command is parsed ([`args`]), asks the API through one [`session`], and ends in an
//! [`output::Answer`] that is printed as a table, as JSON or as YAML. How it ended is in its exit code ([`exit`]).

mod args;
mod contexts;
mod error;
mod exit;
mod session;
mod value;
mod waiting;

mod body;
mod output;
mod pages;

mod commands;
mod explain;
mod http;
mod up;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, builder::Resettable};

use args::{ApiCommand, Cli, Command};
use contexts::ContextStore;
use error::CliError;
use exit::Exit;
use output::Answer;
use session::{Session, Sources};

/// One thread is enough for what waits most of the time. `up` also depends on it: the kernel ties a
/// child to the *thread* that started it, and this one lives as long as the process.
fn main() -> ExitCode {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .context("the runtime cannot be set up")
        .and_then(|runtime| runtime.block_on(run(&cli, Sources::of(&matches))));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            let exit = error.downcast_ref().map_or(Exit::Failed, CliError::exit);
            // As of `diff` everywhere: 1 is what it found.
            let is_diff = matches!(cli.command, Command::Api(ApiCommand::Diff(_)));
            ExitCode::from(if is_diff { Exit::Usage.code() } else { exit.code() })
        }
    }
}

/// The command line. A variable of the environment that is set to nothing says nothing.
fn command() -> clap::Command {
    Cli::command().mut_args(|argument| {
        let value = argument.get_env().and_then(std::env::var_os);
        match value.is_some_and(|value| value.is_empty()) {
            true => argument.env(Resettable::Reset),
            false => argument,
        }
    })
}

async fn run(cli: &Cli, sources: Sources) -> anyhow::Result<u8> {
    if !matches!(cli.command, Command::Api(_)) && (cli.dry_run || cli.wait.is_some()) {
        let text = "--dry-run and --wait are for commands that ask the API";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let contexts = ContextStore::below(config_home());
    let answer = match &cli.command {
        Command::Up(up) => {
            up::run(up, &cli.connection, clock()).await?;
            return Ok(Exit::Done.code());
        }
        Command::RunChild(child) => return Err(up::run_child(child).into()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tenantry", &mut script);
            io::stdout().write_all(&script)?;
            return Ok(Exit::Done.code());
        }
        Command::Explain(explain) => explain::run(explain, &cli.connection).await?,
        Command::Context(verb) => commands::context::run(verb, &contexts)?,
        Command::Api(command) => return ask(cli, command, sources, &contexts).await,
    };
    print(cli, &answer)?;
    Ok(Exit::Done.code())
}

/// Asks the API, prints what it says, and waits until that is in force.
async fn ask(
    cli: &Cli,
    command: &ApiCommand,
    sources: Sources,
    contexts: &ContextStore,
) -> anyhow::Result<u8> {
    if cli.dry_run && !command.can_be_rehearsed() {
        let text = "this cannot be looked at without being done: leave --dry-run out";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let mut session = Session::open(&cli.connection, sources, contexts, command.needs_token())?;
    if cli.dry_run {
        session = session.rehearsing();
    }
    let refused = match cli.wait {
        Some(_) => Some(waiting::before(&session).await?),
        None => None,
    };
    let answer = commands::run(command, cli.output, &session).await?;
    let answer = if session.client.has_rehearsed() { answer.rehearsed() } else { answer };
    // Before it is waited for: what was made is made, and its secret is shown only this once.
    print(cli, &answer)?;
    if let (Some(refused), Some(seconds)) = (refused, cli.wait) {
        waiting::enforced(&session, &refused, Duration::from_secs(seconds.into())).await?;
    }
    Ok(u8::from(matches!(answer, Answer::Differs { .. })))
}

fn print(cli: &Cli, answer: &Answer) -> io::Result<()> {
    if matches!(answer, Answer::Nothing) {
        return Ok(());
    }
    let (text, note) = answer.render(cli.output);
    writeln!(io::stdout(), "{text}")?;
    match note {
        Some(note) => writeln!(io::stderr(), "{note}"),
        None => Ok(()),
    }
}

/// Where this user's configuration is (XDG Base Directory Specification).
fn config_home() -> Option<PathBuf> {
    let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))
}

/// Seconds since 1970; what the demo's token is dated with.
fn clock() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the composition root reads the clock")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The sentence, and the last cause: what lies between says the same again in other words.
fn complain(error: &anyhow::Error) {
    let mut text = format!("tenantry: {error}");
    if error.chain().len() > 1 {
        text = format!("{text}: {}", error.root_cause());
    }
    // If even this cannot be written, the exit code still tells.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whoever reads the output (`| head`) has read enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let written = match error.downcast_ref() {
        Some(CliError::Write(error)) => Some(error),
        _ => error.downcast_ref::<io::Error>(),
    };
    written.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
