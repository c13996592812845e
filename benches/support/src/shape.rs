//! The sizes of sessions.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The shape of a session. The size is that of all entries as one JSON object; a KB is 1,000 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A user and a counter.
    Tiny,
    /// The reference session of the budgets: a user, a cart of ten, a CSRF token and a counter.
    Reference,
    /// The reference session with a longer cart.
    Large,
    /// The reference session with a cart that fills a record.
    Huge,
    /// As many bytes as `Large`, in 200 entries.
    Many,
}

use Shape::{Huge, Large, Many, Reference, Tiny};

pub const ALL: [Shape; 5] = [Tiny, Reference, Large, Huge, Many];

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Tiny => "0.1 KB, 2 entries",
            Reference => "0.7 KB, 4 entries",
            Large => "10 KB, 4 entries",
            Huge => "100 KB, 4 entries",
            Many => "10 KB, 200 entries",
        }
    }

    pub fn bytes(self) -> usize {
        match self {
            Tiny => 100,
            Reference => 700,
            Large | Many => 10_000,
            Huge => 100_000,
        }
    }

    pub fn entries(self) -> usize {
        match self {
            Tiny => 2,
            Reference | Large | Huge => 4,
            Many => 200,
        }
    }
}
