//! The explorable timeline: its frame and its controls; the script draws it.

use super::parts::swatch;
use super::put;
use crate::report::escape::esc;
use crate::report::scale::{count, counted};
use crate::report::story::Story;

/// The timeline's part of the page.
pub fn render(out: &mut String, story: &Story) {
    let total = story.operations.all.len();
    put!(out, "<section id=\"timeline\">\n<h2>Timeline</h2>\n<p class=\"soft small\" id=\"extent\">");
    if story.drawn.len() < total {
        put!(
            out,
            "Holds {} of {}: all that prove an anomaly, then those in doubt, the others evenly spread.",
            count(story.drawn.len() as u64),
            counted(total as u64, "operation")
        );
    } else {
        put!(out, "Holds all {}.", counted(total as u64, "operation"));
    }
    put!(
        out,
        " One lane per slot, with its node. Drag to move, pinch or use the buttons to zoom; once it has the \
         focus, the wheel zooms, <kbd>←</kbd> <kbd>→</kbd> move, <kbd>+</kbd> <kbd>−</kbd> zoom, \
         <kbd>0</kbd> shows all, <kbd>n</kbd> <kbd>p</kbd> step through operations.</p>\n"
    );
    put!(
        out,
        "<noscript><p class=\"noscript\">The script that draws the timeline is off; \
         <a href=\"timeline.png\">timeline.png</a> beside this file shows it whole.</p></noscript>\n"
    );
    controls(out, story);
    put!(
        out,
        "<div class=\"timeline-box\">\n<div id=\"explorer\"><canvas id=\"overview\" aria-hidden=\"true\"></canvas>\
         <canvas id=\"lanes\" tabindex=\"0\" role=\"application\" aria-label=\"Timeline of operations\" \
         aria-describedby=\"extent\"></canvas></div>\n<div id=\"detail\" aria-live=\"polite\">\
         <span class=\"soft\">Point at an operation, or tap it, to read it here.</span></div>\n</div>\n</section>\n"
    );
}

fn controls(out: &mut String, story: &Story) {
    put!(
        out,
        "<form class=\"controls\" id=\"filters\" autocomplete=\"off\">\n<fieldset><legend>zoom</legend>\
         <button type=\"button\" id=\"zoom-in\" aria-label=\"Zoom in\">+</button>\
         <button type=\"button\" id=\"zoom-out\" aria-label=\"Zoom out\">−</button>\
         <button type=\"button\" id=\"zoom-all\">all</button></fieldset>\n"
    );
    put!(out, "<fieldset id=\"filter-outcome\"><legend>outcome</legend>");
    for outcome in ["ok", "fail", "info", "open"] {
        let swatch = swatch(&format!("d-{outcome}"));
        put!(out, "<label><input type=\"checkbox\" value=\"{outcome}\" checked>{swatch}{outcome}</label>");
    }
    put!(out, "</fieldset>\n<fieldset id=\"filter-f\"><legend>function</legend>");
    if story.operations.functions.len() <= FUNCTIONS_AS_BOXES_MAX {
        for (f, name) in story.operations.functions.iter().enumerate() {
            put!(out, "<label><input type=\"checkbox\" value=\"{f}\" checked>{}</label>", esc(name));
        }
    } else {
        put!(out, "<input type=\"text\" id=\"filter-f-text\" aria-label=\"function\" placeholder=\"all\">");
    }
    put!(
        out,
        "</fieldset>\n<label class=\"field\"><span class=\"name\">process</span>\
         <input type=\"text\" id=\"filter-process\" inputmode=\"numeric\" placeholder=\"all\"></label>\n\
         <label class=\"field\"><span class=\"name\">key</span>\
         <input type=\"text\" id=\"filter-key\" list=\"keys\" placeholder=\"all\"></label>\n\
         <datalist id=\"keys\"></datalist>\n<output id=\"shown\"></output>\n</form>\n"
    );
}

const FUNCTIONS_AS_BOXES_MAX: usize = 12;
