//! Grouped bars, in panels stacked vertically.

use super::{
    colours::colour,
    frame::{MARGIN, WIDTH, foot, head},
    scale::{Linear, named},
    svg::{Anchor, FAINT, GRID, INK, Svg, Text},
};
use crate::subjects::Kind;

/// One panel.
#[derive(Debug)]
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    /// The unit of the axis.
    pub(crate) unit: &'a str,
    /// The decimals of the numbers above the bars.
    pub(crate) decimals: usize,
    pub(crate) groups: Vec<Group<'a>>,
}

#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) name: &'a str,
    /// One value for each subject.
    pub(crate) values: Vec<f64>,
}

const LEFT: f64 = MARGIN + 34.0;
const PLOT_HEIGHT: f64 = 190.0;
const ABOVE: f64 = 44.0;
const BELOW: f64 = 40.0;
/// The part of a group's width that its bars take.
const BARS: f64 = 0.82;

pub(crate) fn bars(title: &str, under: &str, kinds: &[Kind], panels: &[Bars<'_>], run: &str) -> String {
    let mut svg = Svg::default();
    let mut y = head(&mut svg, title, under, kinds, false);
    for bars in panels {
        panel(&mut svg, y + ABOVE, kinds, bars);
        y += ABOVE + PLOT_HEIGHT + BELOW;
    }
    let height = foot(&mut svg, y, run);
    svg.finish(WIDTH, height, title)
}

fn panel(svg: &mut Svg, top: f64, kinds: &[Kind], bars: &Bars<'_>) {
    let (right, bottom) = (WIDTH - MARGIN, top + PLOT_HEIGHT);
    let most = bars.groups.iter().flat_map(|group| &group.values).copied().fold(0.0, f64::max);
    let scale = Linear::up_to(most * 1.04);
    svg.text(MARGIN, top - 22.0, Text::new(14.5, INK).bold(), bars.title);
    svg.text(right, top - 22.0, Text::new(12.0, FAINT).at(Anchor::End), bars.unit);
    for tick in scale.ticks() {
        let y = bottom - PLOT_HEIGHT * scale.part(tick);
        svg.line([LEFT, y, right, y], GRID);
        svg.text(LEFT - 8.0, y + 4.0, Text::new(11.5, FAINT).at(Anchor::End), &named(tick));
    }
    let wide = (right - LEFT) / bars.groups.len().max(1) as f64;
    let bar = wide * BARS / kinds.len() as f64;
    for (at, group) in bars.groups.iter().enumerate() {
        let left = LEFT + wide * (at as f64 + (1.0 - BARS) / 2.0);
        for (at, (&kind, &value)) in kinds.iter().zip(&group.values).enumerate() {
            let (x, tall) = (left + bar * at as f64, PLOT_HEIGHT * scale.part(value));
            svg.rectangle([x + 1.0, bottom - tall, bar - 2.0, tall], colour(kind));
            let label = format!("{value:.*}", bars.decimals);
            svg.text(x + bar / 2.0, bottom - tall - 4.0, Text::new(10.5, INK).at(Anchor::Middle), &label);
        }
        let middle = LEFT + wide * (at as f64 + 0.5);
        svg.text(middle, bottom + 19.0, Text::new(12.5, INK).at(Anchor::Middle), group.name);
    }
    svg.line([LEFT, bottom, right, bottom], FAINT);
}

#[cfg(test)]
mod tests {
    use super::{Bars, Group, bars};
    use crate::subjects::Kind;

    #[test]
    fn a_plot_is_well_formed_and_says_its_numbers() {
        let groups = vec![Group { name: "read & <write>", values: vec![1.25, -0.01] }];
        let panel = Bars { title: "Time", unit: "µs", decimals: 2, groups };
        let text = bars("Bars", "under", &[Kind::Memory, Kind::TowerMemory], &[panel], "on a machine");
        let svg = roxmltree::Document::parse(&text).unwrap();
        let texts: Vec<_> = svg.descendants().filter_map(|node| node.text()).collect();
        for expected in ["read & <write>", "1.25", "µs", "session-layer, memory", "on a machine"] {
            assert!(texts.contains(&expected), "{expected} is not in {texts:?}");
        }
        let background = svg.descendants().find(|node| node.has_tag_name("rect")).unwrap();
        assert_eq!(background.attribute("fill"), Some("#ffffff"));
    }
}
