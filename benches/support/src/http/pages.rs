//! The pages that a visitor requests repeatedly.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pages {
    Untouched,
    Read,
    Write,
    Create,
    /// A visit to a shop, from a new session to its logout.
    Visit,
}

use Pages::{Create, Read, Untouched, Visit, Write};

pub const ALL: [Pages; 5] = [Untouched, Read, Write, Create, Visit];

impl Pages {
    pub fn name(self) -> &'static str {
        match self {
            Untouched => "untouched",
            Read => "read",
            Write => "write",
            Create => "create",
            Visit => "visit of a shop",
        }
    }

    /// Returns the name on a command line.
    pub fn argument(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    /// Returns the paths in order. After the last one, the visitor starts again with the first.
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Untouched => &["/untouched"],
            Read => &["/read"],
            Write => &["/write"],
            Create => &["/create"],
            Visit => &["/fill", "/home", "/home", "/cart", "/home", "/renew", "/home", "/cart", "/home", "/logout"],
        }
    }

    /// Whether the visitor starts with a filled session.
    pub fn has_cookie(self) -> bool {
        matches!(self, Untouched | Read | Write)
    }

    /// Whether the visitor keeps the cookies of responses.
    pub fn keeps_cookies(self) -> bool {
        matches!(self, Visit)
    }
}
