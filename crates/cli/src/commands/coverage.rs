//! Every operation of the API has a command, and that command sends it.

use std::{collections::BTreeMap, fs};

use clap::Parser as _;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    args::{Cli, Command, Format},
    error::CliError,
    session::Session,
};

const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// What no command asks for: it is for browsers, monitoring and generators of clients.
const NO_COMMAND: [&str; 5] = ["getOpenApi", "getDocs", "getHealth", "getReadiness", "getMetrics"];

/// An example for every operation. `{pem}` and `{json}` are files.
const COMMANDS: &[(&str, &str)] = &[
    ("listTenants", "tenant list"),
    ("createTenant", "tenant create acme --plan pro"),
    ("getTenant", "tenant get acme"),
    ("replaceTenant", "tenant replace acme --name Acme --plan pro"),
    ("patchTenant", "tenant update acme --name Acme"),
    ("deleteTenant", "tenant delete acme"),
    ("activateTenant", "tenant activate acme"),
    ("suspendTenant", "tenant suspend acme --reason unpaid"),
    ("resumeTenant", "tenant resume acme"),
    ("undeleteTenant", "tenant undelete acme"),
    ("purgeTenant", "tenant purge acme --confirm acme"),
    ("getEffective", "tenant effective acme"),
    ("getTenantStatus", "tenant status acme"),
    ("listSettings", "tenant settings"),
    ("listPurgedTenants", "tenant purged"),
    ("getPurgedTenant", "tenant purged ten_1"),
    ("listTenantAudit", "audit list --tenant acme"),
    ("getSubscription", "subscription get acme"),
    ("putSubscription", "subscription set acme --period 1month"),
    ("deleteSubscription", "subscription delete acme"),
    ("renewSubscription", "subscription renew acme"),
    ("markSubscriptionPastDue", "subscription past-due acme"),
    ("cancelSubscription", "subscription cancel acme"),
    ("listQuotas", "quota list acme"),
    ("setQuota", "quota set acme devices 3"),
    ("reserveQuota", "quota reserve acme devices"),
    ("confirmQuota", "quota confirm acme devices {reservation}"),
    ("releaseQuota", "quota release acme devices"),
    ("listDomains", "domain list acme"),
    ("addDomain", "domain add acme acme.example.com"),
    ("getDomain", "domain get acme acme.example.com"),
    ("removeDomain", "domain remove acme acme.example.com"),
    ("listKeys", "key list acme"),
    ("createKey", "key create acme --name ci"),
    ("getKey", "key get acme key_1"),
    ("replaceKey", "key replace acme key_1 --name ci"),
    ("patchKey", "key update acme key_1 --name ci"),
    ("rollKey", "key roll acme key_1 --overlap 1h"),
    ("revokeKey", "key revoke acme key_1"),
    ("listTenantIssuers", "issuer list --tenant acme"),
    (
        "createTenantIssuer",
        "issuer create https://a/ --tenant acme --audience a --algorithm RS256 --jwks-url https://a/j",
    ),
    ("getTenantIssuer", "issuer get iss_1 --tenant acme"),
    (
        "replaceTenantIssuer",
        "issuer replace iss_1 https://a/ --tenant acme --audience a --algorithm RS256 --jwks-url https://a/j",
    ),
    ("deleteTenantIssuer", "issuer delete iss_1 --tenant acme"),
    ("listIssuers", "issuer list"),
    (
        "createIssuer",
        "issuer create https://a/ --tenant-claim t --audience a --algorithm RS256 --jwks-url https://a/j",
    ),
    ("getIssuer", "issuer get iss_1"),
    (
        "replaceSharedIssuer",
        "issuer replace iss_1 https://a/ --tenant-claim t --audience a --algorithm RS256 --jwks-url https://a/j",
    ),
    ("deleteIssuer", "issuer delete iss_1"),
    ("listCertificates", "certificate list"),
    ("createCertificate", "certificate create --chain {pem} --key {pem}"),
    ("getCertificate", "certificate get crt_1"),
    ("replaceCertificate", "certificate replace crt_1 --chain {pem} --key {pem}"),
    ("deleteCertificate", "certificate delete crt_1"),
    ("listPlans", "plan list"),
    ("createPlan", "plan create pro --name Pro"),
    ("getPlan", "plan get pro"),
    ("replacePlan", "plan replace pro --name Pro"),
    ("patchPlan", "plan update pro --name Pro"),
    ("deletePlan", "plan delete pro"),
    ("listGroups", "group list"),
    ("createGroup", "group create core --name Core"),
    ("getGroup", "group get core"),
    ("replaceGroup", "group replace core --name Core"),
    ("patchGroup", "group update core --name Core"),
    ("deleteGroup", "group delete core"),
    ("listFeatures", "feature list"),
    ("createFeature", "feature create beta --description Beta"),
    ("getFeature", "feature get beta"),
    ("replaceFeature", "feature replace beta --description Beta"),
    ("patchFeature", "feature update beta --description Beta"),
    ("deleteFeature", "feature delete beta"),
    ("listUpstreams", "upstream list"),
    ("createUpstream", "upstream create main --endpoint 127.0.0.1:1"),
    ("getUpstream", "upstream get main"),
    ("replaceUpstream", "upstream replace main --endpoint 127.0.0.1:1"),
    ("patchUpstream", "upstream update main --endpoint 127.0.0.1:1"),
    ("deleteUpstream", "upstream delete main"),
    ("listRoutes", "route list"),
    ("createRoute", "route create all --upstream main"),
    ("getRoute", "route get all"),
    ("replaceRoute", "route replace all --upstream main"),
    ("patchRoute", "route update all --upstream main"),
    ("deleteRoute", "route delete all"),
    ("listUsers", "user list"),
    ("createUser", "user create --email a@example.com"),
    ("getUser", "user get usr_1"),
    ("patchUser", "user update usr_1 --name Ada"),
    ("deleteUser", "user delete usr_1"),
    ("listMemberships", "user memberships usr_1"),
    ("listMembers", "member list acme"),
    ("addMember", "member add acme a@example.com --role viewer"),
    ("getMember", "member get acme usr_1"),
    ("changeMember", "member set-role acme usr_1 viewer"),
    ("removeMember", "member remove acme usr_1"),
    ("listRoles", "role list acme"),
    ("createRole", "role create acme keys"),
    ("getRole", "role get acme keys"),
    ("replaceRole", "role replace acme keys"),
    ("deleteRole", "role delete acme keys"),
    ("listInvitations", "invitation list acme"),
    ("createInvitation", "invitation create acme a@example.com --role viewer"),
    ("getInvitation", "invitation get acme inv_1"),
    ("resendInvitation", "invitation resend acme inv_1"),
    ("revokeInvitation", "invitation revoke acme inv_1"),
    ("acceptInvitation", "invitation accept tni_1"),
    ("listTenantTokens", "token list --tenant acme"),
    ("createTenantToken", "token create --tenant acme --name ci --role viewer"),
    ("getTenantToken", "token get tok_1 --tenant acme"),
    ("revokeTenantToken", "token revoke tok_1 --tenant acme"),
    ("listOperatorTokens", "token list --operator opr_1"),
    ("createOperatorToken", "token create --operator opr_1 --name ci"),
    ("getOperatorToken", "token get tok_1 --operator opr_1"),
    ("revokeOperatorToken", "token revoke tok_1 --operator opr_1"),
    ("listOperators", "operator list"),
    ("createOperator", "operator create a@example.com --role admin"),
    ("getOperator", "operator get opr_1"),
    ("patchOperator", "operator update opr_1 --name Ada"),
    ("setOperatorPassword", "operator set-password opr_1"),
    ("deleteOperator", "operator delete opr_1"),
    ("logIn", "login a@example.com"),
    ("logOut", "logout"),
    ("getMe", "whoami"),
    ("enrollNode", "proxy enroll edge-1"),
    ("listNodes", "proxy nodes"),
    ("getNode", "proxy node nod_1"),
    ("revokeNode", "proxy revoke nod_1"),
    ("listProxies", "proxy list"),
    ("allowRemoval", "proxy allow-removal"),
    ("exportSnapshot", "snapshot export"),
    ("explain", "explain --host acme.example.com"),
    ("replay", "replay {log} --candidate {json}"),
    ("listAudit", "audit list"),
    ("exportAudit", "audit export"),
    ("verifyAudit", "audit verify"),
    ("listRevisions", "revision list"),
    ("getRevision", "revision show 7"),
    ("diffRevisions", "revision diff 7"),
    ("rollBack", "revision rollback 7"),
    ("startRollout", "rollout start --file {json} --percentage 10"),
    ("listRollouts", "rollout list"),
    ("getRollout", "rollout show rol_1"),
    ("releaseRollout", "rollout release rol_1"),
    ("takeBackRollout", "rollout take-back rol_1"),
    ("export", "export"),
    ("import", "import {json}"),
    ("patchTenantSettings", "tenant set acme time_zone=UTC"),
    ("diff", "diff --file {json}"),
    ("apply", "apply --file {json}"),
];

