//! The frame of all plots: a title, a legend, and a line about the run.

use super::{
    colours::{colour, is_dashed},
    svg::{FAINT, INK, Svg, Text, width},
};
use crate::subjects::Kind;

/// Slightly wider than GitHub shows a README.
pub(super) const WIDTH: f64 = 920.0;
pub(super) const MARGIN: f64 = 28.0;
const LEGEND: f64 = 13.0;
const SWATCH: f64 = 24.0;
const ROW: f64 = 22.0;
const SMALL: f64 = 10.5;

/// Writes the head. Returns the height at which the plot begins.
pub(super) fn head(svg: &mut Svg, title: &str, under: &str, kinds: &[Kind], dashes: bool) -> f64 {
    svg.text(MARGIN, 40.0, Text::new(21.0, INK).bold(), title);
    svg.text(MARGIN, 63.0, Text::new(13.5, FAINT), under);
    let (mut x, mut y) = (MARGIN, 92.0);
    for &kind in kinds {
        let wide = SWATCH + width(kind.name(), LEGEND) + 14.0;
        if x + wide > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + ROW);
        }
        if dashes {
            svg.path(&[(x, y - 4.5), (x + SWATCH - 7.0, y - 4.5)], colour(kind), is_dashed(kind));
        } else {
            svg.rectangle([x, y - 11.0, 13.0, 13.0], colour(kind));
        }
        let gap = if dashes { SWATCH } else { SWATCH - 5.0 };
        svg.text(x + gap, y, Text::new(LEGEND, INK), kind.name());
        x += wide;
    }
    y + 16.0
}

/// Writes a description of the run, starting at this height. Returns the height at which the image ends.
pub(super) fn foot(svg: &mut Svg, from: f64, run: &str) -> f64 {
    let mut y = from + 8.0;
    let mut line = String::new();
    for word in run.split(' ') {
        if width(&line, SMALL) + width(word, SMALL) > WIDTH - 2.0 * MARGIN {
            svg.text(MARGIN, y, Text::new(SMALL, FAINT), &line);
            line.clear();
            y += 15.0;
        }
        line += word;
        line.push(' ');
    }
    svg.text(MARGIN, y, Text::new(SMALL, FAINT), line.trim_end());
    y + 18.0
}
