//! The contents of a session.

use serde::{Deserialize, Serialize};

use crate::shape::Shape;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    pub name: String,
    pub email: String,
    pub roles: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub count: u32,
    pub cents: u64,
}

/// The entries besides the counter `n`. All subjects get the same ones, created before anything is measured.
#[derive(Debug)]
pub struct Content {
    pub user: User,
    pub cart: Option<Vec<Item>>,
    pub csrf: Option<&'static str>,
    /// More entries, as keys and values.
    pub more: Vec<(String, String)>,
}

const CSRF: &str = "0123456789abcdef0123456789abcdef";
/// The size of the reference session without its cart, and of one line of the cart, in bytes.
const WITHOUT_CART: usize = 162;
const LINE: usize = 54;
/// The size of one of many entries, without its value, in bytes.
const AROUND_VALUE: usize = r#""entry-000":"","#.len();

impl Content {
    pub fn of(shape: Shape) -> Self {
        let roles = ["admin", "editor", "reader"].map(String::from).to_vec();
        let user = User { id: 4_711, name: "Ada Lovelace".into(), email: "ada@example.org".into(), roles };
        let small = Self { user, cart: None, csrf: None, more: Vec::new() };
        match shape {
            Shape::Tiny => small,
            Shape::Reference => Self { cart: Some(cart(10)), csrf: Some(CSRF), ..small },
            Shape::Large | Shape::Huge => {
                let lines = (shape.bytes() - WITHOUT_CART) / LINE;
                Self { cart: Some(cart(lines)), csrf: Some(CSRF), ..small }
            }
            Shape::Many => {
                let (others, rest) = (shape.entries() - 3, shape.bytes() - WITHOUT_CART);
                let value = "v".repeat(rest / others - AROUND_VALUE);
                let more = (0..others).map(|at| (format!("entry-{at:03}"), value.clone())).collect();
                Self { csrf: Some(CSRF), more, ..small }
            }
        }
    }
}

fn cart(lines: usize) -> Vec<Item> {
    (0..lines).map(|at| Item { sku: format!("SKU-{at:06}-BLUE-TINY"), count: 1, cents: 1_999 }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json, to_value};

    use super::Content;
    use crate::shape;

    #[test]
    fn every_shape_has_the_entries_and_bytes_that_its_name_says() {
        for shape in shape::ALL {
            let content = Content::of(shape);
            let mut entries = Map::from_iter(content.more.into_iter().map(|(key, value)| (key, Value::from(value))));
            entries.insert("n".to_owned(), json!(0));
            entries.insert("user".to_owned(), to_value(content.user).unwrap());
            entries.extend(content.cart.map(|cart| ("cart".to_owned(), to_value(cart).unwrap())));
            entries.extend(content.csrf.map(|csrf| ("csrf".to_owned(), json!(csrf))));
            assert_eq!(entries.len(), shape.entries(), "{shape:?}");
            let (bytes, named) = (serde_json::to_vec(&entries).unwrap().len(), shape.bytes());
            let tolerated = named / 10;
            assert!(bytes.abs_diff(named) <= tolerated, "{shape:?} has {bytes} bytes");
        }
    }
}
