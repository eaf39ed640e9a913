//! What the lines of one import want for their tenants alone.
//!
//! Many lines are under way at once, so which of two that want the same would get it is anybody's guess.
//! It is the first, and whoever runs an import twice is told the same twice. What is kept of a name are
//! 128 bits that nobody can foresee, so that a million tenants take some megabytes.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use tenantry_api::ProblemKind;
use tenantry_tenancy::ImportTenant;

use crate::http::failure::Failure;

/// The most names of one import: slugs, domains and digests of keys together.
const MAX_NAMES: usize = 2_000_000;

/// The names in the lines so far.
#[derive(Default)]
pub(super) struct Claims {
    names: HashSet<u128>,
    hashers: (RandomState, RandomState),
}

impl Claims {
    /// Whether there is room for no more.
    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= MAX_NAMES
    }

    /// Takes the names of a tenant.
    ///
    /// # Errors
    /// If an earlier line has one of them, whatever became of that line.
    pub(super) fn take(&mut self, tenant: &ImportTenant) -> Result<(), Failure> {
        self.take_one("slug", tenant.spec.slug.as_str(), || "/slug".to_owned())?;
        for (index, host) in tenant.domains.iter().enumerate() {
            self.take_one("domain", &host.to_string(), || format!("/domains/{index}"))?;
        }
        match &tenant.key {
            Some((_, digest)) => {
                self.take_one("key", &digest.to_string(), || "/key/digest".to_owned())
            }
            None => Ok(()),
        }
    }

    fn take_one(
        &mut self,
        kind: &str,
        name: &str,
        pointer: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let (high, low) = &self.hashers;
        let bits = |hasher: &RandomState| u128::from(hasher.hash_one((kind, name)));
        if self.names.insert((bits(high) << 64) | bits(low)) {
            return Ok(());
        }
        let detail = format!("an earlier line has this {kind}");
        Err(Failure::new(ProblemKind::Invalid, detail).at(pointer()))
    }
}
