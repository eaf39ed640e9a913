//! The one error of this crate: a value that breaks a rule.

use std::borrow::Cow;

/// A value that was refused, and what would have been accepted.
///
/// The text is written for whoever sent the value: it names the value (cut short if it is long) and
/// says the rule, and it reaches API clients unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {what}: {rule}")]
pub struct Invalid {
    what: &'static str,
    value: String,
    rule: Cow<'static, str>,
}

/// Longer values are cut in error texts, so that a hostile value cannot flood a log.
const SHOWN_CHARACTERS: usize = 80;

impl Invalid {
    /// `what` is the noun of the refused value, `rule` the sentence that says what is accepted.
    pub fn new(what: &'static str, value: &str, rule: impl Into<Cow<'static, str>>) -> Self {
        let mut shown: String = value.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self { what, value: shown, rule: rule.into() }
    }
}
