//! `tenantry tenant`.

pub(crate) mod onboard;

use clap::{Args, Subcommand};
use serde_json::Value;
use tenantry_api::{DeleteTenantQuery, TenantQuery, tenant::InitialState};
use tenantry_model::{
    AuthRequirement, Color, DisplayName, DomainPattern, Email, GroupId, HttpsUrl, LogoUrl, PlanId,
    RegionId, Slug, TenantSpec, TenantState, access::AccessMode,
};

use super::{effective, plan::LimitFlags, status};
use crate::{
    body::{Body, ChangeBody, NewBody},
    error::CliError,
    output::Answer,
    pages::{self, Listing},
    session::Session,
    value::{self, AccessLogChoice, FeatureOverride, Switch},
};

/// What can be done with a tenant. Each is named by its id or its slug.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantVerb {
    /// Make one
    Create {
        /// Its slug
        #[arg(required_unless_present = "file")]
        slug: Option<Slug>,
        #[command(flatten)]
        fields: Box<TenantFields>,
        /// A host name it owns; may be repeated
        #[arg(long = "domain", value_name = "HOST")]
        domains: Vec<DomainPattern>,
        /// Do not serve it before it is activated
        #[arg(long)]
        provisioning: bool,
        /// Make a first API key of this name; its secret is printed once
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
        /// Invite somebody to own it
        #[arg(long, value_name = "ADDRESS")]
        admin: Option<Email>,
        #[command(flatten)]
        body: NewBody,
    },
    /// Show one
    Get { tenant: String },
    /// Show some or all
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        listing: Listing,
    },
    /// Change some fields; a list that is given replaces the whole list
    Update {
        tenant: String,
        /// A new slug
        #[arg(long)]
        slug: Option<Slug>,
        #[command(flatten)]
        fields: Box<TenantFields>,
        #[command(flatten)]
        body: ChangeBody,
    },
    /// Replace all that may be written of it; what is not given falls back to its default
    Replace {
        tenant: String,
        /// Its slug [default: what it is]
        #[arg(long)]
        slug: Option<Slug>,
        #[command(flatten)]
        fields: Box<TenantFields>,
        #[command(flatten)]
        body: NewBody,
        /// Replace it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Refuse its requests until it is resumed
    Suspend {
        tenant: String,
        /// Why, for people
        #[arg(long)]
        reason: String,
    },
    /// Serve it again
    Resume { tenant: String },
    /// Show the limits and features that hold for it
    Effective {
        tenant: String,
        /// Name who said each of them: default, percentage, plan, group, tenant or kill switch
        #[arg(long)]
        explain: bool,
    },
    /// Show which proxies enforce it as it is
    Status { tenant: String },
    /// Serve one that was made with --provisioning
    Activate { tenant: String },
    /// Remove it; it can be brought back with undelete until its retention ends
    Delete {
        tenant: String,
        /// For how many days it can be brought back [default: what the control plane is set to]
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
        /// Remove it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Bring a deleted one back
    Undelete { tenant: String },
    /// Remove a deleted one for good, before its retention ends
    Purge {
        tenant: String,
        /// Its slug, to show that it is meant
        #[arg(long, value_name = "SLUG")]
        confirm: String,
    },
    /// Show the settings that tenants can have, with their JSON Schemas
    Settings,
    /// Change some settings of one
    Set {
        tenant: String,
        /// A setting and its value, as JSON or as text; `null` takes it away
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = value::setting)]
        settings: Vec<(String, Value)>,
        /// Change it only if it is still at this revision
        #[arg(long, value_name = "REVISION")]
        if_revision: Option<u64>,
    },
    /// Show what is left of purged tenants: their deletion certificates
    Purged {
        /// Only that of the tenant with this id
        tenant: Option<String>,
        #[command(flatten)]
        listing: Listing,
    },
}

