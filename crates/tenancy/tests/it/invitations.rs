//! Invitations and their letters.

use std::{fs, path::Path, time::Duration};

use futures::future::join_all;
use tenantry_credentials::{access_token::parse_invitation, sealing::MasterKeys};
use tenantry_model::KeyDigest;
use tenantry_tenancy::{
    Error, InvitationState, Mail, NewInvitation, PageRequest, Precondition, RoleSpec, Tenancy,
};

use crate::platform::{Platform, caller, named};

const DAY: Duration = Duration::from_secs(86_400);

fn ada() -> NewInvitation {
    NewInvitation { email: "ada@example.com".parse().unwrap(), role: "admin".parse().unwrap() }
}

fn token(mail: &Mail) -> String {
    let (_, rest) = mail.letter.text.split_once('#').unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

async fn only_letter(tenancy: &Tenancy) -> Mail {
    let mut due = tenancy.due_mail(10).await.unwrap();
    assert_eq!(due.len(), 1);
    due.remove(0)
}

fn digest(mail: &Mail) -> KeyDigest {
    parse_invitation(&token(mail)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_accept_at_once_one_does() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, caller) = (&platform.tenancy, &caller());
    tenancy.invite(caller, &named("acme"), ada()).await.unwrap();
    let digest = digest(&only_letter(tenancy).await);
    let accepted =
        join_all((0..20).map(async |_| tenancy.accept_invitation(caller, digest).await)).await;
    let (done, refused): (Vec<_>, Vec<_>) = accepted.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    assert!(refused.iter().all(|error| matches!(error, Err(Error::Gone(_)))), "{refused:?}");
    let request = PageRequest::new(None, None).unwrap();
    let members = tenancy.members(&named("acme"), &request).await.unwrap().items;
    assert_eq!(members.len(), 1);
    let entry = platform.audit().await.remove(0).value;
    assert_eq!(entry.action, "invitation.accept");
    assert!(entry.actor.starts_with("invitation/inv_"), "{}", entry.actor);
    // What is accepted need not be sent any more.
    assert!(tenancy.due_mail(10).await.unwrap().is_empty());
    assert!(platform.rows().await.iter().all(|(key, _)| !key.starts_with("mail/")));
}

#[tokio::test]
async fn an_invitation_is_one_at_a_time_and_ends() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
    let first = tenancy.invite(caller, acme, ada()).await.unwrap().value;
    let twice = tenancy.invite(caller, acme, ada()).await;
    assert!(matches!(twice, Err(Error::IdTaken { .. })), "{twice:?}");
    let old = digest(&only_letter(tenancy).await);
    tenancy.resend_invitation(caller, acme, first.id).await.unwrap();
    // The letter with the old token is void, whether it was sent or not.
    let new = digest(&only_letter(tenancy).await);
    let void = tenancy.accept_invitation(caller, old).await;
    assert!(matches!(void, Err(Error::NotFound { .. })), "{void:?}");
    platform.clock.pass(DAY * 7);
    let late = tenancy.accept_invitation(caller, new).await;
    assert!(matches!(late, Err(Error::Gone(_))), "{late:?}");
    tenancy.reconcile().await.unwrap();
    let found = tenancy.invitation(acme, first.id).await.unwrap().value;
    assert_eq!(found.state, InvitationState::Expired);
    let late = tenancy.accept_invitation(caller, new).await;
    assert!(matches!(late, Err(Error::Gone(_))), "{late:?}");
    let second = tenancy.invite(caller, acme, ada()).await.unwrap().value;
    let letter = digest(&only_letter(tenancy).await);
    tenancy.revoke_invitation(caller, acme, second.id, &Precondition::None).await.unwrap();
    let revoked = tenancy.accept_invitation(caller, letter).await;
    assert!(matches!(revoked, Err(Error::Gone(_))), "{revoked:?}");
    assert!(tenancy.due_mail(10).await.unwrap().is_empty());
    let third = tenancy.invite(caller, acme, ada()).await.unwrap().value;
    let foreign = platform.create_tenant("globex").await;
    let globex = named(foreign.value.resource.slug.as_str());
    let missed = tenancy.invitation(&globex, third.id).await;
    assert!(matches!(missed, Err(Error::NotFound { .. })), "{missed:?}");
}

