//! Tenantry beside other proxies that are given the same policy.

fn main() {}
