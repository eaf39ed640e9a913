//! `--demo`: an origin server, three tenants, and requests to try.
//!
//! What the demo makes is in `config/demo.json`. Setting it up again puts it back to what it says
//! there, with a new key and a new token: the API shows a secret only once.

mod guide;
mod origin;
mod records;

use serde::Serialize;

pub(super) use guide::Guide;

use super::{
    DataDir, Progress, UpError,
    start::{Addresses, now, since},
};
use crate::session::{self, Session};
use guide::{Access, Curl};
use origin::Origin;
use records::Records;

/// What to try, for programs. It also marks a data directory as the demo's own, so that the demo
/// never overwrites plans and tenants that somebody else made.
const FILE: &str = "demo.json";

/// What the demo needs to be set up.
pub(super) struct Demo<'a> {
    pub(super) addresses: &'a Addresses,
    pub(super) directory: &'a DataDir,
    /// The root token, if it was given and is thus in no file.
    pub(super) token: Option<&'a str>,
    /// Seconds since 1970.
    pub(super) now: u64,
}

#[derive(Default, Serialize)]
struct File<'g> {
    curls: &'g [Curl],
}

impl Demo<'_> {
    /// Starts the origin server and makes what the demo needs; returns once the proxy enforces it.
    pub(super) async fn set_up(&self, progress: &mut Progress) -> Result<Guide, UpError> {
        progress.begin("setting up the demo");
        let began = now();
        let origin = Origin::start().await.map_err(UpError::Origin)?;
        let session = self.session()?;
        let records = Records { session: &session, now: self.now };
        if !self.directory.has(FILE) && records.has_tenants().await? {
            return Err(UpError::NotTheDemos { path: self.directory.path().to_owned() });
        }
        self.directory.write(FILE, &File::default())?;
        let credentials = records.put_in_place(origin.address()).await?;
        records::enforced(&self.addresses.proxy_admin.url(), credentials.revision).await;

        let guide = Guide::new(
            &credentials,
            &Access {
                origin: origin.url(),
                proxy: self.addresses.proxy.url(),
                api: self.addresses.api.url(),
                root_token_file: self
                    .token
                    .is_none()
                    .then(|| self.directory.path().join(session::ROOT_TOKEN)),
            },
        );
        self.directory.write(FILE, &File { curls: &guide.curls })?;
        progress.end(&since(began));
        Ok(guide)
    }

    fn session(&self) -> Result<Session, UpError> {
        let token = match self.token {
            Some(token) => token.to_owned(),
            None => session::root_token(self.directory.path())?,
        };
        Ok(Session::to(self.addresses.api.url(), token.trim())?)
    }
}

/// After the end nothing that was printed works any more, and the file holds a key: it is emptied,
/// and stays as the mark of a demo.
pub(super) fn expire(directory: &DataDir) {
    if directory.has(FILE) {
        // If it cannot be written it is as it was; the next start replaces the key in any case.
        let _ = directory.write(FILE, &File::default());
    }
}
