//! The steps of a decision, told to whoever listens.

use std::fmt;

use tenantry_model::{ResourceKind, ResourceRef};

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

    /// What was noted last follows from this resource, among others.
    #[inline]
    fn by(&mut self, _kind: ResourceKind, _id: &dyn fmt::Display) {}

    /// Whether anybody listens, and what is only told is worth finding out.
    #[inline]
    fn is_heard(&self) -> bool {
        true
    }
}

impl Trace for () {
    #[inline]
    fn note(&mut self, _: Stage, _: fmt::Arguments<'_>) {}

    #[inline]
    fn is_heard(&self) -> bool {
        false
    }
}

/// Every step as text, for `explain`.
#[derive(Debug, Default)]
pub struct Explanation(pub Vec<Step>);

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which stage.
    pub stage: Stage,
    /// The rule, and what it said.
    pub detail: String,
    /// The resources that it follows from.
    pub rules: Vec<ResourceRef>,
}

impl Trace for Explanation {
    fn note(&mut self, stage: Stage, detail: fmt::Arguments<'_>) {
        self.0.push(Step { stage, detail: detail.to_string(), rules: Vec::new() });
    }

    fn by(&mut self, kind: ResourceKind, id: &dyn fmt::Display) {
        if let Some(step) = self.0.last_mut() {
            step.rules.push(ResourceRef { kind, id: id.to_string() });
        }
    }
}
