//! Plots of a run: what an event of the ring costs, by how many pipes are in it; and what an arrival
//! costs, by how many messages wait. Both axes are logarithmic, one line for each implementation.

use std::fs;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Report;

/// One implementation: its name, and its points.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// The room for the names of the lines.
const KEY_WIDTH: u32 = 250;

/// Colours that people with colour blindness can distinguish. Neighbours differ in lightness.
const COLOURS: [RGBColor; 14] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(152, 78, 163),
    RGBColor(204, 121, 167),
    RGBColor(120, 60, 20),
    RGBColor(150, 200, 60),
    RGBColor(70, 70, 160),
    RGBColor(200, 30, 60),
    RGBColor(0, 90, 90),
];

/// Writes the plots for which the report has figures.
pub(crate) fn write(report: &Report, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut active: Vec<_> = report.ring.iter().map(|row| row.active).collect();
    active.sort_unstable();
    active.dedup();
    for active in active {
        let rows = report.ring.iter().filter(|row| row.active == active);
        let points = rows.map(|row| (row.implementation, row.fds as f64, row.ns.median));
        let title = format!("ring: {active} active");
        plot(
            &directory.join(format!("ring-{active}.svg")),
            &title,
            "pipes",
            "ns an event",
            points,
        )?;
    }
    let rows = report.arrive.iter().filter(|row| row.p50_us.is_some());
    // A logarithmic axis cannot show 0.
    let points = rows.map(|row| {
        (row.implementation.as_str(), row.backlog.max(1) as f64, row.ns_per_entry.median)
    });
    let path = directory.join("arrive.svg");
    plot(&path, "arrive: one by one", "messages waiting (1 for none)", "ns a message", points)
}

/// Writes a plot, unless there are too few points for a line.
fn plot<'a>(
    path: &Path,
    title: &str,
    x: &str,
    y: &str,
    points: impl Iterator<Item = (&'a str, f64, f64)>,
) -> io::Result<()> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, x, y) in points {
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push((x, y)),
            None => lines.push((name, vec![(x, y)])),
        }
    }
    if lines.iter().all(|(_, points)| points.len() < 2) {
        return Ok(());
    }
    let area = SVGBackend::new(path, (960, 640)).into_drawing_area();
    draw(&area, title, (x, y), &lines).map_err(io::Error::other)?;
    area.present().map_err(io::Error::other)
}

fn draw<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    title: &str,
    (x, y): (&str, &str),
    lines: &[Line<'_>],
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let range = |values: Vec<f64>| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(0.0, f64::max);
        (least * 0.8..greatest * 1.25).log_scale()
    };
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(12)
        .margin_right(KEY_WIDTH)
        .x_label_area_size(45)
        .y_label_area_size(80)
        .build_cartesian_2d(
            range(all().map(|(x, _)| *x).collect()),
            range(all().map(|(_, y)| *y).collect()),
        )?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_labels(6)
        .max_light_lines(4)
        .label_style(("sans-serif", 14))
        .x_label_formatter(&thousands)
        .y_label_formatter(&thousands)
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    // Our lines are thick. The thin ones are drawn over them, so that both are visible where they meet.
    let mut order: Vec<_> = lines.iter().zip(COLOURS.iter().cycle()).collect();
    order.sort_by_key(|((name, _), _)| !is_ours(name));
    let mut ends = Vec::new();
    for ((name, points), colour) in order {
        let style = colour.stroke_width(if is_ours(name) { 4 } else { 2 });
        chart.draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?;
        if let Some(last) = points.last() {
            ends.push((*name, style, chart.backend_coord(last)));
        }
    }
    key(area, ends)
}

fn is_ours(name: &str) -> bool {
    name.starts_with("pullcord")
}

/// Formats a number with a comma before each group of three digits.
fn thousands(value: &f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes the name of each line at its right end, in the order in which the lines end. If lines end close
/// together, their names are moved apart and a thin line connects each name with its line.
fn key<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    mut ends: Vec<(&str, ShapeStyle, (i32, i32))>,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>> {
    const ROW: i32 = 20;
    ends.sort_by_key(|(_, _, (_, y))| *y);
    let (width, height) = area.dim_in_pixel();
    let left = (width - KEY_WIDTH) as i32 + 24;
    let lowest = |after: usize| height as i32 - 70 - after as i32 * ROW;
    let (count, mut next) = (ends.len(), 40);
    for (number, (name, style, end)) in ends.into_iter().enumerate() {
        let y = end.1.max(next).min(lowest(count - number - 1));
        next = y + ROW;
        area.draw(&PathElement::new([end, (left, y)], style.color.mix(0.5).stroke_width(1)))?;
        area.draw(&PathElement::new([(left, y), (left + 22, y)], style))?;
        let font = ("sans-serif", 15).into_font().color(&BLACK);
        area.draw(&Text::new(name.to_owned(), (left + 28, y - 7), font))?;
    }
    Ok(())
}
