//! The answer first: valid, unknown or invalid, why, and what each checker said.

use super::parts::{close_table, open_table, prose};
use super::put;
use crate::report::escape::{esc, shorten};
use crate::report::scale::counted;
use crate::report::story::Story;
use elenchus_core::verdict::{Validity, Verdict};

/// The banner, the facts, the remarks, the table of checkers.
pub fn render(out: &mut String, story: &Story, troubles: &[String]) {
    let class = class(story.validity);
    put!(
        out,
        "<section id=\"verdict\" aria-label=\"Verdict\">\n<div class=\"banner {class}\">\n\
         <div class=\"answer\" role=\"heading\" aria-level=\"2\">{}{}</div>\n<p id=\"why\">{}</p>\n</div>\n",
        sign(story.validity),
        word(story.validity),
        prose(&shorten(&story.why, WORDS_MAX))
    );
    put!(out, "<dl class=\"facts\">\n");
    for (name, value) in &story.facts {
        put!(out, "<div><dt>{}</dt><dd>{}</dd></div>\n", esc(name), esc(value));
    }
    put!(out, "</dl>\n");
    if !(story.remarks.is_empty() && troubles.is_empty()) {
        put!(out, "<ul class=\"remarks\" id=\"remarks\">\n");
        for remark in story.remarks.iter().chain(troubles) {
            put!(out, "<li>{}</li>\n", esc(remark));
        }
        put!(out, "</ul>\n");
    }
    checkers(out, &story.verdicts);
    put!(out, "</section>\n");
}

fn checkers(out: &mut String, verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    open_table(out, "checkers", "", &[("checker", false), ("answer", false), ("why", false)]);
    for verdict in verdicts {
        let class = class(verdict.validity);
        put!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"word {class}\">{}</td><td class=\"wide\">{}",
            esc(&verdict.checker),
            word(verdict.validity).to_lowercase(),
            prose(&shorten(&verdict.why, WORDS_MAX))
        );
        if let Some(class) = &verdict.class {
            put!(out, " <span class=\"soft mono\">{}</span>", esc(class));
        }
        figures(out, verdict);
        put!(out, "</td></tr>\n");
    }
    close_table(out);
}

/// A verdict's figures, folded away: their names are the checkers' own.
fn figures(out: &mut String, verdict: &Verdict) {
    if verdict.figures.is_empty() {
        return;
    }
    put!(
        out,
        "<details><summary>{}</summary><div class=\"scroll\"><table><tbody>\n",
        counted(verdict.figures.len() as u64, "figure")
    );
    for (name, figure) in &verdict.figures {
        let text = match figure {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        put!(
            out,
            "<tr><th scope=\"row\" class=\"mono\">{}</th><td class=\"mono wide\">{}</td></tr>\n",
            esc(name),
            esc(&shorten(&text, FIGURE_CHARS_MAX))
        );
    }
    put!(out, "</tbody></table></div></details>");
}

const FIGURE_CHARS_MAX: usize = 600;
/// A reason longer than this is read in `verdicts.json`.
const WORDS_MAX: usize = 2_000;

/// The answer as a word.
pub fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "Valid",
        Validity::Unknown => "Unknown",
        Validity::Invalid => "Invalid",
    }
}

fn class(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "invalid",
    }
}

/// The answer as a sign, so that colour is not all that tells it.
fn sign(validity: Validity) -> String {
    let strokes = match validity {
        Validity::Valid => "<path d=\"M7 12.5l3.4 3.4L17 9\"/>",
        Validity::Unknown => "<path d=\"M9 9.4a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2M12 16.6v1.6\"/>",
        Validity::Invalid => "<path d=\"M8 8l8 8M16 8l-8 8\"/>",
    };
    format!(
        "<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\" fill=\"none\" stroke=\"currentColor\" \
         stroke-width=\"2.2\"><circle cx=\"12\" cy=\"12\" r=\"10.8\"/>{strokes}</svg>"
    )
}
