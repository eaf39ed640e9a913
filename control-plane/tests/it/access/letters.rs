//! Invitations, from the request to the letter and back.

use std::fs;

use serde_json::json;
use tenantry_api::{AcceptInvitation, CreateInvitation, ListQuery};
use tenantry_control_plane::Running;
use tenantry_test_support::{MailServer, eventually};

use crate::server::Server;

fn invitation(email: &str) -> CreateInvitation {
    serde_json::from_value(json!({"email": email, "role": "admin"})).unwrap()
}

fn token(letter: &str) -> String {
    let (_, rest) = letter.split_once("#tni_").unwrap();
    format!("tni_{}", rest.split_whitespace().next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_sent_by_smtp_and_accepted_once() {
    let mail = MailServer::start().await;
    let url = format!("smtp://{}", mail.address);
    let server = Server::with_mail_to(&url).await;
    let invitations = server.client.invitations("acme");
    let sent = invitations.create(&invitation("ada@example.com")).await.unwrap();
    let twice = invitations.create(&invitation("ada@example.com")).await.unwrap_err();
    assert_eq!(twice.problem().unwrap().status, 409);
    let letter = eventually("the letter", async || mail.received().await.pop()).await;
    assert_eq!(letter.to, ["ada@example.com"]);
    assert_eq!(letter.text.matches("Message-ID: <").count(), 1, "{}", letter.text);
    let accept = AcceptInvitation { token: token(&letter.text) };
    let anybody = server.as_one_with("");
    let member = anybody.accept_invitation(&accept).await.unwrap();
    assert_eq!(
        (member.email.unwrap().as_str(), member.role.as_str()),
        ("ada@example.com", "admin")
    );
    let again = anybody.accept_invitation(&accept).await.unwrap_err();
    assert_eq!(again.problem().unwrap().status, 410);
    let unknown = AcceptInvitation { token: format!("tni_{}", "x".repeat(43)) };
    let unknown = anybody.accept_invitation(&unknown).await.unwrap_err();
    assert_eq!(unknown.problem().unwrap().status, 404);
    let found = invitations.get(&sent.id.to_string()).await.unwrap();
    assert_eq!((found.state.as_str(), found.accepted_by), ("accepted", Some(member.user)));
    let members = server.client.members("acme").list(&ListQuery::default()).await.unwrap();
    assert_eq!(members.items.len(), 1);
    assert_eq!(mail.received().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_letters_become_files_that_nobody_else_reads() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::with_acme().await;
    server.client.invitations("acme").create(&invitation("ada@example.com")).await.unwrap();
    // Whether it was sent before the end or after the new beginning, it is sent.
    let Server { running, directory, .. } = server;
    Running::stop(running).await;
    let server = Server::start_in(directory).await;
    let letters = server.directory.path().join("mail");
    let file = eventually("the letter", async || {
        let mut files = fs::read_dir(&letters).ok()?.filter_map(Result::ok);
        files.find(|file| file.path().extension().is_some_and(|end| end == "eml"))
    })
    .await;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let accept = AcceptInvitation { token: token(&fs::read_to_string(file.path()).unwrap()) };
    server.as_one_with("").accept_invitation(&accept).await.unwrap();
}
