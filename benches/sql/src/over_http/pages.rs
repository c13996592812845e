//! The pages that a visitor requests repeatedly.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pages {
    /// Decodes an entry.
    Read,
    /// Reads a number and writes the next.
    Write,
    /// A visitor without a cookie stores a number.
    Create,
}

pub(crate) const ALL: [Pages; 3] = [Pages::Read, Pages::Write, Pages::Create];

impl Pages {
    /// The name on the command line.
    pub(crate) fn argument(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    /// The paths in order, repeated from the first after the last.
    pub(crate) fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["/read"],
            Self::Write => &["/write"],
            Self::Create => &["/create"],
        }
    }

    /// Whether the visitor starts with a filled session.
    pub(crate) fn has_cookie(self) -> bool {
        self != Self::Create
    }

    /// Whether the visitor keeps the cookies of responses.
    pub(crate) fn keeps_cookies(self) -> bool {
        false
    }
}
