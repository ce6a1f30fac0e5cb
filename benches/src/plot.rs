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

/// Writes what the report has the figures for.
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
    // A logarithmic axis has no place for none.
    let points = rows.map(|row| {
        (row.implementation.as_str(), row.backlog.max(1) as f64, row.ns_per_entry.median)
    });
    let path = directory.join("arrive.svg");
    plot(&path, "arrive: one by one", "messages waiting (1 for none)", "ns a message", points)
}

/// Writes a plot, unless there are too few points to make a line of.
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
    let area = SVGBackend::new(path, (900, 600)).into_drawing_area();
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
        .margin_right(220)
        .x_label_area_size(45)
        .y_label_area_size(80)
        .build_cartesian_2d(
            range(all().map(|(x, _)| *x).collect()),
            range(all().map(|(_, y)| *y).collect()),
        )?;
    chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
    for (number, (name, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        // Ours are thick, the raw loops thin.
        let width = if name.starts_with("pullcord") { 3 } else { 1 };
        let style = color.stroke_width(width);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::Coordinate(602, 0))
        .legend_area_size(24)
        .border_style(BLACK)
        .draw()?;
    Ok(())
}
