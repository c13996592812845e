//! Lines over a logarithmic axis, in rows of three panels.

use super::{
    colours::{colour, is_dashed},
    frame::{MARGIN, WIDTH, foot, head},
    scale::{Decades, named},
    svg::{Anchor, FAINT, GRID, INK, Svg, Text},
};
use crate::subjects::Kind;

/// The horizontal axis.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Axis {
    Kilobytes,
    Entries,
    Sessions,
    Threads,
}

/// One panel. The panels of a row have the same vertical scale.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) title: String,
    pub(crate) axis: Axis,
    pub(crate) unit: &'a str,
    /// The points of each subject, from left to right.
    pub(crate) lines: Vec<(Kind, Vec<(f64, f64)>)>,
}

const COLUMNS: usize = 3;
const GAP: f64 = 18.0;
const AXIS: f64 = 36.0;
const PLOT_HEIGHT: f64 = 180.0;
const ABOVE: f64 = 48.0;
const BELOW: f64 = 44.0;

pub(crate) fn lines(title: &str, under: &str, kinds: &[Kind], panels: &[Lines<'_>], run: &str) -> String {
    let mut svg = Svg::default();
    let mut y = head(&mut svg, title, under, kinds, true);
    let wide = (WIDTH - 2.0 * MARGIN - GAP * (COLUMNS - 1) as f64) / COLUMNS as f64;
    for row in panels.chunks(COLUMNS) {
        let values = row.iter().flat_map(|panel| &panel.lines).flat_map(|(_, points)| points).map(|point| point.1);
        let scale = Decades::around(values);
        for (at, lines) in row.iter().enumerate() {
            let left = MARGIN + (wide + GAP) * at as f64;
            panel(&mut svg, [left + AXIS, y + ABOVE, left + wide, y + ABOVE + PLOT_HEIGHT], lines, scale);
        }
        y += ABOVE + PLOT_HEIGHT + BELOW;
    }
    let height = foot(&mut svg, y, run);
    svg.finish(WIDTH, height, title)
}

fn panel(svg: &mut Svg, [left, top, right, bottom]: [f64; 4], lines: &Lines<'_>, upwards: Decades) {
    svg.text(left - AXIS, top - 25.0, Text::new(14.0, INK).bold(), &lines.title);
    svg.text(left - AXIS, top - 9.0, Text::new(11.0, FAINT), lines.unit);
    for tick in upwards.ticks() {
        let y = bottom - (bottom - top) * upwards.part(tick);
        svg.line([left, y, right, y], GRID);
        svg.text(left - 6.0, y + 4.0, Text::new(11.0, FAINT).at(Anchor::End), &named(tick));
    }
    let points = || lines.lines.iter().flat_map(|(_, points)| points).map(|point| point.0);
    let sidewards = Decades::around(points());
    let inner = |part: f64| left + 12.0 + (right - left - 24.0) * part;
    let x = |value: f64| match lines.axis {
        Axis::Threads => inner(value - 1.0),
        Axis::Kilobytes | Axis::Entries | Axis::Sessions => inner(sidewards.part(value)),
    };
    let (ticks, name): (Vec<f64>, _) = match lines.axis {
        Axis::Threads => (vec![1.0, 2.0], "threads"),
        Axis::Kilobytes => (sidewards.ticks().collect(), "KB a session"),
        Axis::Entries => (sidewards.ticks().collect(), "entries, of 10 KB in all"),
        Axis::Sessions => (sidewards.ticks().collect(), "sessions"),
    };
    for tick in ticks {
        svg.line([x(tick), bottom, x(tick), bottom + 4.0], FAINT);
        svg.text(x(tick), bottom + 16.0, Text::new(11.0, FAINT).at(Anchor::Middle), &named(tick));
    }
    svg.text(f64::midpoint(left, right), bottom + 31.0, Text::new(11.0, FAINT).at(Anchor::Middle), name);
    svg.line([left, bottom, right, bottom], FAINT);
    for (kind, points) in &lines.lines {
        let places: Vec<_> =
            points.iter().map(|&(at, value)| (x(at), bottom - (bottom - top) * upwards.part(value))).collect();
        svg.path(&places, colour(*kind), is_dashed(*kind));
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, Lines, lines};
    use crate::subjects::Kind;

    #[test]
    fn a_plot_is_well_formed_and_goes_through_its_points() {
        let panel = |axis, points: Vec<(f64, f64)>| Lines {
            title: "Read".to_owned(),
            axis,
            unit: "µs",
            lines: vec![(Kind::Memory, points)],
        };
        let panels = [
            panel(Axis::Kilobytes, vec![(0.1, 1.0), (100.0, 10.0)]),
            panel(Axis::Sessions, vec![(1e3, 2.0), (1e6, 4.0)]),
            panel(Axis::Threads, vec![(1.0, 5.0), (2.0, 9.0)]),
        ];
        let text = lines("Lines", "under", &[Kind::Memory], &panels, "on a machine");
        let svg = roxmltree::Document::parse(&text).unwrap();
        let count = |tag: &str| svg.descendants().filter(|node| node.has_tag_name(tag)).count();
        // One line and two dots each, in the legend and in the panel.
        assert_eq!((count("polyline"), count("circle")), (4, 8));
    }
}
