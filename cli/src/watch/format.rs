//! How an entry is printed.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use pullcord::{Entry, Escaped};
use serde::Serialize;

use super::known::File;
use crate::json;

/// The template of `--format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Path,
    Name,
    Age,
    Size,
    Time,
}

impl Template {
    /// Parses a template: text, and names of fields in braces. `{{` and `}}` are braces.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text.chars());
        while let Some(c) = rest.next() {
            let is_doubled = matches!(c, '{' | '}') && rest.as_str().starts_with(c);
            match c {
                '{' | '}' if is_doubled => literal.extend(rest.next()),
                '}' => return Err("a brace is not opened; write }} for a brace".into()),
                '{' => {
                    let Some((name, after)) = rest.as_str().split_once('}') else {
                        return Err("a brace is not closed; write {{ for a brace".into());
                    };
                    let part = Part::from_name(name).ok_or_else(|| {
                        format!("there is no field {name:?}; use {}", Part::NAMES.join(", "))
                    })?;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                    rest = after.chars();
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template(parts))
    }

    /// Returns the template of a line without --format: the path.
    pub(super) fn path() -> Template {
        Template(vec![Part::Path])
    }

    /// Returns whether a field is not known without asking for the file.
    fn needs_file(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Age | Part::Size))
    }
}

impl Part {
    const NAMES: [&str; 6] = ["path", "name", "id", "age", "size", "time"];

    fn from_name(name: &str) -> Option<Part> {
        Some(match name {
            "path" => Part::Path,
            "name" | "id" => Part::Name,
            "age" => Part::Age,
            "size" => Part::Size,
            "time" => Part::Time,
            _ => return None,
        })
    }
}

/// How each entry is printed.
#[derive(Clone, Debug)]
pub(super) struct LineFormat {
    pub(super) style: Style,
    /// The time comes first.
    pub(super) has_time: bool,
    /// Names are not escaped, and a line ends with a NUL.
    pub(super) is_raw: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Style {
    Json,
    Template(Template),
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    names: Names<'a>,
    origin: &'static str,
    at: String,
}

/// The members of a line that name the entry.
#[derive(Serialize)]
pub(super) struct Names<'a> {
    id: Cow<'a, str>,
    path: Cow<'a, str>,
    /// The bytes of the path, in hexadecimal, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl Names<'_> {
    pub(super) fn of(path: &Path) -> Names<'_> {
        let hex = || path.as_os_str().as_encoded_bytes().iter().map(|byte| format!("{byte:02x}"));
        Names {
            id: path.file_name().unwrap_or_default().to_string_lossy(),
            path: path.to_string_lossy(),
            path_hex: path.to_str().is_none().then(|| hex().collect()),
        }
    }
}

impl LineFormat {
    /// Returns the line for an entry, with its end. `file` is the result of lstat(2).
    pub(super) fn line(&self, entry: &Entry<'_>, path: &Path, file: Option<&Metadata>) -> Vec<u8> {
        let mut line = Vec::new();
        match &self.style {
            Style::Json => line.extend(json_line(entry, path).into_bytes()),
            Style::Template(template) => {
                if self.has_time {
                    line.extend(now().into_bytes());
                    line.push(b' ');
                }
                let file = file.filter(|_| template.needs_file());
                for part in &template.0 {
                    self.write_part(part, entry, path, file, &mut line);
                }
            }
        }
        line.push(if self.is_raw { 0 } else { b'\n' });
        line
    }

    fn write_part(
        &self,
        part: &Part,
        entry: &Entry<'_>,
        path: &Path,
        file: Option<&Metadata>,
        line: &mut Vec<u8>,
    ) {
        // Writing into memory cannot fail.
        let _ = match part {
            Part::Text(text) => line.write_all(text.as_bytes()),
            Part::Path => self.write_name(path.as_os_str(), line),
            Part::Name => self.write_name(entry.name, line),
            Part::Time => line.write_all(now().as_bytes()),
            Part::Age => match file {
                Some(file) => {
                    let age = File::from(file).age(since_1970());
                    write!(line, "{:.3}", age.as_secs_f64())
                }
                None => line.write_all(b"-"),
            },
            Part::Size => match file {
                Some(file) => write!(line, "{}", file.len()),
                None => line.write_all(b"-"),
            },
        };
    }

    fn write_name(&self, name: &OsStr, line: &mut Vec<u8>) -> std::io::Result<()> {
        if self.is_raw {
            line.write_all(name.as_encoded_bytes())
        } else {
            write!(line, "{}", Escaped(name.as_ref()))
        }
    }
}

fn json_line(entry: &Entry<'_>, path: &Path) -> String {
    let line = Line { names: Names::of(path), origin: entry.origin.as_str(), at: now() };
    json::to_line(&line).expect("strings only")
}

/// Returns the time: RFC 3339, UTC, with microseconds.
pub(super) fn now() -> String {
    format!("{:.6}", Timestamp::now())
}

/// Returns the time since 1970.
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_text_fields_and_doubled_braces() {
        let parts = Template::parse("{{{id}}} {size}\t{age}").unwrap().0;
        let text = |text: &str| Part::Text(text.into());
        let expected = [text("{"), Part::Name, text("} "), Part::Size, text("\t"), Part::Age];
        assert_eq!(parts, expected);
        for wrong in ["{", "{path", "}", "{mtime}", "{}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Template::parse("{mtime}").unwrap_err().contains("path, name"));
    }
}
