//! `tenantry certificate`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use tenantry_api::{CertificateQuery, CreateCertificate, ReplaceCertificate};
use tenantry_model::{CertificatePem, DomainPattern};

use crate::{
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
};

/// What can be done with a certificate.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateVerb {
    /// Upload one with its private key
    Create {
        /// The tenant whose domains it serves, by id or slug; without it, it is the platform's
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        fields: CertificateFields,
    },
    /// Show some or all
    List {
        /// Only those of this tenant
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show one, without its key
    Get { id: String },
    /// Replace chain, key and domains, as for a renewal; no connection is dropped
    Replace {
        id: String,
        #[command(flatten)]
        fields: CertificateFields,
        /// Replace it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Remove one
    Delete {
        id: String,
        /// Remove it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CertificateFields {
    /// A PEM file with the leaf and then its issuers
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// A PEM file with the private key, not encrypted
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A name it is shown for; may be repeated; without it, all names of the leaf
    #[arg(long = "domain", value_name = "HOST")]
    domains: Vec<DomainPattern>,
    /// Show it where no other certificate fits
    #[arg(long)]
    default: bool,
}

/// What was read from the files.
struct Files {
    domains: BTreeSet<DomainPattern>,
    chain_pem: CertificatePem,
    key_pem: String,
    default: bool,
}

impl CertificateFields {
    fn read(&self) -> Result<Files, CliError> {
        let chain_pem = text(&self.chain)?.parse().map_err(|error| {
            CliError::Usage(format!("{} cannot be used: {error}", self.chain.display()))
        })?;
        let domains = self.domains.iter().cloned().collect();
        Ok(Files { domains, chain_pem, key_pem: text(&self.key)?, default: self.default })
    }
}

fn text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|source| CliError::Read { path: path.to_owned(), source })
}

pub(super) async fn run(verb: &CertificateVerb, session: &Session) -> Result<Answer, CliError> {
    let certificates = session.client.certificates();
    match verb {
        CertificateVerb::Create { tenant, fields } => {
            let Files { domains, chain_pem, key_pem, default } = fields.read()?;
            let tenant = tenant.clone();
            let body = CreateCertificate { tenant, domains, chain_pem, key_pem, default };
            session.ask(certificates.create(&body)).await.map(Answer::item)
        }
        CertificateVerb::List { tenant, listing } => {
            pages::collect(session, listing, async |page| {
                let (limit, cursor, tenant) = (page.limit, page.cursor, tenant.clone());
                certificates.list(&CertificateQuery { limit, cursor, tenant }).await
            })
            .await
        }
        CertificateVerb::Get { id } => session.ask(certificates.get(id)).await.map(Answer::item),
        CertificateVerb::Replace { id, fields, if_revision } => {
            let Files { domains, chain_pem, key_pem, default } = fields.read()?;
            let body = ReplaceCertificate { domains, chain_pem, key_pem, default };
            session.ask(certificates.replace(id, &body, *if_revision)).await.map(Answer::item)
        }
        CertificateVerb::Delete { id, if_revision } => {
            session.ask(certificates.delete(id, *if_revision)).await?;
            Ok(Answer::Done(format!("certificate {id} is deleted")))
        }
    }
}
