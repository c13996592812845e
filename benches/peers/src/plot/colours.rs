//! One colour for each subject, in all plots. They can be told apart with colour blindness and in greyscale.

use crate::subjects::Kind;

pub(super) fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Bare | Kind::Empty => "#8c959f",
        Kind::Memory => "#0550ae",
        Kind::Sealed => "#2da8d8",
        Kind::Cached => "#6f42c1",
        Kind::File => "#1a7f5a",
        Kind::Memcached => "#7fbf4d",
        Kind::TowerMemory => "#e8850c",
        Kind::TowerMoka => "#b02a1e",
        Kind::AxumSession => "#c88bd6",
    }
}

/// Whether the subject's lines are dashed. This crate's are solid.
pub(super) fn is_dashed(kind: Kind) -> bool {
    matches!(kind, Kind::TowerMemory | Kind::TowerMoka | Kind::AxumSession)
}
