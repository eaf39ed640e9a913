//! What people see when a request is refused.

use serde_json::json;
use tenantry_test_support::{Answer, Platform};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn asked(platform: &Platform, host: &str, accept: &str) -> Answer {
    platform.get(host, "/<b>").header("accept", accept).send().await
}

#[tokio::test]
async fn a_page_or_a_problem_as_the_client_prefers() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    for (accept, is_page) in [
        (BROWSER, true),
        ("application/json;q=0.5, text/html;q=0.6", true),
        ("text/*", true),
        ("*/*", false),
        ("text/html, application/json", false),
        ("text/html;q=0.4, application/problem+json;q=0.5", false),
        ("text/html;q=0", false),
        ("image/png", false),
    ] {
        let answer = platform.get("acme.example", "/").header("accept", accept).send().await;
        let expected =
            if is_page { "text/html; charset=utf-8" } else { "application/problem+json" };
        assert_eq!((answer.status, answer.header("content-type")), (401, expected), "{accept}");
        assert_eq!(answer.header("vary"), "accept");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(is_page, !answer.header("content-security-policy").is_empty());
        assert!(answer.body.contains("credential-missing"), "{}", answer.body);
        assert!(answer.body.contains(answer.header("x-request-id")));
    }
}

#[tokio::test]
async fn a_page_has_the_branding_of_the_hosts_tenant_and_of_no_other() {
    let platform = Platform::start().await;
    let branding = json!({
        "display_name": "Acme <&> Söhne", "color": "#1f6feb", "support_url": "https://help.acme.com/?a=1&b=2",
        "logo_url": "https://cdn.acme.com/logo.png",
    });
    let secret = platform.tenant("acme", json!({ "branding": branding })).await;
    platform.tenant("plain", json!({})).await;
    let page = asked(&platform, "acme.example", BROWSER).await;
    for part in [
        "Acme &lt;&amp;&gt; Söhne",
        "#1f6feb",
        "href=\"https://help.acme.com/?a=1&amp;b=2\"",
        "src=\"https://cdn.acme.com/logo.png\"",
    ] {
        assert!(page.body.contains(part), "{part} in {}", page.body);
    }
    assert!(!page.body.contains("<b>") && !page.body.contains("<script"), "{}", page.body);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("img-src https://cdn.acme.com;"), "{policy}");
    assert!(policy.contains(&format!("'nonce-{}'", page.header("x-request-id"))), "{policy}");
    // Neither another host nor a host of nobody shows it, whosever key comes along.
    let suspended = platform.api().tenants().suspend("acme", "test").await.unwrap();
    platform.enforced(suspended.revision).await;
    for host in ["plain.example", "nobody.example"] {
        let other = platform.get(host, "/").header("accept", BROWSER).key(&secret).send().await;
        assert!(other.status >= 400 && !other.body.contains("Acme"), "{}", other.body);
        assert!(!other.header("content-security-policy").contains("img-src"));
    }
    // A problem document has none.
    assert!(!asked(&platform, "acme.example", "*/*").await.body.contains("Acme"));
    // What was taken away is gone.
    let patched = platform.api().tenants().patch("acme", &json!({"branding": null}), None).await;
    platform.enforced(patched.unwrap().revision).await;
    assert!(!asked(&platform, "acme.example", BROWSER).await.body.contains("Acme"));
}

#[tokio::test]
async fn branding_that_could_do_harm_is_refused_when_it_is_written() {
    let platform = Platform::start().await;
    platform.tenant("acme", json!({})).await;
    for branding in [
        json!({"support_url": "javascript:alert(1)"}),
        json!({"support_url": "http://acme.com/"}),
        json!({"logo_url": "data:image/svg+xml;base64,PHN2Zz4="}),
        json!({"logo_url": "data:text/html;base64,PHN2Zz4="}),
        json!({"color": "red;}"}),
        json!({"display_name": ""}),
        json!({"css": "a"}),
    ] {
        let refused =
            platform.api().tenants().patch("acme", &json!({ "branding": branding }), None).await;
        let problem = format!("{:?}", refused.unwrap_err());
        assert!(problem.contains("branding"), "{branding}: {problem}");
    }
}
