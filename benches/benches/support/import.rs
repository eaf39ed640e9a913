//! Many tenants at once, through the command line.

use std::{path::Path, process::Command};

use tenantry_test_support::{ControlPlane, binary};

/// Imports a file; the program ends with what was said if not all of it is taken.
pub(crate) fn import(control_plane: &ControlPlane, data: &Path, file: &Path) {
    let mut import = Command::new(binary("tenantry"));
    import.arg("--api").arg(control_plane.api_address().to_string());
    import.arg("--data-dir").arg(data).arg("import").arg(file);
    let imported = import.output().unwrap();
    let said = [imported.stdout, imported.stderr].concat();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&said));
}
