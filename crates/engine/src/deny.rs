//! Why a request was refused: a closed list, each with its HTTP status and who is to blame.

/// Who has to act for the request to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Whoever sent the request.
    Client,
    /// The tenant or its operator: a state, a list, a limit.
    Tenant,
    /// The server behind the gateway.
    Upstream,
    /// The gateway itself.
    Gateway,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident, $status:literal, $blame:ident, $label:literal, $title:literal;)*) => {
        /// A reason to refuse a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status of the answer.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Who is to blame.
            #[must_use]
            pub fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }

            /// Whether it says of a well-formed request that this one may not: another snapshot might let it
            /// pass.
            #[must_use]
            pub fn is_denial(self) -> bool {
                matches!(self.status(), 401 | 403 | 404 | 413 | 421 | 429)
            }

            /// The stable name: the end of the problem `type` and the metric label.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What a person reads first. It never tells which tenants exist.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

reasons! {
    /// The request is ambiguous or malformed.
    BadRequest, 400, Client, "bad-request", "The request is not well formed";
    /// The request did not arrive in time.
    RequestTimeout, 408, Client, "request-timeout", "The request did not arrive in time";
    /// The request target is longer than allowed.
    TargetTooLong, 414, Client, "target-too-long", "The request target is too long";
    /// The request's headers are longer or more than allowed.
    HeadersTooLarge, 431, Client, "headers-too-large", "The request headers are too large";
    /// The TLS server name and the host belong to different tenants.
    Misdirected, 421, Client, "misdirected", "This connection does not serve that host";
    /// No tenant owns the host, and no credential names one.
    UnknownHost, 404, Client, "unknown-host", "There is nothing here";
    /// No route matches.
    NoRoute, 404, Client, "no-route", "There is nothing at this path";
    /// A credential is needed and none was presented.
    CredentialMissing, 401, Client, "credential-missing", "A credential is required";
    /// A credential was presented that is not good.
    CredentialInvalid, 401, Client, "credential-invalid", "The credential is not valid";
    /// The credential was good once.
    CredentialExpired, 401, Client, "credential-expired", "The credential has expired";
    /// The tenant asks for a client certificate, and the connection was made without one for it.
    ClientCertificateRequired, 403, Client, "client-certificate-required", "A client certificate is required";
    /// Host, key and token name different tenants.
    TenantMismatch, 403, Client, "tenant-mismatch", "The credential is not for this host";
    /// The tenant is suspended.
    TenantSuspended, 403, Tenant, "tenant-suspended", "The account is suspended";
    /// The tenant is neither active nor suspended.
    TenantInactive, 403, Tenant, "tenant-inactive", "The account is not active";
    /// The client's address may not reach the tenant.
    IpDenied, 403, Tenant, "ip-denied", "Access from this address is not allowed";
    /// The route needs a feature that is off for the tenant.
    FeatureDisabled, 403, Tenant, "feature-disabled", "This feature is not enabled";
    /// The credential lacks a scope that the route needs.
    ScopeMissing, 403, Client, "scope-missing", "The credential does not allow this";
    /// A rate limit of the tenant is used up.
    RateLimited, 429, Client, "rate-limited", "Too many requests";
    /// Too many requests of the tenant are in progress.
    TooManyConcurrent, 429, Client, "too-many-concurrent", "Too many requests at once";
    /// The request's body is larger than the tenant's limit.
    BodyTooLarge, 413, Client, "body-too-large", "The request body is too large";
    /// No endpoint of the upstream can be reached.
    UpstreamUnavailable, 503, Upstream, "upstream-unavailable", "The service is not available";
    /// The upstream broke off or answered nonsense.
    UpstreamFailed, 502, Upstream, "upstream-failed", "The service did not answer properly";
    /// The upstream took too long.
    UpstreamTimeout, 504, Upstream, "upstream-timeout", "The service did not answer in time";
    /// The gateway has more in progress than it was set to take.
    Overloaded, 503, Gateway, "overloaded", "The gateway is overloaded";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_a_url_and_a_label() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
        );
    }
}
