//! `tenantry`: the operator's command, and `tenantry up`, which runs everything on one machine.
//!
//! A command is parsed ([`args`]), asks the API through one [`session`], and ends in an
//! [`output::Answer`] that is printed as a table, as JSON or as YAML. It exits with 0 if it was done, 1 if the
//! API or the operation refused it, and 2 if the command line is not usable. `diff` is as `diff` is
//! everywhere: 0 if nothing differs, 1 if something does, 2 if that could not be found out.

mod args;
mod error;
mod session;
mod value;

mod body;
mod output;
mod pages;

mod commands;
mod explain;
mod http;
mod up;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use args::{ApiCommand, Cli, Command};
use error::CliError;
use output::Answer;
use session::Session;

/// One thread is enough for what waits most of the time. `up` also depends on it: the kernel ties a
/// child to the *thread* that started it, and this one lives as long as the process.
fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime
        .context("the runtime cannot be set up")
        .and_then(|runtime| runtime.block_on(run(&cli)));
    match done {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            let usage = matches!(error.downcast_ref(), Some(CliError::Usage(_)));
            // As of `diff` everywhere: 1 is what it found.
            let is_diff = matches!(cli.command, Command::Api(ApiCommand::Diff(_)));
            ExitCode::from(if usage || is_diff { 2 } else { 1 })
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let answer = match &cli.command {
        Command::Up(up) => {
            up::run(up, &cli.connection, clock()).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::RunChild(child) => return Err(up::run_child(child).into()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "tenantry", &mut script);
            io::stdout().write_all(&script)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Explain(explain) => explain::run(explain, &cli.connection).await?,
        Command::Api(command) => {
            let session = match command.needs_token() {
                true => Session::open(&cli.connection)?,
                false => Session::without_token(&cli.connection)?,
            };
            commands::run(command, cli.output, &session).await?
        }
    };
    if matches!(answer, Answer::Nothing) {
        return Ok(ExitCode::SUCCESS);
    }
    let (text, note) = answer.render(cli.output);
    writeln!(io::stdout(), "{text}")?;
    if let Some(note) = note {
        writeln!(io::stderr(), "{note}")?;
    }
    Ok(ExitCode::from(u8::from(matches!(answer, Answer::Differs { .. }))))
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
