//! What a request does.

use http::Uri;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    UntouchedNoCookie,
    UntouchedCookie,
    Read,
    Write,
    Create,
}

use Scenario::{Create, Read, UntouchedCookie, UntouchedNoCookie, Write};

pub(crate) const ALL: [Scenario; 5] = [UntouchedNoCookie, UntouchedCookie, Read, Write, Create];

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            UntouchedNoCookie => "untouched, no cookie",
            UntouchedCookie => "untouched, cookie",
            Read => "read",
            Write => "write",
            Create => "create",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    pub(crate) fn uri(self) -> Uri {
        Uri::from_static(match self {
            UntouchedNoCookie | UntouchedCookie => "/untouched",
            Read => "/read",
            Write => "/write",
            Create => "/create",
        })
    }

    pub(crate) fn has_cookie(self) -> bool {
        matches!(self, UntouchedCookie | Read | Write)
    }

    /// The most allocations above the empty layer's, where there is a budget.
    pub(crate) fn most_allocations(self) -> Option<i64> {
        match self {
            UntouchedNoCookie | UntouchedCookie => Some(4),
            Read => Some(12),
            Write => Some(22),
            Create => None,
        }
    }

    /// The most time above the empty layer's, as a part of that of tower-sessions over memory.
    pub(crate) fn most_time(self) -> f64 {
        match self {
            UntouchedNoCookie | UntouchedCookie => 0.25,
            Read => 0.15,
            Write => 0.16,
            Create => 0.5,
        }
    }
}
