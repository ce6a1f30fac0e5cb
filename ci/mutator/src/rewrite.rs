//! Writes a file with all its changes.

use crate::changes::{Change, Place};

/// Returns the text with each change that is not left out. The number of the first one is `first`.
///
/// The code of a change is between `/*N<*/` and `/*>N*/`, by which `ci/mutants` finds the change of an
/// error of the compiler. A changed expression contains no other change.
pub(crate) fn rewrite(text: &str, changes: &[Change], first: usize, left_out: &[usize]) -> String {
    let mut numbered: Vec<(usize, &Change)> = changes
        .iter()
        .enumerate()
        .map(|(at, change)| (first + at, change))
        .filter(|(number, _)| !left_out.contains(number))
        .collect();
    // An outer range comes before the ranges that it contains.
    numbered.sort_by_key(|(number, change)| (change.start, usize::MAX - change.end, *number));
    let mut output = String::new();
    write(text, &mut &numbered[..], 0, text.len(), &mut output);
    output
}

/// Writes the text from `start` to `end`, and takes the changes in it from the list.
fn write(
    text: &str,
    changes: &mut &[(usize, &Change)],
    start: usize,
    end: usize,
    output: &mut String,
) {
    let mut at = start;
    while let Some(&(number, change)) = changes.first() {
        if change.start >= end || change.end > end {
            break;
        }
        *changes = &changes[1..];
        output.push_str(&text[at..change.start]);
        at = change.end;
        let (new, is) = (&change.new, format!("pullcord_platform::mutated({number})"));
        output.push_str(&format!("/*{number}<*/"));
        match change.place {
            Place::Body => output.push_str(&format!("if {is} {{ return {new}; }}")),
            Place::Guard => output.push_str(&format!(" if !{is} ")),
            Place::Statement | Place::Expression => {
                let is_expression = matches!(change.place, Place::Expression);
                output.push_str(if is_expression { "(" } else { "" });
                output.push_str(&format!("if {is} {{ {new} }} else {{ "));
                write(text, changes, change.start, change.end, output);
                output.push_str(if is_expression { " })" } else { " }" });
            }
        }
        output.push_str(&format!("/*>{number}*/"));
    }
    output.push_str(&text[at..end]);
}
