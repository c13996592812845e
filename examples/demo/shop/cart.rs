//! The cart.

use serde::{Deserialize, Serialize};

/// The maximum quantity of an item, in one step and in the cart.
pub(crate) const MAX_QTY: u32 = 1_000;

/// One line for each item, in the order in which they were added.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cart(Vec<Line>);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) qty: u32,
}

impl Cart {
    /// Adds to the item's line, up to the maximum.
    pub(crate) fn add(&mut self, sku: &str, qty: u32) {
        match self.0.iter_mut().find(|line| line.sku == sku) {
            Some(line) => line.qty = line.qty.saturating_add(qty).min(MAX_QTY),
            None => self.0.push(Line { sku: sku.to_owned(), qty }),
        }
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.0
    }

    /// The total quantity of all items.
    pub(crate) fn pieces(&self) -> u64 {
        self.0.iter().map(|line| u64::from(line.qty)).sum()
    }
}
