//! The plots, as SVG with a fixed light background, so that they can be read on light and dark pages.

mod bars;
mod colours;
mod frame;
mod lines;
mod scale;
mod svg;

pub(crate) use self::{
    bars::{Bars, Group, bars},
    lines::{Axis, Lines, lines},
};
