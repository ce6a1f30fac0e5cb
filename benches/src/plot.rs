//! Draws the plots of a run. For the ring: the ratio of each implementation to its raw loop, by the number
//! of pipes. For arrivals: the time for each message, by the number of messages in the queue.

mod style;

use std::fs;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Report;
use style::Style;

/// One implementation: its name, and its points.
type Line<'a> = (&'a str, Vec<(f64, f64)>);
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The size of a plot. Its text is still readable if the plot is scaled to a width of 700 pixels.
const SIZE: (u32, u32) = (800, 600);

/// The space for the names of the lines.
const KEY_WIDTH: u32 = 235;

/// A line is shown as close to raw if the median of its ratios is at most this far from 1.
const CLOSE: f64 = 0.1;

const GRID: RGBColor = RGBColor(225, 225, 225);

/// The labels and the scale of a plot.
struct Panel<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    /// Formats a value of the vertical axis.
    format: fn(&f64) -> String,
    y_label_width: u32,
    /// The label of a reference line at 1, if the values are ratios.
    reference: Option<&'a str>,
}

/// Writes the plots for which the report has figures.
pub(crate) fn write(report: &Report, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut active: Vec<_> = report.ring.iter().map(|row| row.active).collect();
    active.sort_unstable();
    active.dedup();
    for active in active {
        let rows = report.ring.iter().filter(|row| row.active == active);
        let rows = rows.filter(|row| !row.implementation.starts_with("raw "));
        let points = rows.filter_map(|row| {
            Some((row.implementation, (row.fds as f64).log10(), row.vs_raw?.median))
        });
        let path = directory.join(format!("ring-{active}.svg"));
        write_ring(&path, active, &lines(points))?;
    }
    let rows = report.arrive.iter().filter(|row| row.p50_us.is_some());
    // A logarithmic axis cannot show 0.
    let points = rows.map(|row| {
        let backlog = row.backlog.max(1) as f64;
        (row.implementation.as_str(), backlog.log10(), row.ns_per_entry.median.log10())
    });
    let panel = Panel {
        title: "arrive, one by one: processor time for each message",
        x: "messages in the queue (1 for none)",
        y: "ns per message",
        format: decade,
        y_label_width: 110,
        reference: None,
    };
    let lines = lines(points);
    draw_file(&directory.join("arrive.svg"), &[(&panel, &lines)])
}

/// Collects the points of each implementation.
fn lines<'a>(points: impl Iterator<Item = (&'a str, f64, f64)>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (name, x, y) in points {
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push((x, y)),
            None => lines.push((name, vec![(x, y)])),
        }
    }
    lines
}

/// Writes the ratios in two panels with separate scales, so that small differences remain visible beside
/// large ones.
fn write_ring(path: &Path, active: usize, lines: &[Line<'_>]) -> io::Result<()> {
    let (close, far): (Vec<_>, Vec<_>) = lines.iter().cloned().partition(is_close);
    let panel = |title| Panel {
        title,
        x: "pipes",
        y: "ratio to raw",
        format: |ratio| format!("{ratio:.2}"),
        y_label_width: 70,
        reference: Some("raw"),
    };
    let title = |which| format!("ring, {active} active: time per event, relative to raw: {which}");
    let (first, second) = (title("close to raw"), title("others"));
    draw_file(path, &[(&panel(&first), &close), (&panel(&second), &far)])
}

fn is_close((_, points): &Line<'_>) -> bool {
    let mut ratios: Vec<_> = points.iter().map(|(_, ratio)| *ratio).collect();
    ratios.sort_by(f64::total_cmp);
    (ratios[ratios.len() / 2] - 1.0).abs() <= CLOSE
}

/// Writes one plot with these panels below each other. Leaves out panels with too few points for a line.
fn draw_file(path: &Path, panels: &[(&Panel<'_>, &Vec<Line<'_>>)]) -> io::Result<()> {
    let has_line = |lines: &[Line<'_>]| lines.iter().any(|(_, points)| points.len() >= 2);
    let panels: Vec<_> = panels.iter().filter(|(_, lines)| has_line(lines)).collect();
    if panels.is_empty() {
        return Ok(());
    }
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(io::Error::other)?;
    for ((panel, lines), area) in panels.iter().zip(area.split_evenly((panels.len(), 1))) {
        draw(&area, panel, lines).map_err(io::Error::other)?;
    }
    area.present().map_err(io::Error::other)
}

fn draw<'a>(area: &Area<'a>, panel: &Panel<'_>, lines: &[Line<'_>]) -> Drawn<'a> {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let range = |values: Vec<f64>| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.05 * (greatest - least).max(0.05);
        least - margin..greatest + margin
    };
    let reference = panel.reference.map(|_| 1.0);
    let mut x_values: Vec<_> = all().map(|(x, _)| *x).collect();
    x_values.sort_by(f64::total_cmp);
    x_values.dedup();
    let x_range = range(x_values.clone());
    let y_range = range(all().map(|(_, y)| *y).chain(reference).collect());
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 18))
        .margin(8)
        .margin_right(KEY_WIDTH)
        .x_label_area_size(44)
        .y_label_area_size(panel.y_label_width)
        .build_cartesian_2d(x_range.clone(), y_range.clone())?;
    chart
        .configure_mesh()
        .x_desc(panel.x)
        .y_desc(panel.y)
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(8)
        .max_light_lines(0)
        .label_style(("sans-serif", 15))
        .y_label_formatter(&panel.format)
        .bold_line_style(GRID)
        .draw()?;
    // The chart returns positions in the whole plot, and the area needs them relative to itself.
    let (_, top) = area.get_base_pixel();
    let at = |point: &(f64, f64)| {
        let (x, y) = chart.backend_coord(point);
        (x, y - top)
    };
    for x in x_values {
        let bottom = at(&(x, y_range.start));
        area.draw(&PathElement::new([bottom, at(&(x, y_range.end))], GRID))?;
        let centred = Pos::new(HPos::Center, VPos::Top);
        let style = TextStyle::from(("sans-serif", 15).into_font()).pos(centred);
        area.draw(&Text::new(power_of_ten(&x), (bottom.0, bottom.1 + 8), style))?;
    }
    let mut ends = Vec::new();
    if let Some(name) = panel.reference {
        let path = [at(&(x_range.start, 1.0)), at(&(x_range.end, 1.0))];
        Style::REFERENCE.draw_path(area, &path)?;
        ends.push((name, Style::REFERENCE, path[1]));
    }
    for (number, (name, points)) in lines.iter().enumerate() {
        let style = Style::of(number, name);
        let path: Vec<_> = points.iter().map(at).collect();
        style.draw_path(area, &path)?;
        for point in &path {
            style.draw_marker(area, *point)?;
        }
        ends.extend(path.last().map(|end| (*name, style, *end)));
    }
    draw_key(area, ends)
}

