//! One manual page: the options from clap, and the sections of `manual`, in the usual order.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::manual::Page;

/// Returns a page in the language of man(7).
pub(super) fn render(command: &clap::Command, page: &Page, date: &str) -> io::Result<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().disable_version_flag(true));
    let mut text = Vec::new();
    let name = command.get_display_name().unwrap_or(command.get_name());
    let source = concat!("pullcord ", env!("CARGO_PKG_VERSION"));
    let mut title = Roff::new();
    title.control("TH", [&name.to_uppercase(), "1", date, source, "pullcord manual"]);
    title.to_writer(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    text.extend_from_slice(grouped(&String::from_utf8_lossy(&options)).as_bytes());

    let mut rest = Roff::new();
    let sections = sections(&help);
    let is_special = |heading: &str| matches!(heading, "Exit codes" | "Environment" | "Examples");
    for (heading, body) in sections.iter().filter(|(heading, _)| !is_special(heading)) {
        rest.control("SH", [heading.to_uppercase().as_str()]);
        lines(&mut rest, body);
    }
    for (_, body) in sections.iter().filter(|(heading, _)| *heading == "Exit codes") {
        rest.control("SH", ["EXIT STATUS"]);
        lines(&mut rest, body);
    }
    rest.control("SH", ["ENVIRONMENT"]);
    items(&mut rest, page.environment, bold);
    rest.control("SH", ["FILES"]);
    items(&mut rest, page.files, italic);
    if !page.notes.is_empty() {
        rest.control("SH", ["NOTES"]);
        rest.text([roman(page.notes.replace('\n', " "))]);
    }
    rest.control("SH", ["EXAMPLES"]);
    examples(&mut rest, page.examples);
    rest.control("SH", ["SEE ALSO"]);
    references(&mut rest, page.see_also);
    rest.to_writer(&mut text)?;
    Ok(tidy(&String::from_utf8_lossy(&text)))
}

/// Splits the help behind the options into its sections: a heading is a line that is not indented, in front
/// of lines that are. Lines that are neither belong to the section before.
pub(crate) fn sections(help: &str) -> Vec<(&str, String)> {
    let mut sections: Vec<(&str, String)> = Vec::new();
    let mut begins = true;
    for line in help.lines() {
        match (line.split_once(':'), sections.last_mut()) {
            (Some((heading, _)), _) if begins && !line.starts_with(' ') && line.ends_with(':') => {
                // The rest of a heading is a line of the text.
                let (heading, rest) = heading.split_once(',').unwrap_or((heading, ""));
                let said =
                    if rest.is_empty() { String::new() } else { format!("{}:\n", rest.trim()) };
                sections.push((heading, said));
            }
            (_, Some((_, body))) => {
                body.push_str(line.strip_prefix("  ").unwrap_or(line));
                body.push('\n');
            }
            (_, None) => sections.push(("Notes", format!("{line}\n"))),
        }
        begins = line.is_empty();
    }
    sections.iter_mut().for_each(|(_, body)| body.truncate(body.trim_end().len()));
    sections
}

/// Lines as they are, since their columns are aligned.
fn lines(roff: &mut Roff, body: &str) {
    roff.control("nf", []);
    for line in body.lines() {
        match line.trim_end() {
            "" => roff.control("sp", []),
            line => roff.text([roman(line)]),
        };
    }
    roff.control("fi", []);
}

/// Names, each with its explanation below.
fn items(roff: &mut Roff, items: &str, name: fn(String) -> Inline) {
    for item in items.lines() {
        let (term, text) = item.split_once("  ").unwrap_or((item, ""));
        roff.control("TP", []);
        roff.text([name(term.into())]);
        roff.text([roman(text)]);
    }
}

/// Commands, each after the line that explains it.
fn examples(roff: &mut Roff, examples: &str) {
    for (number, line) in examples.lines().enumerate() {
        match line.strip_prefix("# ") {
            Some(text) => {
                if number > 0 {
                    roff.control("PP", []);
                }
                roff.text([roman(format!("{text}:"))]);
            }
            None => {
                roff.control("RS", ["4"]);
                roff.control("nf", []);
                roff.text([bold(line)]);
                roff.control("fi", []);
                roff.control("RE", []);
            }
        }
    }
}

fn references(roff: &mut Roff, pages: &str) {
    let mut pages = pages.split_whitespace().peekable();
    while let Some(page) = pages.next() {
        let (name, section) = page.split_once('(').unwrap_or((page, ")"));
        let comma = if pages.peek().is_some() { "," } else { "" };
        roff.text([bold(name), roman(format!("({section}{comma}"))]);
    }
}

/// Returns the options with a subsection, not a section, for each group of them.
fn grouped(options: &str) -> String {
    let lines = options.lines().map(|line| match line.strip_prefix(".SH ") {
        Some(heading) if heading != "OPTIONS" => format!(".SS {heading} OPTIONS\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Removes the output of clap_mangen that causes warnings of the formatters: its definition of an apostrophe
/// once for each section, and breaks beside an empty line.
fn tidy(page: &str) -> String {
    const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
    APOSTROPHE.to_owned() + &page.replace(APOSTROPHE, "").replace(".br\n\n.br\n", ".sp\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_split_at_its_headings() {
        let help = "Output, one line each:\n  first\n    deeper\n\nNot a heading.\n\nExit codes:\n  0  good";
        let expected = [
            ("Output", "one line each:\nfirst\n  deeper\n\nNot a heading.".to_owned()),
            ("Exit codes", "0  good".to_owned()),
        ];
        assert_eq!(sections(help), expected);
    }

    #[test]
    fn a_line_in_the_middle_of_a_text_is_no_heading() {
        assert_eq!(sections("A:\n  b\nc:\n  d"), [("A", "b\nc:\nd".to_owned())]);
    }
}
