//! One module for each resource: what its paths take, which operation that is, what they return.

pub mod documents;
pub mod subscriptions;
pub mod tenants;

pub mod certificates;
pub mod domains;
pub mod issuers;
pub mod keys;

pub mod audit;
pub mod invitations;
pub mod members;
pub mod nodes;
pub mod operators;
pub mod proxies;
pub mod quotas;
pub mod replay;
pub mod roles;
pub mod rollouts;
pub mod sessions;
pub mod tokens;
pub mod users;

pub mod description;
pub mod desired;
pub mod distribution;
pub mod explain;
pub mod health;
pub mod import;
pub mod revisions;
pub mod snapshot;