#[tokio::test]
async fn the_time_of_an_invitation_begins_anew_with_each_letter() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, caller, acme) = (&platform.tenancy, &caller(), &named("acme"));
    let id = tenancy.invite(caller, acme, ada()).await.unwrap().value.id;
    platform.clock.pass(DAY * 6);
    tenancy.resend_invitation(caller, acme, id).await.unwrap();
    let letter = digest(&only_letter(tenancy).await);
    // The end of the first letter goes by.
    platform.clock.pass(DAY * 6);
    tenancy.reconcile().await.unwrap();
    let found = tenancy.invitation(acme, id).await.unwrap().value;
    assert_eq!(found.state, InvitationState::Pending);
    tenancy.accept_invitation(caller, letter).await.unwrap();
    let again = tenancy.resend_invitation(caller, acme, id).await;
    assert!(matches!(again, Err(Error::Gone(_))), "{again:?}");
    let spec = RoleSpec { description: String::new(), permissions: [].into() };
    tenancy.create_role(caller, acme, "guest".parse().unwrap(), spec).await.unwrap();
    let guest =
        NewInvitation { email: "eve@example.com".parse().unwrap(), role: "guest".parse().unwrap() };
    let id = tenancy.invite(caller, acme, guest).await.unwrap().value.id;
    let used =
        tenancy.delete_role(caller, acme, "guest".parse().unwrap(), &Precondition::None).await;
    assert!(matches!(used, Err(Error::InUse { .. })), "{used:?}");
    tenancy.revoke_invitation(caller, acme, id, &Precondition::None).await.unwrap();
    tenancy.delete_role(caller, acme, "guest".parse().unwrap(), &Precondition::None).await.unwrap();
    let second = NewInvitation { email: "bob@example.com".parse().unwrap(), ..ada() };
    let id = tenancy.invite(caller, acme, second).await.unwrap().value.id;
    platform.clock.pass(DAY * 7);
    let late = tenancy.resend_invitation(caller, acme, id).await;
    assert!(matches!(late, Err(Error::Gone(_))), "{late:?}");
}

#[tokio::test]
async fn a_letter_is_tried_again_and_stays_the_same() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let (tenancy, clock) = (&platform.tenancy, &platform.clock);
    tenancy.invite(&caller(), &named("acme"), ada()).await.unwrap();
    let first = only_letter(tenancy).await;
    for wait in [10, 20, 40] {
        let letter = only_letter(tenancy).await;
        assert_eq!((letter.id, token(&letter)), (first.id, token(&first)));
        tenancy.mail_failed(&letter).await.unwrap();
        clock.pass(Duration::from_secs(wait - 1));
        assert!(tenancy.due_mail(10).await.unwrap().is_empty());
        clock.pass(Duration::from_secs(2));
    }
    // Sent, and the process ends before it can say so: it is sent once more.
    let letter = only_letter(tenancy).await;
    let again = only_letter(tenancy).await;
    tenancy.mail_sent(&letter).await.unwrap();
    tenancy.mail_sent(&again).await.unwrap();
    assert!(tenancy.due_mail(10).await.unwrap().is_empty());
}

fn holds(directory: &Path, needle: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn a_token_is_in_no_file_and_no_audit_entry() {
    let platform = Platform::new().await;
    platform.create_tenant("acme").await;
    let keys = MasterKeys::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let tenancy = platform.sealing(keys);
    tenancy.invite(&caller(), &named("acme"), ada()).await.unwrap();
    let letter = only_letter(&tenancy).await;
    let token = token(&letter);
    let request = PageRequest::new(None, None).unwrap();
    let invitations = tenancy.invitations(&named("acme"), &request).await.unwrap().items;
    assert!(!format!("{invitations:?}").contains(&token));
    for (key, value) in platform.rows().await {
        assert!(!String::from_utf8_lossy(&value).contains(&token), "{key}");
    }
    let digest = digest(&letter).to_string();
    for entry in platform.audit().await {
        let entry = serde_json::to_string(&entry.value).unwrap();
        assert!(!entry.contains(&token) && !entry.contains(&digest), "{entry}");
    }
    platform.store.close();
    // What is searched is what was written: the address is there.
    assert!(holds(platform.directory.path(), b"ada@example.com"));
    assert!(!holds(platform.directory.path(), token.as_bytes()));
    assert!(!holds(platform.directory.path(), &token.as_bytes()[4..]));
}
