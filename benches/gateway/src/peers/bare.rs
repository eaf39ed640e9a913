//! Pingora with no policy (`src/bin/bare_pingora.rs`).

use super::{Place, shown};
use crate::process::Launch;

/// The lock file says which pingora this workspace is built with.
pub(super) fn version() -> String {
    let lock = include_str!("../../../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains("name = \"pingora\"\n"));
    let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
    version.unwrap_or("unknown").to_owned()
}

pub(super) fn launch(place: &Place<'_>) -> Launch {
    let file = |name: &str| shown(&place.directory.join(name));
    let (plain, tls) = (format!("127.0.0.1:{}", place.plain), format!("127.0.0.1:{}", place.tls));
    let origin = place.origin.to_string();
    Launch::new(
        place.programs.ours.join("bare-pingora"),
        [
            plain,
            tls,
            origin,
            file("certificate.pem"),
            file("certificate.key"),
            place.workers().to_string(),
        ],
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_known() {
        assert!(super::version().starts_with(|first: char| first.is_ascii_digit()));
    }
}
