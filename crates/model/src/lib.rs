//! What a tenant, plan, route and limit *is*.