/// Formats the value whose logarithm this is, if it is a power of ten.
fn decade(logarithm: &f64) -> String {
    let is_decade = (logarithm - logarithm.round()).abs() < 1e-6;
    if is_decade { power_of_ten(logarithm) } else { String::new() }
}

/// Formats the value whose logarithm this is, with a comma before each group of three digits.
fn power_of_ten(logarithm: &f64) -> String {
    let digits = format!("{:.0}", 10f64.powf(*logarithm));
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
fn draw_key<'a>(area: &Area<'a>, mut ends: Vec<(&str, Style, (i32, i32))>) -> Drawn<'a> {
    const ROW: i32 = 21;
    ends.sort_by_key(|(_, _, (_, y))| *y);
    let (width, height) = area.dim_in_pixel();
    let left = (width - KEY_WIDTH) as i32 + 24;
    let lowest = |after: usize| height as i32 - 60 - after as i32 * ROW;
    let (count, mut next) = (ends.len(), 34);
    for (number, (name, style, end)) in ends.into_iter().enumerate() {
        let y = end.1.max(next).min(lowest(count - number - 1));
        next = y + ROW;
        let connection = RGBColor(170, 170, 170).stroke_width(1);
        area.draw(&PathElement::new([end, (left, y)], connection))?;
        style.draw_path(area, &[(left, y), (left + 30, y)])?;
        style.draw_marker(area, (left + 15, y))?;
        let font = ("sans-serif", 15).into_font().color(&BLACK);
        area.draw(&Text::new(name.to_owned(), (left + 36, y - 8), font))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, Spread, ring};

    #[test]
    fn ring_plots_have_a_label_for_each_line_and_for_raw() {
        let mut report = Report::new(Machine::here(Path::new("/")));
        for (implementation, ratio) in [("raw epoll", 1.0), ("pullcord epoll", 1.01), ("mio", 2.0)]
        {
            for fds in [1, 10] {
                let vs_raw = Some(Spread::of([ratio]));
                let ns = Spread::of([500.0 * ratio]);
                report.ring.push(ring::Row { implementation, fds, active: 1, ns, vs_raw });
            }
        }
        let directory = tempfile::tempdir().unwrap();
        write(&report, directory.path()).unwrap();
        let plot = fs::read_to_string(directory.path().join("ring-1.svg")).unwrap();
        let labels: Vec<_> = plot.lines().map(str::trim).collect();
        assert_eq!(labels.iter().filter(|label| **label == "raw").count(), 2, "one for each panel");
        for label in ["pullcord epoll", "mio", "ratio to raw"] {
            assert!(labels.contains(&label), "{label}: {plot}");
        }
        assert!(!labels.contains(&"raw epoll"), "{plot}");
    }

    #[test]
    fn numbers_have_a_comma_before_each_group_of_three_digits() {
        let formatted =
            [1.0, 9_968.0, 1_000_000.0].map(|number: f64| power_of_ten(&number.log10()));
        assert_eq!(formatted, ["1", "9,968", "1,000,000"]);
    }
}
