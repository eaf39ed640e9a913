//! The proxies that are compared, each with its configuration and the way in which it is changed.

mod bare;
mod caddy;
mod envoy;
mod haproxy;
mod lua;
mod nginx;
mod tenantry;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use nix::sys::signal::Signal;
use serde::Serialize;

pub(crate) use tenantry::ControlPlane;

use crate::{
    credentials::Credentials,
    policy::{Policy, Tenant},
    process::{Launch, Running},
    variant::{Proof, Variant},
};

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    /// What all others are compared with.
    Nginx,
    Haproxy,
    /// Stands in for gateways that are written in Lua.
    NginxLua,
    Envoy,
    Caddy,
    /// Without any policy.
    BarePingora,
    Tenantry,
}

/// Where one proxy stands and what it is told.
pub(crate) struct Place<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) credentials: &'a Credentials,
    pub(crate) programs: &'a Programs,
    /// Each has a worker of it.
    pub(crate) cores: Vec<usize>,
    /// Where its files are.
    pub(crate) directory: PathBuf,
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    pub(crate) admin: u16,
    pub(crate) origin: SocketAddr,
    /// What it has clients prove themselves with.
    pub(crate) proof: Proof,
    /// Who owns what Tenantry's proxy enforces.
    pub(crate) control_plane: Option<&'a ControlPlane>,
}

impl Place<'_> {
    fn workers(&self) -> usize {
        self.cores.len()
    }
}

/// Where programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// Those of this workspace.
    pub(crate) ours: PathBuf,
    /// Tenantry's proxy.
    pub(crate) proxy: PathBuf,
    pub(crate) envoy: PathBuf,
}

/// A file that a proxy reads: its name and what is in it.
type Contents = (&'static str, String);

impl Peer {
    pub(crate) const ALL: [Self; 7] = [
        Self::Nginx,
        Self::Haproxy,
        Self::NginxLua,
        Self::Envoy,
        Self::Caddy,
        Self::BarePingora,
        Self::Tenantry,
    ];

    /// What it is called in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::NginxLua => "nginx with Lua",
            Self::Envoy => "Envoy",
            Self::Caddy => "Caddy",
            Self::BarePingora => "pingora, no policy",
            Self::Tenantry => "Tenantry",
        }
    }

    /// Whether it enforces anything.
    pub(crate) fn has_policy(self) -> bool {
        self != Self::BarePingora
    }

    /// Whether it can limit the rate of a tenant. Caddy needs a module for that which Debian does not have.
    pub(crate) fn limits_rates(self) -> bool {
        self.has_policy() && self != Self::Caddy
    }

    /// Whether it takes part: nginx and Caddy verify no tokens without modules that Debian does not have.
    pub(crate) fn can(self, variant: Variant) -> bool {
        match variant.proof() {
            Proof::Key => true,
            Proof::Token => {
                matches!(self, Self::Haproxy | Self::Envoy | Self::BarePingora | Self::Tenantry)
            }
        }
    }

    /// What it says of its version.
    pub(crate) fn version(self, programs: &Programs) -> anyhow::Result<String> {
        match self {
            Self::Nginx => nginx::version(),
            Self::Haproxy => haproxy::version(),
            Self::NginxLua => lua::version(),
            Self::Envoy => envoy::version(programs),
            Self::Caddy => caddy::version(),
            Self::BarePingora => Ok(bare::version()),
            Self::Tenantry => tenantry::version(programs),
        }
    }

    /// Writes its files.
    pub(crate) fn prepare(self, place: &Place<'_>) -> anyhow::Result<()> {
        fs::create_dir_all(&place.directory)?;
        let credentials = place.credentials;
        let (certificate, key) = (&credentials.certificate, &credentials.certificate_key);
        let write = |name: &str, text: &str| fs::write(place.directory.join(name), text);
        write("certificate.pem", certificate)?;
        write("certificate.key", key)?;
        write("both.pem", &format!("{certificate}{key}"))?;
        write("token-key.pem", &credentials.token_key)?;
        for (name, text) in self.files(place, None) {
            write(name, &text)?;
        }
        Ok(())
    }

    /// Its files, by which a tenant may not be reached from here if one is given.
    fn files(self, place: &Place<'_>, shut_out: Option<&Tenant>) -> Vec<Contents> {
        match self {
            Self::Nginx => nginx::files(place, shut_out),
            Self::Haproxy => haproxy::files(place),
            Self::NginxLua => lua::files(place, shut_out),
            Self::Envoy => envoy::files(place, shut_out),
            Self::Caddy => caddy::files(place, shut_out),
            Self::BarePingora | Self::Tenantry => Vec::new(),
        }
    }

    /// Starts it on its cores.
    pub(crate) fn start(self, place: &Place<'_>) -> anyhow::Result<Running> {
        let launch: Launch = match self {
            Self::Nginx | Self::NginxLua => nginx::launch(place),
            Self::Haproxy => haproxy::launch(place),
            Self::Envoy => envoy::launch(place),
            Self::Caddy => caddy::launch(place),
            Self::BarePingora => bare::launch(place),
            Self::Tenantry => tenantry::launch(place)?,
        };
        launch.start(&place.cores, &place.directory)
    }

    /// Tells it that the changing tenant may be reached from here, or no longer, in the way that is usual for it.
    pub(crate) async fn change(
        self,
        place: &Place<'_>,
        running: &Running,
        may_enter: bool,
    ) -> anyhow::Result<()> {
        let tenant = place.policy.changing();
        match self {
            Self::Nginx | Self::NginxLua => {
                self.rewrite(place, may_enter)?;
                running.signal(Signal::SIGHUP)
            }
            Self::Haproxy => haproxy::change(place, tenant, may_enter).await,
            Self::Envoy => self.rewrite(place, may_enter),
            Self::Caddy => {
                self.rewrite(place, may_enter)?;
                caddy::reload(place).await
            }
            Self::BarePingora => Ok(()),
            Self::Tenantry => tenantry::change(place, tenant, may_enter).await,
        }
    }

    /// Replaces the files that a change is in, each as a whole.
    fn rewrite(self, place: &Place<'_>, may_enter: bool) -> anyhow::Result<()> {
        let shut_out = (!may_enter).then(|| place.policy.changing());
        let changing = ["allowed.map", "policy.lua", "routes.json", "caddy.json"];
        for (name, text) in self.files(place, shut_out) {
            if changing.contains(&name) {
                let new = place.directory.join(format!("{name}.new"));
                fs::write(&new, text)?;
                fs::rename(&new, place.directory.join(name))?;
            }
        }
        Ok(())
    }
}

/// A template with its `{{names}}` replaced.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

/// One line for each tenant.
fn lines(policy: &Policy, line: impl Fn(&Tenant) -> String) -> String {
    policy.tenants.iter().map(|tenant| line(tenant) + "\n").collect()
}

/// Whether a tenant is the one that is shut out.
fn is_same(tenant: &Tenant, shut_out: Option<&Tenant>) -> bool {
    shut_out.is_some_and(|out| out.slug == tenant.slug)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What all templates name.
fn common(place: &Place<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("directory", shown(&place.directory)),
        ("plain", place.plain.to_string()),
        ("tls", place.tls.to_string()),
        ("admin", place.admin.to_string()),
        ("origin", place.origin.to_string()),
        ("workers", place.workers().to_string()),
    ]
}

#[cfg(test)]
mod tests;
