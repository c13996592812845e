//! Writes SVG.

use std::fmt::{Display, Write};

pub(super) const INK: &str = "#1f2328";
pub(super) const FAINT: &str = "#57606a";
pub(super) const GRID: &str = "#d8dee4";
const PAPER: &str = "#ffffff";
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// How a text is aligned to its position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The look of a text. Its position is that of its baseline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) anchor: Anchor,
    pub(super) colour: &'static str,
}

impl Text {
    pub(super) const fn new(size: f64, colour: &'static str) -> Self {
        Self { size, bold: false, anchor: Anchor::Start, colour }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

#[derive(Debug, Default)]
pub(super) struct Svg(String);

impl Svg {
    fn push(&mut self, element: impl Display) {
        // Writing to a string can't fail.
        let _ = writeln!(self.0, "{element}");
    }

    pub(super) fn rectangle(&mut self, [x, y, width, height]: [f64; 4], colour: &str) {
        self.push(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="1.5" fill="{colour}"/>"#
        ));
    }

    pub(super) fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], colour: &str) {
        self.push(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="1"/>"#
        ));
    }

    /// Draws a line through all points, with a dot at each.
    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str, dashed: bool) {
        let text: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let dashes = if dashed { r#" stroke-dasharray="5 3""# } else { "" };
        self.push(format_args!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"{dashes}/>"#,
            text.join(" ")
        ));
        for (x, y) in points {
            self.push(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.8" fill="{colour}"/>"#));
        }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, look: Text, text: &str) {
        let Text { size, bold, anchor, colour } = look;
        let weight = if bold { r#" font-weight="600""# } else { "" };
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}"{weight} text-anchor="{anchor}" fill="{colour}">{}</text>"#,
            escaped(text)
        ));
    }

    /// Returns the whole file. Screen readers read the title.
    pub(super) fn finish(self, width: f64, height: f64, title: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"{FONT}\" role=\"img\">\n<title>{}</title>\n<rect x=\"0.5\" y=\"0.5\" \
             width=\"{:.0}\" height=\"{:.0}\" rx=\"8\" fill=\"{PAPER}\" stroke=\"{GRID}\"/>\n{}</svg>\n",
            escaped(title),
            width - 1.0,
            height - 1.0,
            self.0
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Estimates the width of a text of this size.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.54
}
