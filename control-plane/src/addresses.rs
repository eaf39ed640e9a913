//! Tells other programs where this one listens, once it does.

use std::{fs, io::Write as _, net::SocketAddr, path::Path};

use serde::Serialize;

/// The name of the file in the data directory.
pub(crate) const FILE: &str = "control-plane.addresses.json";

#[derive(Serialize)]
pub(crate) struct Addresses {
    pub(crate) api: SocketAddr,
    pub(crate) distribution: SocketAddr,
}

impl Addresses {
    /// Writes the file whole, in one step.
    pub(crate) fn write(&self, data_dir: &Path) -> std::io::Result<()> {
        let beside = data_dir.join(format!("{FILE}.new"));
        let mut file = fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, data_dir.join(FILE))
    }
}