/// Which tenants are listed.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only those in this state: provisioning, active, suspended or deleting
    #[arg(long, value_parser = value::word::<TenantState>)]
    state: Option<TenantState>,
    /// Only those on this plan
    #[arg(long)]
    plan: Option<PlanId>,
    /// Only those in this group
    #[arg(long)]
    group: Option<GroupId>,
    /// Only those in this region
    #[arg(long)]
    region: Option<RegionId>,
    /// Only those with this label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Option<String>,
    /// Only those with this in their slug or name, or with this id
    #[arg(long = "search", short = 'q', value_name = "TEXT")]
    q: Option<String>,
    /// Only those for which this holds: 'plan = pro AND NOT labels.tier = trial'
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// By created_at, updated_at, slug or name; 'name desc' for the other way round
    #[arg(long, value_name = "FIELD", default_value = "created_at")]
    order_by: String,
}

/// What may be written of a tenant.
#[derive(Debug, Args)]
pub(crate) struct TenantFields {
    /// Its name for people [default on create: the slug]
    #[arg(long)]
    name: Option<String>,
    /// The plan it is on
    #[arg(long)]
    plan: Option<PlanId>,
    /// The group that bounds its limits and features
    #[arg(long)]
    group: Option<GroupId>,
    /// Take it out of its group
    #[arg(long, conflicts_with = "group")]
    no_group: bool,
    /// What its requests must prove: none, any, api_key or jwt
    #[arg(long, value_parser = value::word::<AuthRequirement>)]
    auth: Option<AuthRequirement>,
    /// Who may reach it: public, allowlist or hybrid
    #[arg(long, value_parser = value::word::<AccessMode>)]
    access: Option<AccessMode>,
    /// A network it may be reached from; may be repeated; means --access allowlist if that is not given
    #[arg(long, value_name = "CIDR", value_parser = value::network)]
    allow: Vec<String>,
    /// A network it may never be reached from; may be repeated
    #[arg(long, value_name = "CIDR", value_parser = value::network)]
    deny: Vec<String>,
    /// A feature FEATURE=on|off|inherit, whatever its plan says; may be repeated
    #[arg(long = "feature", value_name = "FEATURE", value_parser = value::feature_override)]
    features: Vec<FeatureOverride>,
    #[command(flatten)]
    limits: LimitFlags,
    /// A PEM file with the authorities its clients' certificates must come from; makes one required
    #[arg(long, value_name = "FILE", value_parser = value::text_file)]
    client_ca: Option<String>,
    /// Require no client certificate any more
    #[arg(long, conflicts_with = "client_ca")]
    no_client_ca: bool,
    /// A label KEY=VALUE to find it by; may be repeated
    #[arg(long = "label", value_name = "LABEL", value_parser = value::pair)]
    labels: Vec<(String, String)>,
    /// The only region, beside upstreams of none, that may serve it
    #[arg(long)]
    region: Option<RegionId>,
    /// A setting, such as time_zone=Europe/Berlin, the value as JSON or plain text; may be repeated;
    /// KEY= puts it back to its default
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = value::setting)]
    settings: Vec<(String, Value)>,
    /// How much of it is in the access log: all, off, 1/N, or inherit for what the proxies say
    #[arg(long, value_name = "SHARE", value_parser = value::access_logging)]
    access_log: Option<AccessLogChoice>,
    /// The name that its error pages show
    #[arg(long, value_name = "NAME")]
    brand_name: Option<DisplayName>,
    /// The picture that its error pages show: an https URL or data:image/png;base64,...
    #[arg(long, value_name = "URL")]
    brand_logo: Option<LogoUrl>,
    /// The colour of its error pages, as #rrggbb
    #[arg(long, value_name = "COLOR")]
    brand_color: Option<Color>,
    /// Where its error pages send people for help: an https URL
    #[arg(long, value_name = "URL")]
    brand_support: Option<HttpsUrl>,
}

