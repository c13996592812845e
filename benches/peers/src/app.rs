//! The state that a router's handlers share, whichever library they use.

use std::sync::Arc;

use crate::{content::Content, gate::Gate, shape::Shape};

#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    content: Content,
}

impl App {
    pub(crate) fn new(shape: Shape) -> Self {
        Self(Arc::new(Inner { gate: Gate::new(), content: Content::of(shape) }))
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn content(&self) -> &Content {
        &self.0.content
    }
}
