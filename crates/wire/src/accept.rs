//! `Accept`: whether a client would rather have a page or JSON (RFC 9110, section 12.5.1).
//!
//! Each of the two is worth what the most specific range that covers it says, and nothing if none does.
//! A header that cannot be read in part counts as if that part were not there.

/// Ranges that are looked at; more say nothing that these did not.
const MAX_RANGES: usize = 64;

/// Whether a page is preferred. Who takes both alike gets JSON, and who names neither too.
#[must_use]
pub fn prefers_html<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut html, mut json) = (Worth::default(), Worth::default());
    let ranges = lines.flat_map(|line| line.split(|byte| *byte == b','));
    for range in ranges.take(MAX_RANGES).filter_map(Range::parse) {
        html.weigh(&range, &["text/html"]);
        json.weigh(&range, &["application/problem+json", "application/json"]);
    }
    html.thousandths > json.thousandths
}

/// What one media type is worth to the client.
#[derive(Debug, Default)]
struct Worth {
    specificity: u8,
    thousandths: u16,
}

impl Worth {
    /// The more specific range decides; of equal ones, the kinder.
    fn weigh(&mut self, range: &Range<'_>, types: &[&str]) {
        let specificity =
            types.iter().map(|media_type| range.covers(media_type)).max().unwrap_or(0);
        if specificity == 0 || specificity < self.specificity {
            return;
        }
        let known = if specificity == self.specificity { self.thousandths } else { 0 };
        *self = Self { specificity, thousandths: range.thousandths.max(known) };
    }
}

/// One member of the header.
#[derive(Debug)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    thousandths: u16,
}

impl<'a> Range<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(bytes).ok()?.split(';').map(str::trim_ascii);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut thousandths = 1000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.eq_ignore_ascii_case("q")
            {
                thousandths = weight(value)?;
            }
        }
        Some(Self { kind, subtype, thousandths })
    }

    /// 3 for the type itself, 2 for all of its kind, 1 for all, 0 if it is none of them.
    fn covers(&self, media_type: &str) -> u8 {
        let Some((kind, subtype)) = media_type.split_once('/') else { return 0 };
        match (self.kind.eq_ignore_ascii_case(kind), self.subtype) {
            (true, ours) if ours.eq_ignore_ascii_case(subtype) => 3,
            (true, "*") => 2,
            (false, "*") if self.kind == "*" => 1,
            _ => 0,
        }
    }
}

/// 0 to 1 with at most three decimals (RFC 9110, section 12.4.2), in thousandths.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = match whole {
        "0" => 0,
        "1" => 1000,
        _ => return None,
    };
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    Some(whole + decimals).filter(|thousandths| *thousandths <= 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(accept: &[&str], expected: bool) {
        assert_eq!(prefers_html(accept.iter().map(|line| line.as_bytes())), expected, "{accept:?}");
    }

    #[test]
    fn a_page_for_those_who_prefer_it() {
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], true);
        check(&["TEXT/HTML"], true);
        check(&["application/json;q=0.5, text/html;q=0.6"], true);
        check(&["application/json;q=0.5", "text/html ; q=0.501"], true);
        check(&["text/*, */*;q=0.1"], true);
        check(&["text/html;charset=utf-8;q=1.000, application/*;q=0.999"], true);
        // The more specific says how much.
        check(&["*/*, application/json;q=0.1, application/problem+json;q=0"], true);
    }

    #[test]
    fn json_for_all_others() {
        check(&[], false);
        check(&[""], false);
        check(&["*/*"], false);
        check(&["text/html, application/json"], false);
        check(&["text/html, */*"], false);
        check(&["text/html;q=0.5, application/json"], false);
        check(&["text/html;q=0.5, application/problem+json;q=0.6"], false);
        check(&["text/html;q=0"], false);
        check(&["text/html;q=0, text/*, */*;q=0.5"], false);
        check(&["image/png"], false);
        check(&["*/html"], false);
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        for bad in [
            "text/html;q=2",
            "text/html;q=0.5555",
            "text/html;q=",
            "text/html;q=.5",
            "html",
            "text/html;q=1.001",
        ] {
            check(&[bad], false);
        }
        check(&["\u{1}, text/html"], true);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = prefers_html([value.as_slice()].into_iter());
        }

        #[test]
        fn the_greater_weight_wins(html in 0u16..=1000, json in 0u16..=1000) {
            let q = |weight: u16| format!("{}.{:03}", weight / 1000, weight % 1000);
            let accept = format!("application/json;q={}, text/html;q={}", q(json), q(html));
            prop_assert_eq!(prefers_html([accept.as_bytes()].into_iter()), html > json);
        }
    }
}