impl TenantFields {
    fn write(&self, body: &mut Body) {
        body.set("name", self.name.as_ref());
        body.set("plan", self.plan.as_ref());
        body.set("group", self.group.as_ref());
        body.set("group", self.no_group.then_some(Value::Null));
        body.set("auth", self.auth);
        body.set_within("access", "mode", self.access_mode());
        body.set_within("access", "allow", (!self.allow.is_empty()).then_some(&self.allow));
        body.set_within("access", "deny", (!self.deny.is_empty()).then_some(&self.deny));
        for FeatureOverride { feature, setting } in &self.features {
            let setting = setting.map_or(Value::Null, |setting| Switch::is_on(setting).into());
            body.set_within("features", feature.as_str(), Some(setting));
        }
        self.limits.write(body);
        body.set("client_ca_pem", self.client_ca.as_ref());
        body.set("client_ca_pem", self.no_client_ca.then_some(Value::Null));
        body.set("region", self.region.as_ref());
        body.set("access_log", self.access_log.map(|AccessLogChoice(logging)| logging));
        body.set_within("branding", "display_name", self.brand_name.as_ref());
        body.set_within("branding", "logo_url", self.brand_logo.as_ref());
        body.set_within("branding", "color", self.brand_color.as_ref());
        body.set_within("branding", "support_url", self.brand_support.as_ref());
        for (key, value) in &self.settings {
            body.set_within("settings", key, Some(value));
        }
        for (key, text) in &self.labels {
            body.set_within("labels", key, Some(text));
        }
    }

    /// An allow list that is written and not read would leave open what was meant to be closed.
    fn access_mode(&self) -> Option<AccessMode> {
        self.access.or_else(|| (!self.allow.is_empty()).then_some(AccessMode::Allowlist))
    }
}

pub(super) async fn run(verb: &TenantVerb, session: &Session) -> Result<Answer, CliError> {
    let tenants = session.client.tenants();
    let tenant = match verb {
        TenantVerb::Create { slug, fields, domains, provisioning, key, admin, body } => {
            let mut body = create_body(slug.as_ref(), fields, domains, body)?;
            body.set("state", provisioning.then_some(InitialState::Provisioning));
            if let Some(name) = key {
                body.set_within("key", "name", Some(name));
            }
            if let Some(email) = admin {
                body.set_within("admin", "email", Some(email));
            }
            return onboard::onboard(session, &body.create("tenant")?).await;
        }
        TenantVerb::Get { tenant } => session.ask(tenants.get(tenant)).await,
        TenantVerb::List { filter, listing } => return list(filter, listing, session).await,
        TenantVerb::Update { tenant, slug, fields, body } => {
            let if_revision = body.if_revision;
            let mut body = body.read()?;
            body.set("slug", slug.as_ref());
            fields.write(&mut body);
            session.ask(tenants.patch(tenant, &body.patch()?, if_revision)).await
        }
        TenantVerb::Replace { tenant, slug, fields, body, if_revision } => {
            let mut body = body.read()?;
            body.set("slug", slug.as_ref());
            body.set_default("slug", tenant);
            fields.write(&mut body);
            let spec: TenantSpec = body.create("tenant")?;
            session.ask(tenants.replace(tenant, &spec, *if_revision)).await
        }
        TenantVerb::Suspend { tenant, reason } => {
            session.ask(tenants.suspend(tenant, reason)).await
        }
        TenantVerb::Effective { tenant, explain } => {
            return effective::run(tenant, *explain, session).await;
        }
        TenantVerb::Status { tenant } => return status::run(tenant, session).await,
        TenantVerb::Resume { tenant } => session.ask(tenants.resume(tenant)).await,
        TenantVerb::Activate { tenant } => session.ask(tenants.activate(tenant)).await,
        TenantVerb::Delete { tenant, retention_days, if_revision } => {
            let query = DeleteTenantQuery { retention_days: *retention_days };
            session.ask(tenants.delete(tenant, &query, *if_revision)).await
        }
        TenantVerb::Purge { tenant, confirm } => {
            return session.ask(tenants.purge(tenant, confirm)).await.map(Answer::item);
        }
        TenantVerb::Set { tenant, settings, if_revision } => {
            let patch = Value::Object(settings.iter().cloned().collect());
            session.ask(tenants.patch_settings(tenant, &patch, *if_revision)).await
        }
        TenantVerb::Settings => {
            return session.ask(tenants.settings()).await.map(Answer::item);
        }
        TenantVerb::Purged { tenant: Some(tenant), .. } => {
            return session.ask(tenants.purged(tenant)).await.map(Answer::item);
        }
        TenantVerb::Purged { tenant: None, listing } => {
            return pages::collect(session, listing, async |page| tenants.list_purged(&page).await)
                .await;
        }
        TenantVerb::Undelete { tenant } => session.ask(tenants.undelete(tenant)).await,
    };
    tenant.map(Answer::item)
}

