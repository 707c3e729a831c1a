//! Small pieces that several sections of the page share: tables, legends, swatches.

use super::put;
use crate::report::escape::esc;

/// A column of a table: its name, and whether it holds numbers.
pub type Column = (&'static str, bool);

/// Opens a table that scrolls in itself when it is wider than the page. No id or caption if empty.
pub fn open_table(out: &mut String, id: &str, caption: &str, columns: &[Column]) {
    put!(out, "<div class=\"scroll\"><table");
    if !id.is_empty() {
        put!(out, " id=\"{id}\"");
    }
    put!(out, ">\n");
    if !caption.is_empty() {
        put!(out, "<caption>{}</caption>\n", esc(caption));
    }
    if !columns.is_empty() {
        put!(out, "<thead><tr>");
        for (name, is_number) in columns {
            put!(out, "<th scope=\"col\"{}>{name}</th>", if *is_number { " class=\"n\"" } else { "" });
        }
        put!(out, "</tr></thead>\n");
    }
    put!(out, "<tbody>\n");
}

/// Closes what [`open_table`] opened.
pub fn close_table(out: &mut String) {
    put!(out, "</tbody>\n</table></div>\n");
}

/// The class that colours a kind of fault.
pub fn fault_class(kind: &str) -> &'static str {
    match kind {
        "partition" => "partition",
        "kill" => "kill",
        "pause" => "pause",
        "clock" => "clock",
        _ => "other",
    }
}

/// A sentence; what stands between backticks is set as code.
pub fn prose(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return esc(text).to_string();
    }
    let mut out = String::with_capacity(text.len() + 32);
    for (i, piece) in pieces.into_iter().enumerate() {
        if i % 2 == 1 {
            put!(&mut out, "<code>{}</code>", esc(piece));
        } else {
            put!(&mut out, "{}", esc(piece));
        }
    }
    out
}

/// A small square in the colour of a class.
pub fn swatch(class: &str) -> String {
    format!(
        "<svg width=\"10\" height=\"10\" aria-hidden=\"true\">\
         <rect width=\"10\" height=\"10\" rx=\"2\" class=\"{class}\"/></svg>"
    )
}

/// One entry of a legend: a mark of 18 by 12, and its name, which must be safe.
pub fn legend_entry(out: &mut String, mark: &str, name: &str) {
    put!(out, "<li><svg viewBox=\"0 0 18 12\" aria-hidden=\"true\">{mark}</svg>{name}</li>");
}

/// Entries of a legend for faults in force.
pub fn fault_entries(out: &mut String, kinds: &[&str]) {
    for kind in kinds {
        let mark = format!("<rect width=\"18\" height=\"12\" class=\"{}\"/>", fault_class(kind));
        legend_entry(out, &mark, &format!("{} in force", esc(kind)));
    }
}

#[cfg(test)]
mod tests {
    use super::prose;

    #[test]
    fn backticks_in_pairs_become_code_and_nothing_else_becomes_markup() {
        assert_eq!(prose("saw `write <1>` here"), "saw <code>write &lt;1&gt;</code> here");
        assert_eq!(prose("one ` alone"), "one ` alone");
    }
}