/// Method and path of each operation.
fn operations() -> BTreeMap<String, (String, String)> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            (id, (method.to_ascii_uppercase(), path.clone()))
        })
    });
    operations.collect()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let same = |(name, segment): (&&str, &&str)| name.starts_with('{') || name == segment;
    template.len() == path.len() && template.iter().zip(path.iter()).all(same)
}

/// The first line of the first request that a command sends to this listener. It is answered in no way that the
/// command could go on with.
async fn first_request(listener: &TcpListener, line: &str) -> String {
    let cli = Cli::try_parse_from(["tenantry"].into_iter().chain(line.split_whitespace()));
    let cli = cli.unwrap_or_else(|error| panic!("{line}: {error}"));
    let Command::Api(command) = cli.command else { panic!("{line} asks no API") };
    let session = Session::to(listener.local_addr().unwrap().to_string(), "token").unwrap();
    let answered = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = stream.read_buf(&mut request).await.unwrap();
            assert!(read > 0, "{line} ended too early");
        }
        let answer = "HTTP/1.1 418 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request).lines().next().unwrap().to_owned()
    };
    let asked = super::run(&command, Format::Json, &session);
    tokio::pin!(answered);
    tokio::select! {
        request = &mut answered => request,
        done = asked => match done {
            // It may be told of the answer before the other end is done with it.
            Err(CliError::NotTheApi { .. } | CliError::Lost { .. }) => answered.await,
            done => panic!("{line} asked nothing: {done:?}"),
        },
    }
}

#[tokio::test]
async fn every_operation_has_a_command() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pem = file("pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let json = file("json", "{\"documents\": []}");
    let line =
        r#"{"client":"192.0.2.1","method":"GET","host":"a","path":"/","decision":"forward"}"#;
    let log = file("log", line);
    let operations = operations();
    for id in operations.keys().filter(|id| !NO_COMMAND.contains(&id.as_str())) {
        let is_known = COMMANDS.iter().any(|(known, _)| known == id);
        assert!(is_known, "{id} has no command: add one, and an example of it here");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (id, line) in COMMANDS {
        let line = line
            .replace("{pem}", &pem)
            .replace("{json}", &json)
            .replace("{log}", &log)
            .replace("{reservation}", "rsv_01HZZZZZZZZZZZZZZZZZZZZZZZ");
        let sent = first_request(&listener, &line).await;
        let (method, path) = operations.get(*id).unwrap_or_else(|| panic!("{id} is no operation"));
        let mut words = sent.split(' ');
        let (by, target) = (words.next().unwrap(), words.next().unwrap());
        let asked = target.split('?').next().unwrap();
        assert!(by == method && fits(path, asked), "`{line}` sends {sent}, not {method} {path}");
    }
}
