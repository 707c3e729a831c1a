//! The faults, the cluster, the statistics, and how to run it again, as tables.

use super::put;
use crate::report::escape::esc;
use crate::report::faults::FaultRow;
use crate::report::scale::{count, counted, counted_as, duration, seconds};
use crate::report::statistics::Row;
use crate::report::story::Story;

/// All tables.
pub fn render(out: &mut String, story: &Story) {
    faults(out, &story.faults);
    cluster(out, story);
    statistics(out, story);
    again(out, story);
}

fn faults(out: &mut String, faults: &[FaultRow]) {
    put!(out, "<section id=\"faults\">\n<h2>Faults</h2>\n");
    if faults.is_empty() {
        put!(out, "<p>The history holds no faults: nothing was broken.</p>\n</section>\n");
        return;
    }
    let (hit, missed): (Vec<&FaultRow>, Vec<&FaultRow>) = faults.iter().partition(|fault| fault.hit);
    put!(
        out,
        "<p>{} of {} had effect while an operation was open. Only those tested anything.</p>\n",
        count(hit.len() as u64),
        counted(faults.len() as u64, "fault")
    );
    fault_table(out, "faults-hit", "Faults that hit", &hit);
    fault_table(out, "faults-missed", "Faults that are not known to have hit", &missed);
    put!(out, "</section>\n");
}

fn fault_table(out: &mut String, id: &str, caption: &str, faults: &[&FaultRow]) {
    if faults.is_empty() {
        return;
    }
    put!(
        out,
        "<div class=\"scroll\"><table id=\"{id}\" class=\"tight\">\n<caption>{caption}</caption>\n<thead><tr><th scope=\"col\">fault</th><th scope=\"col\">target</th>\
         <th scope=\"col\" class=\"n\">from</th><th scope=\"col\" class=\"n\">until</th><th scope=\"col\" class=\"n\">operations open</th>\
         <th scope=\"col\">proof</th></tr></thead>\n<tbody>\n"
    );
    for fault in faults.iter().take(ROWS_MAX) {
        let until = if fault.healed { seconds(fault.until) } else { "not healed".to_owned() };
        put!(
            out,
            "<tr><th scope=\"row\" class=\"kind\"><svg width=\"10\" height=\"10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" rx=\"2\" class=\"{}\"/></svg> {}</th>\
             <td class=\"wide\">{}</td><td class=\"n\">{}</td><td class=\"n\">{until}</td><td class=\"n\">{}</td><td class=\"wide\">{}</td></tr>\n",
            super::charts::fault_class(&fault.fault),
            esc(&fault.fault),
            esc(&fault.target),
            seconds(fault.from),
            count(fault.operations),
            esc(&fault.proof)
        );
    }
    put!(out, "</tbody>\n</table></div>\n");
    capped(out, faults.len());
}

fn cluster(out: &mut String, story: &Story) {
    put!(out, "<section id=\"cluster\">\n<h2>Cluster</h2>\n");
    if story.events.is_empty() {
        put!(out, "<p>The history tells nothing of the cluster: no leaders, no exits.</p>\n</section>\n");
        return;
    }
    if !story.leaders.is_empty() {
        let changes = counted_as(story.leaders.len() as u64 - 1, "change", "changes");
        put!(out, "<p>{changes} of leadership after the first leader was seen.</p>\n");
    }
    put!(
        out,
        "<div class=\"scroll\"><table id=\"events\" class=\"tight\">\n<thead><tr><th scope=\"col\" class=\"n\">time</th><th scope=\"col\">event</th>\
         <th scope=\"col\">what was seen</th></tr></thead>\n<tbody>\n"
    );
    for event in story.events.iter().take(ROWS_MAX) {
        put!(
            out,
            "<tr><td class=\"n\">{}</td><th scope=\"row\" class=\"kind\">{}</th><td class=\"wide\">{}</td></tr>\n",
            seconds(event.time),
            esc(&event.kind),
            esc(&event.text)
        );
    }
    put!(out, "</tbody>\n</table></div>\n");
    capped(out, story.events.len());
    put!(out, "</section>\n");
}

fn statistics(out: &mut String, story: &Story) {
    put!(
        out,
        "<section id=\"statistics\">\n<h2>Statistics</h2>\n<div class=\"scroll\"><table id=\"statistics-table\">\n<thead><tr><th scope=\"col\">whose</th>\
         <th scope=\"col\" class=\"n\">operations</th><th scope=\"col\" class=\"n\">ok</th><th scope=\"col\" class=\"n\">fail</th>\
         <th scope=\"col\" class=\"n\">info</th><th scope=\"col\" class=\"n\">never ended</th><th scope=\"col\" class=\"n\">median</th>\
         <th scope=\"col\" class=\"n\">95 %</th><th scope=\"col\" class=\"n\">99 %</th><th scope=\"col\" class=\"n\">slowest</th></tr></thead>\n"
    );
    for (group, rows) in &story.statistics {
        put!(out, "<tbody>\n");
        for row in rows.iter().take(ROWS_MAX) {
            statistics_row(out, group, row);
        }
        put!(out, "</tbody>\n");
    }
    put!(
        out,
        "</table></div>\n<p class=\"soft small\">Latencies are those of ok operations.</p>\n</section>\n"
    );
}

fn statistics_row(out: &mut String, group: &str, row: &Row) {
    let name = if row.name == "all" { String::new() } else { format!(" {}", row.name) };
    put!(
        out,
        "<tr><th scope=\"row\"><span class=\"soft\">{group}</span>{}</th><td class=\"n\">{}</td>",
        esc(&name),
        count(row.count)
    );
    for ended in row.ended {
        put!(out, "<td class=\"n\">{}</td>", count(ended));
    }
    match row.latency {
        Some(latency) => {
            latency.iter().for_each(|&nanos| put!(out, "<td class=\"n\">{}</td>", duration(nanos)))
        }
        None => put!(
            out,
            "<td class=\"n\">–</td><td class=\"n\">–</td><td class=\"n\">–</td><td class=\"n\">–</td>"
        ),
    }
    put!(out, "</tr>\n");
}

fn again(out: &mut String, story: &Story) {
    put!(out, "<section id=\"again\">\n<h2>Run it again</h2>\n");
    match &story.again {
        Some(command) => put!(out, "<pre id=\"command\">{}</pre>\n", esc(command)),
        None => put!(out, "<p>The folder does not say which command made this history.</p>\n"),
    }
    put!(
        out,
        "<p class=\"soft small\">The same seed makes the same plan and schedule of faults; real processes and a real network do \
         not repeat their timing.</p>\n"
    );
    entries(out, "assumptions", "What was really used", &story.trial);
    entries(out, "plan", "Plan", &story.plan);
    put!(out, "</section>\n");
}

fn entries(out: &mut String, id: &str, caption: &str, entries: &[(String, String)]) {
    if entries.is_empty() {
        return;
    }
    put!(out, "<div class=\"scroll\"><table id=\"{id}\">\n<caption>{caption}</caption>\n<tbody>\n");
    for (name, value) in entries {
        put!(out, "<tr><th scope=\"row\">{}</th><td class=\"wide\">{}</td></tr>\n", esc(name), esc(value));
    }
    put!(out, "</tbody>\n</table></div>\n");
}

fn capped(out: &mut String, rows: usize) {
    if rows > ROWS_MAX {
        put!(out, "<p class=\"soft small\">The first {ROWS_MAX} of {}.</p>\n", count(rows as u64));
    }
}

const ROWS_MAX: usize = 500;
