//! Sends what is in the outbox of mail: to an SMTP server, or into files.
//!
//! What is to be sent is in the store until it was sent, so this loop keeps nothing, and may be ended at
//! any point and begun again.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType},
    },
};
use serde::{Deserialize, Serialize};
use tenantry_tenancy::Mail;
use tokio::{sync::watch, time::MissedTickBehavior};

use crate::app::App;

/// How late something due may be noticed.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many letters are sent in a row before the end is looked for.
const BATCH: usize = 20;
/// The longest line of a letter that is not encoded (RFC 5322, section 2.1.1).
const MAX_LINE_BYTES: usize = 998;
const PATIENCE: Duration = Duration::from_secs(20);

/// Where mail goes: `file`, or the URL of an SMTP server, which may hold a password. Shown by nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailUrl(String);

impl fmt::Debug for MailUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why a letter was not sent. The texts hold nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address or the sender cannot be written in a letter.
    #[error("the letter cannot be made: {0}")]
    Letter(String),
    /// The server did not take it.
    #[error("the SMTP server did not take it: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The file could not be written.
    #[error("it could not be written: {0}")]
    File(#[from] io::Error),
}

/// Takes letters to where they go.
pub struct Courier {
    from: Mailbox,
    transport: Transport,
}

enum Transport {
    Files(PathBuf),
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

impl Courier {
    /// To where the bootstrap config says; files go into this directory.
    ///
    /// # Errors
    /// If the config cannot be used; the text says what is wrong, without the URL.
    pub fn new(url: &MailUrl, from: &str, files: PathBuf) -> Result<Self, String> {
        let from = from.parse().map_err(|_| {
            "mail_from is an address such as `Tenantry <tenantry@example.com>`".to_owned()
        })?;
        let transport = if url.0 == "file" {
            Transport::Files(files)
        } else {
            // The parser's own text may repeat the URL, with its password.
            let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url.0).map_err(|_| {
                "mail_url is `file`, or a URL such as smtps://user:password@mail.example.com or \
                 smtp://mail.example.com:587?tls=required"
                    .to_owned()
            })?;
            Transport::Smtp(Box::new(smtp.timeout(Some(PATIENCE)).build()))
        };
        Ok(Self { from, transport })
    }

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let made = |error: &dyn fmt::Display| MailError::Letter(error.to_string());
        let to: Mailbox = mail.to.as_str().parse().map_err(|error| made(&error))?;
        let domain = self.from.email.domain();
        let message = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .from(self.from.clone())
            .to(to)
            .subject(mail.letter.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(body(&mail.letter.text))
            .map_err(|error| made(&error))?;
        match &self.transport {
            Transport::Smtp(smtp) => smtp.send(message).await.map(drop)?,
            Transport::Files(directory) => {
                let (directory, id) = (directory.clone(), mail.id);
                let written = tokio::task::spawn_blocking(move || {
                    files::write(&directory, &format!("{id}.eml"), &message.formatted())
                });
                written.await.map_err(io::Error::other)??;
            }
        }
        Ok(())
    }
}

/// The text as it is, where it may be: the encoding that would be chosen otherwise folds the link with
/// the token, and whoever reads the letter as a file could not follow it.
fn body(text: &str) -> Body {
    let is_plain = text.is_ascii() && text.lines().all(|line| line.len() < MAX_LINE_BYTES);
    if is_plain {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::SevenBit)
    } else {
        Body::new(text.to_owned())
    }
}

/// Looks for what is to be sent at intervals, until told to stop.
pub async fn run(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The other end gone means that the process is ending.
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = interval.tick() => {}
        }
        if !app.takes_changes().await {
            continue;
        }
        match app.tenancy.due_mail(BATCH).await {
            Ok(due) => {
                for mail in due {
                    deliver(&app, &mail).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the outbox of mail could not be read"),
        }
    }
}

async fn deliver(app: &App, mail: &Mail) {
    let noted = match app.courier.send(mail).await {
        Ok(()) => {
            tracing::info!(mail = %mail.id, "a letter was sent");
            app.tenancy.mail_sent(mail).await
        }
        Err(error) => match app.tenancy.mail_failed(mail).await {
            Ok(again) => {
                tracing::warn!(mail = %mail.id, %error, %again, "a letter could not be sent");
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    if let Err(error) = noted {
        tracing::warn!(mail = %mail.id, %error, "what came of a letter could not be noted");
    }
}

mod files {
    use std::{
        fs::{self, DirBuilder, OpenOptions},
        io::{self, Write as _},
        os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
        path::Path,
    };

    /// Writes a letter that only this user can read: whole, or not at all.
    pub(super) fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let beside = directory.join(format!("{name}.new"));
        let mut open = OpenOptions::new();
        let mut file = open.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(beside, directory.join(name))
    }
}
