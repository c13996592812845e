//! The requests that are measured.

use clap::ValueEnum;
use http::Uri;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    UntouchedNoCookie,
    UntouchedCookie,
    Read,
    Write,
    /// A new session with one entry.
    Create,
    /// A new session with all entries of the shape.
    Fill,
}

use Scenario::{Create, Fill, Read, UntouchedCookie, UntouchedNoCookie, Write};

/// The scenarios of the budgets.
pub(crate) const ALL: [Scenario; 5] = [UntouchedNoCookie, UntouchedCookie, Read, Write, Create];
/// The scenarios that are measured over sessions of several sizes.
pub(crate) const SIZED: [Scenario; 6] = [UntouchedNoCookie, UntouchedCookie, Read, Write, Create, Fill];

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            UntouchedNoCookie => "untouched, no cookie",
            UntouchedCookie => "untouched, cookie",
            Read => "read",
            Write => "write",
            Create => "create",
            Fill => "create, all entries",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            UntouchedNoCookie | UntouchedCookie => "/untouched",
            Read => "/read",
            Write => "/write",
            Create => "/create",
            Fill => "/fill",
        }
    }

    pub(crate) fn uri(self) -> Uri {
        Uri::from_static(self.path())
    }

    pub(crate) fn has_cookie(self) -> bool {
        matches!(self, UntouchedCookie | Read | Write)
    }

    /// Returns the name on a command line.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value().expect("no scenario is hidden").get_name().to_owned()
    }

    /// Returns the maximum number of allocations above the empty layer's, if there is a budget.
    pub(crate) fn most_allocations(self) -> Option<i64> {
        match self {
            UntouchedNoCookie | UntouchedCookie => Some(4),
            Read => Some(12),
            Write => Some(22),
            Create | Fill => None,
        }
    }

    /// Returns the maximum time above the empty layer's, as a multiple of that of tower-sessions over memory, if there
    /// is a budget.
    pub(crate) fn most_time(self) -> Option<f64> {
        match self {
            UntouchedNoCookie | UntouchedCookie => Some(0.25),
            Read => Some(0.15),
            Write => Some(0.16),
            Create => Some(0.5),
            Fill => None,
        }
    }
}
