//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    commands::{
        audit::AuditVerb,
        certificate::CertificateVerb,
        context::ContextVerb,
        desired::{Apply, Diff, Export},
        document::Verb,
        domain::DomainVerb,
        feature::FeatureFields,
        group::GroupFields,
        import::Import,
        issuer::IssuerVerb,
        key::KeyVerb,
        operator::{LogInArguments, OperatorVerb},
        people::{InvitationVerb, MemberVerb, RoleVerb, UserVerb},
        plan::PlanFields,
        proxy::ProxyVerb,
        quota::QuotaVerb,
        raw::RawRequest,
        replay::Replay,
        revision::RevisionVerb,
        rollout::RolloutVerb,
        route::RouteFields,
        snapshot::SnapshotVerb,
        subscription::SubscriptionVerb,
        tenant::TenantVerb,
        token::TokenVerb,
        upstream::UpstreamFields,
    },
    contexts::Name,
    exit,
    explain::Explain,
    up::{RunChild, Up},
    waiting::USUAL_SECONDS,
};

/// The operator's command of Tenantry.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, about, max_term_width = 100, after_long_help = exit::help())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// How answers are printed
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,

    /// Look at everything and change nothing: it is refused as it would be, or answered as it would be
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,

    /// After a change, return only when every connected proxy enforces it; in at most so many seconds, 1 to 60 [default: 30]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = USUAL_SECONDS,
        value_parser = clap::value_parser!(u8).range(1..=60),
        conflicts_with = "dry_run"
    )]
    pub(crate) wait: Option<u8>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the platform is, and who asks.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The control plane's API [default: what DATA_DIR/addresses.json says, or http://127.0.0.1:7070]
    #[arg(long, global = true, env = "TENANTRY_API", value_name = "URL", hide_env_values = true)]
    pub(crate) api: Option<String>,

    /// The root token, an access token or a session [default: the content of DATA_DIR/root-token]
    #[arg(long, global = true, env = "TENANTRY_ROOT_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// The control plane with this name, and its token, as `tenantry context` knows them
    #[arg(
        long,
        global = true,
        env = "TENANTRY_CONTEXT",
        value_name = "NAME",
        hide_env_values = true
    )]
    pub(crate) context: Option<Name>,

    /// The data directory of `tenantry up` or of the control plane
    #[arg(
        long,
        global = true,
        env = "TENANTRY_DATA_DIR",
        value_name = "DATA_DIR",
        default_value = "./tenantry-data"
    )]
    pub(crate) data_dir: PathBuf,

    /// A name for this change: given again within a day, the same command does not do it twice
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For both
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run control plane and proxy on this machine until Ctrl-C
    Up(Up),
    #[command(flatten)]
    Api(ApiCommand),
    /// Control planes that have names here
    #[command(subcommand)]
    Context(ContextVerb),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Become a child that ends with its parent
    #[command(hide = true)]
    RunChild(RunChild),
}

/// What asks the API.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiCommand {
    /// Customer organisations
    #[command(subcommand)]
    Tenant(TenantVerb),
    /// Bundles of limits and features that tenants are put on
    #[command(subcommand)]
    Plan(Verb<PlanFields>),
    /// Bounds that several tenants have in common, whatever their plans
    #[command(subcommand)]
    Group(Verb<GroupFields>),
    /// Named gates
    #[command(subcommand)]
    Feature(Verb<FeatureFields>),
    /// Groups of servers
    #[command(subcommand)]
    Upstream(Verb<UpstreamFields>),
    /// Which requests go to which upstream
    #[command(subcommand)]
    Route(Verb<RouteFields>),
    /// How many of something a tenant may have at once, and how many it has
    #[command(subcommand)]
    Quota(QuotaVerb),
    /// What a tenant has subscribed to, and until when
    #[command(subcommand)]
    Subscription(SubscriptionVerb),
    /// Host names of a tenant
    #[command(subcommand)]
    Domain(DomainVerb),
    /// API keys of a tenant
    #[command(subcommand)]
    Key(KeyVerb),
    /// JWT issuers, of one tenant or of all
    #[command(subcommand)]
    Issuer(IssuerVerb),
    /// TLS certificates, of a tenant or of the platform
    #[command(subcommand)]
    Certificate(CertificateVerb),
    /// People, in as many tenants as they like
    #[command(subcommand)]
    User(UserVerb),
    /// Who belongs to a tenant, and as what
    #[command(subcommand)]
    Member(MemberVerb),
    /// Roles that a tenant defines
    #[command(subcommand)]
    Role(RoleVerb),
    /// Offers to become a member of a tenant
    #[command(subcommand)]
    Invitation(InvitationVerb),
    /// Who runs the platform
    #[command(subcommand)]
    Operator(OperatorVerb),
    /// Access tokens, of operators and of tenants
    #[command(subcommand)]
    Token(TokenVerb),
    /// Log in as an operator; the password is read from standard input
    ///
    /// The session is kept for the context, if there is one, and otherwise printed.
    Login(LogInArguments),
    /// End the session of the context, or the one that --token holds
    Logout,
    /// Show who --token is, and what it may do
    Whoami,
    /// Any request, for what has no command yet
    Api(RawRequest),
    /// Say how a request would be decided, and why; nothing is sent or charged
    Explain(Explain),
    /// Say which recorded requests would be answered otherwise if documents were applied
    ///
    /// Exits with 0 if none would, 1 if one would, and 2 if that could not be found out.
    Replay(Replay),
    /// Proxies, and what each enforces
    #[command(subcommand)]
    Proxy(ProxyVerb),
    /// What proxies enforce, as a file with which a new one can begin
    #[command(subcommand)]
    Snapshot(SnapshotVerb),
    /// Write the whole platform to standard output as documents, in YAML, or with `-o json` in JSON
    Export(Export),
    /// Say how the platform differs from documents
    ///
    /// Exits with 0 if nothing differs, 1 if something does, and 2 if that could not be found out.
    Diff(Diff),
    /// Make the platform as documents say
    ///
    /// All of it is looked at before anything is changed. The same again changes nothing.
    Apply(Apply),
    /// A change for some proxies first, watched, and then for all or taken back
    #[command(subcommand)]
    Rollout(RolloutVerb),
    /// Make many tenants, one from each line of JSON
    ///
    /// Each is made whole or not at all. Exits with 1 if a line has failed; the same again does what is left.
    Import(Import),
    /// What was done, by whom, newest first
    #[command(subcommand)]
    Audit(AuditVerb),
    /// What was changed, revision by revision, and the way back
    #[command(subcommand)]
    Revision(RevisionVerb),
}

impl ApiCommand {
    /// Whether whoever asks must have a token; others prove themselves by what they send.
    pub(crate) fn needs_token(&self) -> bool {
        match self {
            Self::Login(_) | Self::Invitation(InvitationVerb::Accept { .. }) => false,
            Self::Explain(explain) => !explain.is_direct(),
            _ => true,
        }
    }

    /// Whether what it changes can be looked at without being done.
    pub(crate) fn can_be_rehearsed(&self) -> bool {
        !matches!(self, Self::Login(_) | Self::Logout | Self::Explain(_) | Self::Replay(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
