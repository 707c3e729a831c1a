//! The faults, the cluster, the statistics, and how to run it again, as tables.

use super::parts::{close_table, fault_class, open_table, swatch};
use super::put;
use crate::registry::SIMULATED;
use crate::report::escape::esc;
use crate::report::faults::FaultRow;
use crate::report::scale::{count, counted, counted_as, duration, seconds};
use crate::report::series::QUANTILE_NAMES;
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
    let columns = [
        ("fault", false),
        ("target", false),
        ("from", true),
        ("until", true),
        ("operations open", true),
        ("proof", false),
    ];
    open_table(out, id, caption, &columns);
    for fault in faults.iter().take(ROWS_MAX) {
        let until = if fault.healed { seconds(fault.until) } else { "not healed".to_owned() };
        let swatch = swatch(fault_class(&fault.fault));
        put!(out, "<tr><th scope=\"row\" class=\"kind\">{swatch} {}</th>", esc(&fault.fault));
        put!(
            out,
            "<td class=\"wide\">{}</td><td class=\"n\">{}</td>",
            esc(&fault.target),
            seconds(fault.from)
        );
        put!(out, "<td class=\"n\">{until}</td><td class=\"n\">{}</td>", count(fault.operations));
        put!(out, "<td class=\"wide\">{}</td></tr>\n", esc(&fault.proof));
    }
    close_table(out);
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
    open_table(out, "events", "", &[("time", true), ("event", false), ("what was seen", false)]);
    for event in story.events.iter().take(ROWS_MAX) {
        put!(out, "<tr><td class=\"n\">{}</td>", seconds(event.time));
        put!(out, "<th scope=\"row\" class=\"kind\">{}</th>", esc(&event.kind));
        put!(out, "<td class=\"wide\">{}</td></tr>\n", esc(&event.text));
    }
    close_table(out);
    capped(out, story.events.len());
    put!(out, "</section>\n");
}

fn statistics(out: &mut String, story: &Story) {
    put!(out, "<section id=\"statistics\">\n<h2>Statistics</h2>\n");
    let mut columns = vec![("whose", false)];
    columns.extend(["operations", "ok", "fail", "info", "never ended"].map(|name| (name, true)));
    columns.extend(QUANTILE_NAMES.map(|name| (name, true)));
    open_table(out, "statistics-table", "", &columns);
    for (group, rows) in &story.statistics {
        rows.iter().take(ROWS_MAX).for_each(|row| statistics_row(out, group, row));
    }
    close_table(out);
    put!(out, "<p class=\"soft small\">Latencies are those of ok operations.</p>\n</section>\n");
}

fn statistics_row(out: &mut String, group: &str, row: &Row) {
    put!(out, "<tr><th scope=\"row\"><span class=\"soft\">{group}</span> {}</th>", esc(&row.name));
    put!(out, "<td class=\"n\">{}</td>", count(row.count));
    for ended in row.ended {
        put!(out, "<td class=\"n\">{}</td>", count(ended));
    }
    for q in 0..QUANTILE_NAMES.len() {
        let latency = row.latency.map_or_else(|| "–".to_owned(), |latency| duration(latency[q]));
        put!(out, "<td class=\"n\">{latency}</td>");
    }
    put!(out, "</tr>\n");
}

fn again(out: &mut String, story: &Story) {
    put!(out, "<section id=\"again\">\n<h2>Run it again</h2>\n");
    match &story.again {
        Some(command) => put!(out, "<pre id=\"command\">{}</pre>\n", esc(command)),
        None => put!(out, "<p>The folder does not say which command made this history.</p>\n"),
    }
    let is_simulated = story.plan.iter().any(|(key, value)| key == "system" && value == SIMULATED);
    put!(
        out,
        "<p class=\"soft small\">The same seed makes the same plan and the same schedule of faults{}.</p>\n",
        if is_simulated {
            ", and in the simulated universe the same trial, byte for byte (<code>replay</code> proves it)"
        } else {
            "; real processes and a real network do not repeat their timing"
        }
    );
    entries(out, "assumptions", "What was really used", &story.trial);
    entries(out, "plan", "Plan", &story.plan);
    put!(out, "</section>\n");
}

fn entries(out: &mut String, id: &str, caption: &str, entries: &[(String, String)]) {
    if entries.is_empty() {
        return;
    }
    open_table(out, id, caption, &[]);
    for (name, value) in entries {
        put!(out, "<tr><th scope=\"row\">{}</th><td class=\"wide\">{}</td></tr>\n", esc(name), esc(value));
    }
    close_table(out);
}

fn capped(out: &mut String, rows: usize) {
    if rows > ROWS_MAX {
        put!(out, "<p class=\"soft small\">The first {ROWS_MAX} of {}.</p>\n", count(rows as u64));
    }
}

const ROWS_MAX: usize = 500;
