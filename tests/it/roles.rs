//! What the documents say that roles may is what they may: two lists, written apart.

use std::{collections::BTreeSet, fs, path::Path};

use tenantry_model::{OperatorRole, Permission, TenantRole};

fn access() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join("docs/access.md")).unwrap()
}

/// The rows of the table with this head: names of roles, and what is said of them.
fn table(document: &str, head: &str) -> Vec<(Vec<String>, String)> {
    let rows = document.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        (quoted(cells[0]), cells[1].to_owned())
    })
    .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn named(names: &[String]) -> BTreeSet<Permission> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// `held` are those that the role may have at all.
fn meant(said: &str, held: &BTreeSet<Permission>) -> BTreeSet<Permission> {
    let names = quoted(said);
    match said {
        _ if said.contains("ends in `:read`") => {
            held.iter().copied().filter(|held| held.as_str().ends_with(":read")).collect()
        }
        _ if said.starts_with("everything but") => held - &named(&names),
        _ if said.starts_with("everything") => held.clone(),
        _ => named(&names),
    }
}

#[test]
fn the_documents_say_what_roles_may() {
    let document = access();
    let all: BTreeSet<_> = Permission::ALL.iter().copied().collect();
    let operators = table(&document, "| operator's role |");
    assert_eq!(operators.len(), OperatorRole::ALL.len());
    for (names, said) in operators {
        let role: OperatorRole = serde_json::from_value(names[0].clone().into()).unwrap();
        let may: BTreeSet<_> = role.permissions().into_iter().collect();
        assert_eq!(may, meant(&said, &all), "{role:?}");
    }
    let (_, lists) = document.split_once("## Permissions").unwrap();
    let in_a_tenant = lists.split("\n\n").find(|paragraph| paragraph.starts_with('`')).unwrap();
    let in_a_tenant = named(&quoted(in_a_tenant));
    let mut count = 0;
    for (names, said) in table(&document, "| tenant's role |") {
        for name in names.iter().filter(|name| !name.starts_with("tenantry ")) {
            let role = TenantRole::named(name).unwrap();
            let may: BTreeSet<_> = role.permissions().into_iter().collect();
            assert_eq!(may, meant(&said, &in_a_tenant), "{role:?}");
            count += 1;
        }
    }
    assert_eq!(count, TenantRole::ALL.len());
}