fn create_body(
    slug: Option<&Slug>,
    fields: &TenantFields,
    domains: &[DomainPattern],
    body: &NewBody,
) -> Result<Body, CliError> {
    let mut body = body.read()?;
    body.set("slug", slug);
    body.set_list("domains", domains);
    fields.write(&mut body);
    if let Some(slug) = slug {
        body.set_default("name", slug.as_str());
    }
    Ok(body)
}

async fn list(filter: &Filter, listing: &Listing, session: &Session) -> Result<Answer, CliError> {
    let tenants = session.client.tenants();
    let Filter { state, plan, group, region, label, q, filter, order_by } = filter;
    pages::collect(session, listing, async |page| {
        let query = TenantQuery {
            limit: page.limit,
            cursor: page.cursor,
            state: *state,
            plan: plan.clone(),
            group: group.clone(),
            region: region.clone(),
            label: label.clone(),
            q: q.clone(),
            filter: filter.clone(),
            order_by: Some(order_by.clone()),
        };
        tenants.list(&query).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;
    use tenantry_api::CreateTenant;

    use super::*;
    use crate::args::{ApiCommand, Cli, Command};

    fn verb(line: &str) -> TenantVerb {
        let words = ["tenantry", "tenant"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Api(ApiCommand::Tenant(verb)) => verb,
            other => panic!("{other:?}"),
        }
    }

    fn check_create(line: &str, expected: Value) {
        let TenantVerb::Create { slug, fields, domains, body, .. } = verb(line) else {
            panic!("{line}")
        };
        let body = create_body(slug.as_ref(), &fields, &domains, &body).unwrap();
        let tenant: CreateTenant = body.create("tenant").unwrap();
        let expected: CreateTenant = serde_json::from_value(expected).unwrap();
        assert_eq!(tenant, expected, "{line}");
    }

    #[test]
    fn flags_make_a_tenant() {
        check_create(
            "create acme --name Acme --plan pro --domain acme.example.com --auth any \
             --allow 10.0.0.0/8 --feature reports=on --feature beta=inherit \
             --limit burst=100/1s:200 --label tier=gold --region eu --access-log 1/100 \
             --brand-name Acme --brand-color #123456 --brand-support https://acme.com/help",
            json!({
                "slug": "acme", "name": "Acme", "plan": "pro", "domains": ["acme.example.com"],
                "auth": "any", "access": {"mode": "allowlist", "allow": ["10.0.0.0/8"]},
                "features": {"reports": true},
                "limits": {"requests": [
                    {"name": "burst", "quota": 100, "window_seconds": 1, "burst": 200}]},
                "labels": {"tier": "gold"}, "region": "eu", "access_log": {"one_in": 100},
                "branding": {"display_name": "Acme", "color": "#123456", "support_url": "https://acme.com/help"},
            }),
        );
        check_create(
            "create acme --plan pro",
            json!({"slug": "acme", "name": "acme", "plan": "pro"}),
        );
    }

    #[test]
    fn flags_make_a_merge_patch() {
        let line = "update acme --feature reports=inherit --feature beta=off --access hybrid --allow ::1 --access-log inherit";
        let TenantVerb::Update { fields, .. } = verb(line) else { panic!("{line}") };
        let mut body = Body::default();
        fields.write(&mut body);
        let expected = json!({
            "features": {"reports": null, "beta": false},
            "access": {"mode": "hybrid", "allow": ["::1"]},
            "access_log": null,
        });
        assert_eq!(body.patch().unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_refused_before_it_is_sent() {
        for line in [
            "create Acme --plan pro",
            "create acme --plan pro --auth some",
            "create acme --plan pro --allow 10.0.0.1/8",
            "create acme --plan pro --limit burst=0/1s",
            "create acme --plan pro --domain http://acme.test",
            "create --plan pro",
            "create acme --plan pro --access-log 1/0",
            "create acme --plan pro --brand-support http://acme.com",
            "suspend acme",
        ] {
            let words = ["tenantry", "tenant"].into_iter().chain(line.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
