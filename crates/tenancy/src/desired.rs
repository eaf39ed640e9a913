//! The platform as documents: what is there, how it differs from what is meant, and making it so.
//!
//! Documents hold names and no identifiers that the platform chose, no revisions, and no secrets, so the
//! same ones mean the same on every platform.
//!
//! **All or nothing, as far as it goes.** Every document is parsed, and then every change is drafted on
//! top of those before it ([`overlay`]), by the same code that does it alone; so what is at fault is found
//! before anything is written. If all of it fits one commit, it is one commit. Otherwise it is several,
//! each as large as it may be, in an order in which everything stands after what it refers to. A walk
//! that was cut off is finished by another one: each looks at what is there before it decides.

mod apply;
mod declared;
mod export;
mod import;
mod issuers;
mod overlay;
mod past;
mod proposed;
mod removal;
mod rollback;
mod staged;
mod undo;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_directory::Filter;
use tenantry_model::ResourceKind;

pub use declared::Written;
pub use import::{ImportTenant, Imported, OnConflict};
pub use proposed::Proposed;
pub use removal::MassRemoval;
pub use rollback::{Left, RolledBack};

use crate::{Error, Fault, Tenancy};
use declared::{Declared, Name, name_of};
use export::Current;

/// The most faults that are told of at once.
const MAX_FAULTS: usize = 100;

/// Tenants with a label of this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector {
    name: String,
    value: String,
}

impl LabelSelector {
    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(&self.name) == Some(&self.value)
    }

    /// The same for a list.
    pub(crate) fn filter(&self) -> Filter {
        Filter::label(&self.name, &self.value)
    }
}

impl FromStr for LabelSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("write a label as name=value".to_owned()),
        }
    }
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// As documents, by kind and name.
    pub documents: Vec<Written>,
    /// What no document says.
    pub left_out: Vec<String>,
}

/// Something that is not as it is meant to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is.
    pub kind: ResourceKind,
    /// Which.
    pub name: String,
    /// As it is; nothing, if it is not there.
    pub before: Option<Written>,
    /// As it is meant to be; nothing, if it is not meant to be there.
    pub after: Option<Written>,
}

/// What came of making things as they are meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// In how many commits.
    pub chunks: usize,
    /// What was changed.
    pub changes: Vec<Difference>,
}

/// What has to be done, and for which of the documents that were sent.
struct Wanted {
    changes: Vec<Difference>,
    /// Documents that differ from what is there, in order, each with its place among those sent.
    documents: Vec<(usize, Declared)>,
    /// Tenants that are not meant to be there.
    pruned: Vec<String>,
    faults: Vec<Fault>,
    /// What has a document that is at fault: nothing that needs it can be looked at.
    faulty: BTreeSet<Name>,
}

impl Tenancy {
    /// Everything there are documents of, at one revision.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn export(&self, label: Option<&LabelSelector>) -> Result<Exported, Error> {
        let current = self.declared(label).await?;
        let left_out = current.left_out();
        // Each is let go of as soon as it is written: a large platform is not there twice.
        let documents = current.all.into_values().map(|declared| declared.written());
        Ok(Exported { documents: documents.collect::<Result<_, _>>()?, left_out })
    }

    /// What would have to be changed for everything to be as the documents say. What no document is of
    /// stays as it is, except tenants with the label `prune`.
    ///
    /// # Errors
    /// [`Error::Faults`].
    pub async fn diff(
        &self,
        documents: &[Value],
        prune: Option<&LabelSelector>,
    ) -> Result<Vec<Difference>, Error> {
        let wanted = self.wanted(documents, prune).await?;
        told(wanted.faults)?;
        Ok(wanted.changes)
    }

    async fn wanted(
        &self,
        documents: &[Value],
        prune: Option<&LabelSelector>,
    ) -> Result<Wanted, Error> {
        let Current { all: mut current, unnamed } = self.declared(None).await?;
        let mut wanted = Wanted {
            changes: Vec::new(),
            documents: Vec::new(),
            pruned: Vec::new(),
            faults: Vec::new(),
            faulty: BTreeSet::new(),
        };
        let mut named: BTreeMap<Name, (usize, Declared)> = BTreeMap::new();
        for (index, document) in documents.iter().enumerate() {
            let name = name_of(document);
            let declared = match Declared::parse(document.clone()) {
                Ok(declared) => declared,
                Err(error) => {
                    wanted.faults.push(fault(index, name.as_ref(), error)?);
                    wanted.faulty.extend(name);
                    continue;
                }
            };
            let name = declared.name();
            if unnamed.contains(&name) {
                let detail = "there is more than one with this name; change them by their id";
                let error = Error::invalid("/issuer", detail);
                wanted.faults.push(fault(index, Some(&name), error)?);
                continue;
            }
            if let Some((earlier, _)) = named.get(&name) {
                let detail = format!("this is also what /documents/{earlier} is of");
                wanted.faults.push(fault(index, Some(&name), Error::invalid("", detail))?);
                continue;
            }
            named.insert(name, (index, declared));
        }
        for (name, (index, declared)) in named {
            let before = current.remove(&name);
            let declared = declared.over(before.as_ref());
            let (before, after) = (before.map(|it| it.written()).transpose()?, declared.written()?);
            if before.as_ref() != Some(&after) {
                let (kind, name) = name;
                let change = Difference { kind, name, before, after: Some(after) };
                wanted.changes.push(change);
                wanted.documents.push((index, declared));
            }
        }
        for ((kind, name), declared) in current.into_iter().rev() {
            let is_faulty = wanted.faulty.contains(&(kind, name.clone()));
            if let (Declared::Tenant(tenant), Some(prune)) = (&declared, prune)
                && prune.selects(&tenant.spec.labels)
                && !is_faulty
            {
                wanted.pruned.push(name.clone());
                let before = Some(declared.written()?);
                wanted.changes.push(Difference { kind, name, before, after: None });
            }
        }
        Ok(wanted)
    }
}

/// What is wrong with a document; an error that is no fault of any goes on.
fn fault(index: usize, name: Option<&Name>, error: Error) -> Result<Fault, Error> {
    let (pointer, detail) = told_of(error)?;
    let detail = match name {
        Some((kind, name)) => format!("{kind} {name}: {detail}"),
        None => detail,
    };
    Ok(Fault { pointer: format!("/documents/{index}{pointer}"), detail })
}

/// What is wrong with a change, and where; an error that is no fault of any goes on.
fn told_of(error: Error) -> Result<(String, String), Error> {
    let detail = error.to_string();
    let pointer = match error {
        Error::Invalid { pointer, .. } | Error::DomainTaken { pointer, .. } => pointer,
        Error::SlugTaken(_) => "/slug".to_owned(),
        Error::InvalidState { .. }
        | Error::InUse { .. }
        | Error::IdTaken { .. }
        | Error::NotFound { .. }
        | Error::TooLarge { .. }
        | Error::NoMasterKey => String::new(),
        other => return Err(other),
    };
    Ok((pointer, detail))
}

fn told(mut faults: Vec<Fault>) -> Result<(), Error> {
    if faults.is_empty() {
        return Ok(());
    }
    faults.truncate(MAX_FAULTS);
    Err(Error::Faults(faults))
}
