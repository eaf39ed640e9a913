//! The steps of a decision, told to whoever listens.

use std::fmt;

/// A step of [`crate::decide`], in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Is the request well formed?
    Guard,
    /// Which tenant does the host name?
    Resolve,
    /// Who is calling, and are they who they say?
    Authenticate,
    /// Is the tenant served?
    State,
    /// May this address reach it?
    Access,
    /// Where does the request go?
    Route,
    /// Does the tenant have what the route needs?
    Features,
    /// Is there room left in the limits?
    Admit,
}

impl Stage {
    /// The stage's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Resolve => "resolve",
            Self::Authenticate => "authenticate",
            Self::State => "state",
            Self::Access => "access",
            Self::Route => "route",
            Self::Features => "features",
            Self::Admit => "admit",
        }
    }
}

/// Listens to a decision being made. Live traffic uses `()`, which compiles to nothing.
pub trait Trace {
    /// A step was taken; `detail` names the rule and what it said, and never a credential.
    fn note(&mut self, stage: Stage, detail: fmt::Arguments<'_>);
}

impl Trace for () {
    #[inline]
    fn note(&mut self, _: Stage, _: fmt::Arguments<'_>) {}
}

/// Every step as text, for `explain`.
#[derive(Debug, Default)]
pub struct Explanation(pub Vec<(Stage, String)>);

impl Trace for Explanation {
    fn note(&mut self, stage: Stage, detail: fmt::Arguments<'_>) {
        self.0.push((stage, detail.to_string()));
    }
}
