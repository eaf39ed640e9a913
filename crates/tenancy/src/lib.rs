//! What may be done to a tenant.
