//! The reference session: a user, a cart of ten, a CSRF token and a counter, about 0.7 KB as JSON.

use serde::{Deserialize, Serialize};

pub(crate) const CSRF: &str = "0123456789abcdef0123456789abcdef";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) roles: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) count: u32,
    pub(crate) cents: u64,
}

pub(crate) fn user() -> User {
    let roles = ["admin", "editor", "reader"].map(String::from).to_vec();
    User { id: 4_711, name: "Ada Lovelace".into(), email: "ada@example.org".into(), roles }
}

pub(crate) fn cart() -> Vec<Item> {
    (0..10).map(|at| Item { sku: format!("SKU-{at:06}"), count: 1, cents: 1_999 }).collect()
}
