//! The page: a story as one self-contained HTML file.
//!
//! Style, script and data stand inside; nothing is fetched. Verdict, anomaly, curves and tables are plain
//! HTML and SVG, readable without script; the scatter of latencies and the explorable timeline are drawn
//! by the script from the same data. All recorded text passes through [`crate::report::escape`].
//!
//! | module | part of the page |
//! |---|---|
//! | `verdict` | the answer, why, what each checker said |
//! | `anomaly` | the anomaly in words and drawn |
//! | `diagram` | how the anomaly came about, message by message |
//! | `charts` | latency, rates, open operations |
//! | `timeline` | the explorable timeline |
//! | `tables` | cluster events, statistics, faults, how to run it again |
//! | `data` | the operations as the script reads them |
//! | `parts` | tables, legends, swatches |

mod anomaly;
pub mod charts;
mod data;
mod diagram;
mod parts;
mod tables;
mod timeline;
mod verdict;

use crate::report::escape::esc;
use crate::report::story::Story;

/// Writes into a string, which cannot fail.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {
        std::fmt::Write::write_fmt($out, format_args!($($arg)*)).expect("writing to a string cannot fail")
    };
}
pub(crate) use put;

const STYLE: &str = include_str!("../page.css");
const SCRIPTS: [&str; 6] = [
    include_str!("../base.js"),
    include_str!("../data.js"),
    include_str!("../charts.js"),
    include_str!("../timeline.js"),
    include_str!("../controls.js"),
    include_str!("../start.js"),
];

/// The page of a story. `pictures` are the PNG files beside it, `troubles` what could not be drawn and why.
pub fn render(story: &Story, pictures: &[String], troubles: &[String]) -> String {
    let mut out = String::with_capacity(256 * 1024);
    head(&mut out, story);
    put!(&mut out, "<main id=\"main\">\n<div id=\"errors\" role=\"alert\"></div>\n");
    verdict::render(&mut out, story, troubles);
    anomaly::render(&mut out, story);
    diagram::render(&mut out, story);
    charts::render(&mut out, story);
    timeline::render(&mut out, story);
    tables::render(&mut out, story);
    put!(&mut out, "</main>\n");
    foot(&mut out, pictures);
    put!(&mut out, "<output id=\"readout\" aria-live=\"off\" hidden></output>\n");
    data::render(&mut out, story);
    put!(
        &mut out,
        "<script>\n\"use strict\";\n(() => {{\n{}}})();\n</script>\n</body>\n</html>\n",
        SCRIPTS.concat()
    );
    out
}

fn head(out: &mut String, story: &Story) {
    put!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} · {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        verdict::word(story.validity),
        esc(&story.name)
    );
    put!(
        out,
        "<a class=\"skip\" href=\"#main\">Skip to the verdict</a>\n<header class=\"top\">\n<h1>{}</h1>\
         <span class=\"brand\">Elenchus report</span>\n</header>\n<nav class=\"toc\" aria-label=\"Sections\">\n",
        esc(&story.name)
    );
    let sections = [
        ("anomalies", "Anomaly", !story.anomalies.is_empty()),
        ("plots", "Plots", true),
        ("timeline", "Timeline", true),
        ("faults", "Faults", true),
        ("cluster", "Cluster", true),
        ("statistics", "Statistics", true),
        ("again", "Run it again", true),
    ];
    for (id, name, _) in sections.into_iter().filter(|(_, _, there)| *there) {
        put!(out, "<a href=\"#{id}\">{name}</a>\n");
    }
    put!(out, "</nav>\n");
}

fn foot(out: &mut String, pictures: &[String]) {
    put!(out, "<footer>\n<p>Built by Elenchus {} from the trial’s folder alone.", env!("CARGO_PKG_VERSION"));
    if !pictures.is_empty() {
        let links: Vec<String> =
            pictures.iter().map(|name| format!("<a href=\"{0}\">{0}</a>", esc(name))).collect();
        put!(out, " The plots as pictures, beside this file: {}.", links.join(", "));
    }
    put!(out, "</p>\n</footer>\n");
}
