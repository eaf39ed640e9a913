//! What the exit code of a command says. The numbers never change their meaning.
//!
//! `diff` is the exception, because it is as `diff` is everywhere: 0 if nothing differs, 1 if something does, 2
//! if that could not be found out.

use tenantry_api::{Problem, ProblemKind};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    NotFound,
    Denied,
    Conflict,
    Invalid,
    Unavailable,
    NotEnforced,
    Unknown,
}

impl Exit {
    pub(crate) const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotFound,
        Self::Denied,
        Self::Conflict,
        Self::Invalid,
        Self::Unavailable,
        Self::NotEnforced,
        Self::Unknown,
    ];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Conflict => 5,
            Self::Invalid => 6,
            Self::Unavailable => 7,
            Self::NotEnforced => 8,
            Self::Unknown => 9,
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "it was done",
            Self::Failed => "it failed for a reason that has no code of its own",
            Self::Usage => "the command line is not usable",
            Self::NotFound => "there is no such thing, or not any more",
            Self::Denied => "the credential is missing, wrong, or may not do this",
            Self::Conflict => {
                "it is taken, in use, not possible in this state, or has changed since"
            }
            Self::Invalid => "the input breaks a rule",
            Self::Unavailable => "the control plane cannot be reached, or cannot do this now",
            Self::NotEnforced => {
                "it was done, but with --wait not all proxies enforced it in time, or one refuses it"
            }
            Self::Unknown => "there was no answer: it is not known whether it was done",
        }
    }

    /// What a refusal of the API means.
    pub(crate) fn of_problem(problem: &Problem) -> Self {
        let kind = ProblemKind::ALL.iter().find(|kind| problem.is(**kind));
        kind.map_or_else(|| Self::of_status(problem.status), |kind| Self::of_kind(*kind))
    }

    fn of_kind(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::OutcomeUnknown => Self::Unknown,
            // The request itself cannot be used again, unlike others of its status.
            ProblemKind::IdempotencyKeyReused => Self::Conflict,
            kind => Self::of_status(kind.status()),
        }
    }

    /// For kinds of problems that this command does not know, too.
    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 | 410 => Self::NotFound,
            409 | 412 | 428 => Self::Conflict,
            400 | 405 | 413 | 415 | 422 => Self::Invalid,
            408 | 429 | 503 | 504 | 507 => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

/// The table at the end of `tenantry --help`.
pub(crate) fn help() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {}  {}", exit.code(), exit.meaning()));
    format!(
        "Exit codes:\n{}\n`diff` and `replay` exit with 0 if nothing differs, 1 if something does, 2 if that could not be found out. \
         `rollout start --follow` exits with 1 if it was taken back.",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_problem_has_a_code() {
        for (kind, code) in [
            (ProblemKind::NotFound, 3),
            (ProblemKind::Gone, 3),
            (ProblemKind::Unauthorized, 4),
            (ProblemKind::Forbidden, 4),
            (ProblemKind::SlugTaken, 5),
            (ProblemKind::PreconditionFailed, 5),
            (ProblemKind::QuotaExceeded, 5),
            (ProblemKind::IdempotencyKeyReused, 5),
            (ProblemKind::Invalid, 6),
            (ProblemKind::InvalidQuery, 6),
            (ProblemKind::MalformedJson, 6),
            (ProblemKind::TooLarge, 6),
            (ProblemKind::RateLimited, 7),
            (ProblemKind::Unavailable, 7),
            (ProblemKind::StorageFull, 7),
            (ProblemKind::ProxySilent, 7),
            (ProblemKind::OutcomeUnknown, 9),
            (ProblemKind::Internal, 1),
        ] {
            assert_eq!(Exit::of_problem(&Problem::new(kind, "")).code(), code, "{kind:?}");
        }
        for kind in ProblemKind::ALL {
            let exit = Exit::of_problem(&Problem::new(*kind, ""));
            assert_ne!(exit, Exit::Done, "{kind:?}");
            assert_eq!(
                exit == Exit::Failed,
                kind.status() == 500,
                "{kind:?} has a code of its own"
            );
        }
        let mut newer = Problem::new(ProblemKind::Invalid, "");
        (newer.kind, newer.status) = ("urn:tenantry:problem:newer".to_owned(), 409);
        assert_eq!(Exit::of_problem(&newer), Exit::Conflict);
    }

    #[test]
    fn the_page_says_the_same() {
        let page = include_str!("../../../docs/cli.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(page.contains(&row), "docs/cli.md lacks: {row}");
        }
    }
}
