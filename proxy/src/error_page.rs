//! The page that people are shown in place of a problem document, with the branding of the tenant whose
//! host they asked for.
//!
//! By the host and by nothing else: whose host it is can be seen from the outside anyway, while a page
//! that a key or a token brought out would tell whose they are. No text of the page comes from the
//! request, what comes from the branding is escaped, and the policy that goes with the page lets nothing
//! run and nothing load but the logo.

use std::fmt::Write as _;

use pingora::proxy::Session;
use tenantry_engine::{CompiledTenant, Table, host_of};
use tenantry_model::Branding;
use tenantry_wire::accept::prefers_html;

use crate::{facts::Asked, request_id::RequestId};

/// What the page says.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) status: u16,
    pub(crate) title: &'a str,
    pub(crate) detail: Option<&'a str>,
    pub(crate) reason: &'a str,
    pub(crate) request_id: RequestId,
}

/// Whether the client would rather have a page.
pub(crate) fn is_preferred(session: &Session) -> bool {
    let lines = session.req_header().headers.get_all(http::header::ACCEPT).iter();
    prefers_html(lines.map(http::HeaderValue::as_bytes))
}

/// The branding of the tenant whose host the request names.
pub(crate) fn branding<'a>(session: &Session, table: &'a Table) -> Option<&'a Branding> {
    // Whose client it is makes no difference to whose host it is.
    let facts = Asked::of(session).facts(std::net::Ipv4Addr::UNSPECIFIED.into());
    let tenant = table.tenant_of_host(&host_of(&facts)?)?;
    CompiledTenant::branding(tenant).map(AsRef::as_ref)
}

/// The page.
pub(crate) fn page(text: &Text<'_>, branding: Option<&Branding>) -> String {
    let Text { status, title, detail, reason, request_id } = text;
    let unbranded = Branding::default();
    let Branding { display_name, logo_url, color, support_url } = branding.unwrap_or(&unbranded);
    let name = display_name.as_ref().map(|name| escaped(name.as_str())).unwrap_or_default();
    let separator = if name.is_empty() { "" } else { " · " };
    let color = color.as_ref().map_or("#1f2328", |color| color.as_str());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{status} {title}{separator}{name}</title>\n<style nonce=\"{request_id}\">\n\
         body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 32rem; padding: 0 1rem }}\n\
         h1, a {{ color: {color} }}\nimg {{ max-height: 4rem; max-width: 100% }}\nsmall {{ color: #59636e }}\n\
         </style>\n</head>\n<body>\n"
    );
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{line}");
    };
    if let Some(logo) = logo_url {
        let logo = escaped(logo.as_str());
        line(format_args!(
            "<p><img src=\"{logo}\" alt=\"{name}\" referrerpolicy=\"no-referrer\"></p>"
        ));
    } else if !name.is_empty() {
        line(format_args!("<p>{name}</p>"));
    }
    line(format_args!("<h1>{title}</h1>"));
    if let Some(detail) = detail {
        line(format_args!("<p>{}.</p>", escaped(detail)));
    }
    if let Some(support) = support_url {
        let support = escaped(support.as_str());
        line(format_args!("<p><a href=\"{support}\" rel=\"noopener noreferrer\">Get help</a></p>"));
    }
    line(format_args!(
        "<p><small>{status} · {reason} · {request_id}</small></p>\n</body>\n</html>"
    ));
    page
}

/// The page's `Content-Security-Policy`: its own style, named by the request's id, and its logo.
pub(crate) fn policy(request_id: RequestId, branding: Option<&Branding>) -> String {
    let logo = branding.and_then(|branding| branding.logo_url.as_ref());
    let images = logo.map(|logo| format!("img-src {}; ", logo.origin())).unwrap_or_default();
    format!(
        "default-src 'none'; style-src 'nonce-{request_id}'; {images}\
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// For text and for attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::RequestIds;

    fn text() -> Text<'static> {
        let (title, reason) = ("Too many requests", "rate-limited");
        let request_id = RequestIds::new(1).next();
        Text { status: 429, title, detail: Some("a <detail>"), reason, request_id }
    }

    fn brand(json: serde_json::Value) -> Branding {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn branding_is_escaped() {
        let branding = brand(serde_json::json!({
            "display_name": "<script>\"'&", "color": "#123456",
            "logo_url": "https://cdn.acme.com/a?b=c&d=e", "support_url": "https://help.acme.com/?a&b",
        }));
        let page = page(&text(), Some(&branding));
        assert!(!page.contains("<script") && !page.contains("<detail>"), "{page}");
        for part in [
            "alt=\"&lt;script&gt;&quot;&#39;&amp;\"",
            "src=\"https://cdn.acme.com/a?b=c&amp;d=e\"",
            "href=\"https://help.acme.com/?a&amp;b\"",
            "color: #123456",
            "429 · rate-limited · 00000000000000000000000000000001",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn the_policy_lets_the_logo_in_and_nothing_else() {
        let id = text().request_id;
        let images = |json| policy(id, Some(&brand(json)));
        assert!(!policy(id, None).contains("img-src"));
        let fetched = images(serde_json::json!({"logo_url": "https://cdn.acme.com/a.png"}));
        assert!(fetched.contains("img-src https://cdn.acme.com; "), "{fetched}");
        let kept = images(serde_json::json!({"logo_url": "data:image/png;base64,iVBORw0KGgo="}));
        assert!(
            kept.contains("img-src data:; ") && kept.starts_with("default-src 'none'"),
            "{kept}"
        );
    }
}
