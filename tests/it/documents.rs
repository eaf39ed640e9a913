//! Commands in the documents are run as they stand there, against what `tenantry up --demo` starts.

use std::{fs, path::Path};

use serde_json::Value;
use tenantry_test_support::{binary, eventually};

use crate::demo::{ready, up};

/// How the defaults are written in documents, and what they are called by `tenantry up`.
const PORTS: [(&str, &str); 4] =
    [(":8080", "proxy"), (":8443", "proxy_tls"), (":7080", "proxy_admin"), (":7070", "api")];
const ONCE: &str = "```sh run";
const UNTIL: &str = "```sh run until it works";

/// The blocks of a document that are to be run, each with the line that opens it.
fn blocks(document: &str) -> Vec<(String, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in document.lines() {
        open = match open {
            None if line.starts_with(ONCE) => Some((line.to_owned(), String::new())),
            Some(block) if line == "```" => {
                blocks.push(block);
                None
            }
            Some((kind, text)) => Some((kind, text + line + "\n")),
            None => None,
        };
    }
    blocks
}

fn with_ports(block: &str, addresses: &Value) -> String {
    PORTS.iter().fold(block.to_owned(), |block, (written, name)| {
        let address = addresses[name].as_str().unwrap();
        block.replace(written, &address[address.rfind(':').unwrap()..])
    })
}

async fn run(block: &str, directory: &Path) -> Result<(), String> {
    let programs = binary("tenantry").parent().unwrap().display().to_string();
    let script = format!("PATH='{programs}':\"$PATH\"\n{block}");
    let mut command = tokio::process::Command::new("sh");
    command.args(["-e", "-c", &script]).current_dir(directory);
    // Nobody's own contexts are looked at, or changed.
    command.env("XDG_CONFIG_HOME", directory.join("config"));
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}{}", text(&output.stdout), text(&output.stderr))),
    }
}

#[tokio::test]
async fn every_command_that_is_marked_works() {
    let directory = tempfile::tempdir().unwrap();
    // Where the command looks for it if nothing else is said.
    fs::create_dir(directory.path().join("tenantry-data")).unwrap();
    std::os::unix::fs::symlink("tenantry-data", directory.path().join("data")).unwrap();
    let mut process = up(&directory, &["--demo"]);
    let addresses = ready(&mut process, &directory.path().join("data/addresses.json")).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut count = 0;
    for file in files {
        for (kind, block) in blocks(&fs::read_to_string(&file).unwrap()) {
            let command = with_ports(&block, &addresses);
            let what = format!("{}: {block}", file.display());
            if kind == UNTIL {
                eventually(&what, async || run(&command, directory.path()).await.ok()).await;
            } else {
                assert_eq!(kind, ONCE, "{what}");
                run(&command, directory.path()).await.unwrap_or_else(|said| panic!("{what}{said}"));
            }
            count += 1;
        }
    }
    assert!(count >= 8, "{count} blocks are marked");
    assert!(process.terminate().await.success());
}
