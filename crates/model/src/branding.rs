//! How a tenant's error pages look.
//!
//! What is here ends up in a page that other people's browsers show, so each part is of a form that can
//! do no more than it says: text, a colour, an https link, a picture. A scheme such as `javascript:` and
//! an SVG, which may hold scripts, cannot be written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Invalid, host::is_dns_name};

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// The largest picture that is kept with the tenant, in bytes of its data URL.
pub const MAX_PICTURE_BYTES: usize = 16 * 1024;
const MAX_DISPLAY_NAME_CHARACTERS: usize = 100;

/// What a tenant's error pages show beside the error.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branding {
    /// What its customers know it as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<LogoUrl>,
    /// The colour of headings and links.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
    /// Where its customers find help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_url: Option<HttpsUrl>,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $is_valid:expr, $rule:literal,
     $pattern:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// As it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                if $is_valid(text) { Ok(Self(text.into())) } else { Err(Invalid::new($what, text, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        #[cfg(feature = "openapi")]
        crate::openapi::text_schema!($name, crate::openapi::text($rule, $pattern, 1..=$max));

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text!(
    /// A name for people: one line.
    DisplayName, "display name", is_display_name, "write 1 to 100 characters, on one line and not only spaces",
    r"\S", MAX_DISPLAY_NAME_CHARACTERS
);
text!(
    /// `#rrggbb`.
    Color, "color", is_color, "write it as #rrggbb, such as #1f6feb",
    "^#[0-9A-Fa-f]{6}$", 7
);
text!(
    /// An absolute https URL.
    HttpsUrl, "https URL", is_https_url, "write https://, a host name, and what follows it percent-encoded; at most 2048 bytes, without user name",
    "^https://", MAX_URL_BYTES
);
text!(
    /// Where a picture is: an https URL, or the picture itself.
    LogoUrl, "logo URL", is_logo_url, "write an https URL of at most 2048 bytes, or data:image/png;base64,... (or jpeg, webp) of at most 16384",
    "^(https://|data:image/(png|jpeg|webp);base64,)", MAX_PICTURE_BYTES
);

impl HttpsUrl {
    /// The scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        origin(&self.0)
    }
}

impl LogoUrl {
    /// The scheme, host and port that it is fetched from; `data:` if it is not fetched.
    #[must_use]
    pub fn origin(&self) -> &str {
        if self.0.starts_with("data:") { "data:" } else { origin(&self.0) }
    }
}

fn origin(url: &str) -> &str {
    let host = url.len() - url.trim_start_matches("https://").len();
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| url.get(..host + end)).unwrap_or(url)
}

fn is_display_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= MAX_DISPLAY_NAME_CHARACTERS
        && !text.chars().any(|character| character.is_control() || is_directing(character))
}

