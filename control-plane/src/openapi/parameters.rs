//! Parameters that many operations have, as their attributes name them.

use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::Type,
    },
};

macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident: $in:ident $(($parameter:literal, $description:literal))+;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl IntoParams for $name {
                fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                    vec![$(parameter(ParameterIn::$in, $parameter, $description)),+]
                }
            }
        )*
    };
}

parameters! {
    /// The tenant in the path.
    TenantName: Path ("tenant", "The tenant's id or slug.");
    /// A tenant that is gone.
    PurgedTenantName: Path ("tenant", "The id that the tenant had.");
    /// A quota of a tenant.
    QuotaName: Path ("tenant", "The tenant's id or slug.") ("meter", "What is counted.");
    /// A domain of a tenant.
    DomainName: Path ("tenant", "The tenant's id or slug.") ("host", "The domain.");
    /// A key of a tenant.
    KeyName: Path ("tenant", "The tenant's id or slug.") ("id", "The key's id.");
    /// An issuer of a tenant.
    IssuerName: Path ("tenant", "The tenant's id or slug.") ("id", "The issuer's id.");
    /// An issuer of all tenants.
    SharedIssuerName: Path ("id", "The issuer's id.");
    /// A certificate.
    CertificateName: Path ("id", "The certificate's id.");
    /// A plan.
    PlanName: Path ("id", "The plan's id.");
    /// A group.
    GroupName: Path ("id", "The group's id.");
    /// A feature.
    FeatureName: Path ("id", "The feature's name.");
    /// An upstream.
    UpstreamName: Path ("id", "The upstream's id.");
    /// A route.
    RouteName: Path ("id", "The route's id.");
    /// An operator.
    OperatorName: Path ("operator", "The operator's id.");
    /// An access token of an operator.
    OperatorTokenName: Path ("operator", "The operator's id.") ("id", "The token's id.");
    /// An access token of a tenant.
    TenantTokenName: Path ("tenant", "The tenant's id or slug.") ("id", "The token's id.");
    /// A user.
    UserName: Path ("user", "The user's id.");
    /// A member of a tenant.
    MemberName: Path ("tenant", "The tenant's id or slug.") ("user", "The user's id.");
    /// An invitation to a tenant.
    InvitationName: Path ("tenant", "The tenant's id or slug.") ("id", "The invitation's id.");
    /// A role of a tenant.
    RoleName: Path ("tenant", "The tenant's id or slug.") ("role", "The role's name.");
    /// A revision.
    RevisionName: Path ("revision", "The revision's number.");
    /// An enrolled node.
    NodeIdName: Path ("id", "The node's id.");
    /// A roll-out.
    RolloutName: Path ("id", "The roll-out's id.");
    /// The condition of a change.
    IfMatch: Header ("If-Match", "Makes the change only if the resource still has one of these entity tags.");
}

fn parameter(parameter_in: ParameterIn, name: &str, description: &str) -> Parameter {
    let is_path = matches!(parameter_in, ParameterIn::Path);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(parameter_in)
        .required(if is_path { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// A merge patch (RFC 7396): members that are given replace what is there, `null` takes away.
pub struct MergePatch;

impl PartialSchema for MergePatch {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "A merge patch (RFC 7396) of what can be replaced: a member takes the place of what \
                 is there, `null` takes it away, and what is not named stays.",
            ))
            .into()
    }
}

impl ToSchema for MergePatch {}
