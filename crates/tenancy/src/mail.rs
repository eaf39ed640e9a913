//! The outbox of mail: what is to be sent stands in the store, written in the commit that gives the
//! reason for it, and goes when it has been sent.
//!
//! A process that ends between sending and saying so sends again: at least once, and each time with the
//! same Message-ID, by which a mailbox knows it. The text of an invitation holds its token, so it is
//! sealed under the master key while it waits, if there is one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenantry_model::{Email, InvitationId, KeyDigest, SealedSecret, Timestamp};
use ulid::Ulid;

use crate::{
    Error, StoreFault, Tenancy, Versioned,
    draft::{Draft, Operation, encoded},
    invitation::{InvitationRecord, InvitationState},
    layout,
    tenancy::damaged,
};

/// The first wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// What is sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The subject, on one line.
    pub subject: String,
    /// The text.
    pub text: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Envelope {
    Sealed(SealedSecret),
    Open(Letter),
}

/// A row of the outbox.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MailRecord {
    id: Ulid,
    to: Email,
    invitation: InvitationId,
    /// Of the token in the text; another one by now makes the letter void.
    digest: KeyDigest,
    letter: Envelope,
    attempts: u32,
    due_at: Timestamp,
}

/// A letter that is to be sent now.
pub struct Mail {
    /// What its Message-ID is made of.
    pub id: Ulid,
    /// To whom.
    pub to: Email,
    /// What.
    pub letter: Letter,
    record: Versioned<MailRecord>,
}

impl MailRecord {
    fn key(&self) -> String {
        layout::mail(self.due_at, self.id)
    }
}

impl Tenancy {
    /// Adds a letter to the outbox, in the commit of the invitation that it carries.
    pub(crate) fn posted<T>(
        &self,
        draft: Draft<T>,
        to: Email,
        invitation: &InvitationRecord,
        letter: Letter,
    ) -> Result<Draft<T>, Error> {
        let now = self.now();
        let id = Ulid::from_parts(now.unix_ms(), self.identifiers.random());
        let letter = if self.master_keys.is_empty() {
            Envelope::Open(letter)
        } else {
            let text = encoded("letter", &letter)?;
            let sealed = self.master_keys.seal(&text, &context(id), self.random_bytes());
            Envelope::Sealed(sealed.map_err(|_| Error::NoMasterKey)?)
        };
        let (invitation, digest) = (invitation.id, invitation.digest);
        let record = MailRecord { id, to, invitation, digest, letter, attempts: 0, due_at: now };
        Ok(draft.put(record.key(), encoded("letter", &record)?))
    }

    /// What is to be sent now, the longest due first. What has become void is dropped.
    ///
    /// # Errors
    /// What reading and dropping can end in.
    pub async fn due_mail(&self, most: usize) -> Result<Vec<Mail>, Error> {
        let page = self.store.scan(layout::MAIL.as_bytes(), None, most).await?;
        let mut due = Vec::new();
        for row in &page.rows {
            let record: Versioned<MailRecord> = crate::tenancy::decoded(row)?;
            if record.value.due_at > self.now() {
                break;
            }
            if self.is_void(&record.value).await? {
                self.mail_is_done(&record).await?;
                continue;
            }
            let MailRecord { id, to, letter, .. } = record.value.clone();
            let letter = match letter {
                Envelope::Open(letter) => letter,
                Envelope::Sealed(sealed) => {
                    let text = self.master_keys.open(&sealed, &context(id));
                    let text = text.map_err(|_| damaged(&row.key))?;
                    serde_json::from_slice(&text).map_err(|_| damaged(&row.key))?
                }
            };
            due.push(Mail { id, to, letter, record });
        }
        Ok(due)
    }

    async fn is_void(&self, mail: &MailRecord) -> Result<bool, Error> {
        let found: Option<Versioned<InvitationRecord>> =
            self.find(&layout::invitation(mail.invitation), None).await?;
        Ok(!found.is_some_and(|found| {
            let invitation = found.value;
            invitation.state == InvitationState::Pending
                && invitation.digest == mail.digest
                && invitation.expires_at > self.now()
        }))
    }

    /// A letter was sent: it goes from the outbox.
    ///
    /// # Errors
    /// What a commit can end in; it is then sent once more.
    pub async fn mail_sent(&self, mail: &Mail) -> Result<(), Error> {
        self.mail_is_done(&mail.record).await
    }

    /// A letter could not be sent: it is tried again later. Returns when.
    ///
    /// # Errors
    /// What a commit can end in; it is then tried again soon.
    pub async fn mail_failed(&self, mail: &Mail) -> Result<Timestamp, Error> {
        let old = &mail.record.value;
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(old.attempts));
        let due_at = self.now().after(wait.min(LONGEST_WAIT));
        let record = MailRecord { attempts: old.attempts.saturating_add(1), due_at, ..old.clone() };
        self.move_mail(&mail.record, Some(&record)).await?;
        Ok(due_at)
    }

    async fn mail_is_done(&self, record: &Versioned<MailRecord>) -> Result<(), Error> {
        self.move_mail(record, None).await
    }

    async fn move_mail(
        &self,
        old: &Versioned<MailRecord>,
        new: Option<&MailRecord>,
    ) -> Result<(), Error> {
        let moved = self.run(&crate::Caller::system(), &Move { old, new }).await;
        match moved {
            Err(Error::Store(StoreFault::Unknown)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn context(id: Ulid) -> String {
    format!("mail/{id}")
}

struct Move<'a> {
    old: &'a Versioned<MailRecord>,
    new: Option<&'a MailRecord>,
}

impl Operation for Move<'_> {
    type Output = ();

    async fn draft(&self, tenancy: &Tenancy) -> Result<Draft<()>, Error> {
        let key = self.old.value.key();
        let found: Option<Versioned<MailRecord>> = tenancy.find(&key, None).await?;
        let draft = Draft::quiet(());
        if found.is_none_or(|found| found.revision != self.old.revision) {
            // Somebody else has been here.
            return Ok(draft);
        }
        let draft = draft.unchanged(key.clone(), self.old.revision).delete(key);
        match self.new {
            Some(new) => Ok(draft.put(new.key(), encoded("letter", new)?)),
            None => Ok(draft),
        }
    }
}
