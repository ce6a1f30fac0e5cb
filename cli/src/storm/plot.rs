//! Scans per second over time, one line for each strategy.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use pullcord::Escaped;

use crate::failure::Failure;

/// The name of a strategy, and its points: seconds and scans per second.
type Line = (&'static str, Vec<(f64, f64)>);

/// One colour for each strategy, pullcord last. People with colour blindness can distinguish them.
const COLOURS: [RGBColor; 4] =
    [RGBColor(213, 94, 0), RGBColor(204, 121, 167), RGBColor(86, 180, 233), RGBColor(0, 114, 178)];

pub(super) fn draw(file: &Path, title: &str, lines: &[Line]) -> Result<(), Failure> {
    let area = SVGBackend::new(file, (900, 480)).into_drawing_area();
    lay_out(&area, title, lines)
        .map_err(|e| Failure::failed(format!("{}: cannot draw: {e}", Escaped(file))))
}

fn lay_out<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    title: &str,
    lines: &[Line],
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    // A logarithmic axis cannot show zero, which is drawn at one. A rate between 0 and 10 does not occur,
    // because it is counted over a tenth of a second.
    let points = |line: &Line| line.1.clone().into_iter().map(|(at, rate)| (at, rate.max(1.0)));
    let all = || lines.iter().flat_map(points);
    let end = all().map(|(at, _)| at).fold(1.0, f64::max);
    let most = all().map(|(_, rate)| rate).fold(1_000.0, f64::max);

    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(130)
        .x_label_area_size(45)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..end, (0.8..most * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc("scans per second")
        .label_style(("sans-serif", 14))
        .y_label_formatter(&|rate| if *rate > 1.0 { format!("{rate}") } else { "none".into() })
        .light_line_style(WHITE)
        .draw()?;
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let width = if line.0 == "pullcord" { 4 } else { 2 };
        chart.draw_series(LineSeries::new(points(line), colour.stroke_width(width)))?;
        let (x, y) = (785, 50 + 24 * number as i32);
        area.draw(&Rectangle::new([(x, y - width as i32), (x + 18, y)], colour.filled()))?;
        area.draw(&Text::new(line.0, (x + 24, y - 8), ("sans-serif", 14)))?;
    }
    area.present()
}