/// Characters that turn the direction of the text around them, which can make it say something else.
fn is_directing(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|digits| {
        digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_https_url(text: &str) -> bool {
    // RFC 3986: unreserved, reserved and `%`. No quotes, angle brackets, spaces, controls, backslashes.
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte);
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    text.len() <= MAX_URL_BYTES
        && is_dns_name(host)
        && !port.starts_with('+')
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && text.bytes().all(is_allowed)
}

fn is_logo_url(text: &str) -> bool {
    is_https_url(text) || is_picture(text)
}

/// A picture's first bytes say of what kind it is, and browsers believe them: they must say what the
/// media type says.
fn is_picture(text: &str) -> bool {
    // The first bytes, encoded: 3 bytes are 4 characters. WebP has its length in between.
    const KINDS: [(&str, &str); 3] = [
        ("data:image/png;base64,", "iVBORw0KGgo"),
        ("data:image/jpeg;base64,", "/9j/"),
        ("data:image/webp;base64,", "UklGR"),
    ];
    text.len() <= MAX_PICTURE_BYTES
        && KINDS.iter().any(|(prefix, magic)| {
            text.strip_prefix(prefix).is_some_and(|data| data.starts_with(magic) && is_base64(data))
        })
}

fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - data.len() <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, is_valid: bool) {
        let parsed = serde_json::from_str::<Branding>(json);
        assert_eq!(parsed.is_ok(), is_valid, "{json}: {parsed:?}");
        if let Ok(branding) = parsed {
            let again = serde_json::to_string(&branding).unwrap();
            assert_eq!(serde_json::from_str::<Branding>(&again).unwrap(), branding);
        }
    }

    #[test]
    fn names_and_colors() {
        check("{}", true);
        check(r##"{"display_name":"Acme & Söhne <3","color":"#1f6FEB"}"##, true);
        check(&format!(r#"{{"display_name":"{}"}}"#, "ä".repeat(100)), true);
        for bad in [
            r#"{"display_name":""}"#,
            r#"{"display_name":" "}"#,
            r#"{"display_name":"a\nb"}"#,
            r#"{"display_name":"a\u202eb"}"#,
            r##"{"color":"#fff"}"##,
            r#"{"color":"red"}"#,
            r##"{"color":"#12345;"}"##,
            r##"{"color":"#1234567"}"##,
            r##"{"colour":"#123456"}"##,
        ] {
            check(bad, false);
        }
        check(&format!(r#"{{"display_name":"{}"}}"#, "a".repeat(101)), false);
    }

    #[test]
    fn links() {
        let link = |url: &str| serde_json::json!({ "support_url": url }).to_string();
        for good in [
            "https://acme.com",
            "https://help.acme.com:8443/a/b?c=d%20e#f",
            "https://a.b/?x=(y);z,",
        ] {
            check(&link(good), true);
        }
        for bad in [
            "http://acme.com/",
            "javascript:alert(1)",
            "https:acme.com",
            "https://",
            "https:///path",
            "https://user:pass@acme.com/",
            "https://acme.com@evil.com/",
            "https://acme.com:0/",
            "https://acme.com:x/",
            "https://10.0.0.1/",
            "https://acme.com/\"onclick=\"",
            "https://acme.com/<script>",
            "https://acme.com/a b",
            "https://acme.com/'",
            "https://acme.com\\@evil.com",
            "https://acme.com/\u{e4}",
            "data:image/png;base64,iVBORw0KGgo=",
        ] {
            check(&link(bad), false);
        }
        check(&link(&format!("https://a.b/{}", "x".repeat(2048))), false);
    }

    #[test]
    fn logos() {
        let logo = |url: &str| serde_json::json!({ "logo_url": url }).to_string();
        for good in [
            "https://cdn.acme.com/logo.svg",
            "data:image/png;base64,iVBORw0KGgo=",
            "data:image/jpeg;base64,/9j/4AAQ",
            "data:image/webp;base64,UklGRgAA",
        ] {
            check(&logo(good), true);
        }
        for bad in [
            "data:image/svg+xml;base64,PHN2Zz4=",
            "data:image/png;base64,PHN2Zz4=",
            "data:image/png;base64,iVBORw0KGgo",
            "data:image/png;base64,iVBORw0KGgo\"",
            "data:image/png;charset=utf-8;base64,iVBORw0KGgo=",
            "data:text/html;base64,PHN2Zz4=",
            "data:image/png,abc",
            "javascript:alert(1)",
        ] {
            check(&logo(bad), false);
        }
        let large = format!("data:image/png;base64,iVBORw0KGgo{}", "A".repeat(MAX_PICTURE_BYTES));
        check(&logo(&large), false);
    }

    #[test]
    fn origins() {
        let origin = |url: &str| url.parse::<LogoUrl>().unwrap().origin().to_owned();
        assert_eq!(
            origin("https://cdn.acme.com:8443/a;b,c?https://d"),
            "https://cdn.acme.com:8443"
        );
        assert_eq!(origin("https://cdn.acme.com"), "https://cdn.acme.com");
        assert_eq!(origin("data:image/jpeg;base64,/9j/"), "data:");
    }
}
