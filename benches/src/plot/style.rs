//! The appearance of the lines: colours, dashes and markers.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::{Area, Drawn};

/// Colours that people with colour blindness can distinguish. Together with the dashes and the markers, the
/// lines are also distinguishable in greyscale.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(150, 150, 150),
    RGBColor(0, 130, 95),
    RGBColor(230, 159, 0),
    RGBColor(120, 60, 140),
    RGBColor(86, 180, 233),
];

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Cross,
}

/// The appearance of a line. `REFERENCE` is for a line without points.
#[derive(Clone, Copy)]
pub(super) struct Style {
    colour: RGBColor,
    width: u32,
    is_dashed: bool,
    marker: Option<Marker>,
}

impl Style {
    pub(super) const REFERENCE: Style =
        Style { colour: BLACK, width: 1, is_dashed: false, marker: None };

    /// Returns the style of the line with this number. pullcord's lines are continuous and thick.
    pub(super) fn of(number: usize, name: &str) -> Style {
        let is_ours = name.starts_with("pullcord");
        let markers = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Cross];
        Style {
            colour: COLOURS[number % COLOURS.len()],
            width: if is_ours { 3 } else { 2 },
            is_dashed: !is_ours,
            marker: Some(markers[number % markers.len()]),
        }
    }

    /// Draws a line through positions in the area.
    pub(super) fn draw_path<'a>(&self, area: &Area<'a>, path: &[(i32, i32)]) -> Drawn<'a> {
        let style = self.colour.stroke_width(self.width);
        if self.is_dashed {
            area.draw(&DashedPathElement::new(path.iter().copied(), 6, 3, style))
        } else {
            area.draw(&PathElement::new(path.to_vec(), style))
        }
    }

    /// Draws the marker of a point.
    pub(super) fn draw_marker<'a>(&self, area: &Area<'a>, at: (i32, i32)) -> Drawn<'a> {
        let filled = self.colour.filled();
        let (x, y) = at;
        match self.marker {
            None => Ok(()),
            Some(Marker::Circle) => area.draw(&Circle::new(at, 4, filled)),
            Some(Marker::Square) => {
                area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], filled))
            }
            Some(Marker::Triangle) => area.draw(&TriangleMarker::new(at, 6, filled)),
            Some(Marker::Cross) => area.draw(&Cross::new(at, 5, self.colour.stroke_width(2))),
        }
    }
}
