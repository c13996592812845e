//! The state that a router's handlers share, whichever library they use.

use std::sync::Arc;

use crate::{content::Content, gate::Gate, shape::Shape};

#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    content: Content,
}

impl App {
    pub fn new(shape: Shape) -> Self {
        Self(Arc::new(Inner { gate: Gate::default(), content: Content::of(shape) }))
    }

    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub fn content(&self) -> &Content {
        &self.0.content
    }
}
