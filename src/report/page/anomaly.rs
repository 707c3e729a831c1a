//! The anomaly: a sentence, the operations that prove it on a timeline, and the same as a table.

use super::parts::{close_table, fault_class, fault_entries, open_table, prose};
use super::put;
use crate::report::escape::{esc, shorten};
use crate::report::scale::{counted, counted_as, duration, seconds};
use crate::report::scene::{BAR_HEIGHT, Bar, Scene, bear_times};
use crate::report::story::{Story, ToldAnomaly};
use elenchus_core::verdict::Exhibit;

/// All anomalies that are told one by one.
pub fn render(out: &mut String, story: &Story) {
    if story.anomalies.is_empty() {
        return;
    }
    put!(
        out,
        "<section id=\"anomalies\">\n<h2>{}</h2>\n",
        if story.anomalies.len() == 1 { "The anomaly" } else { "The anomalies" }
    );
    let (first, others) = story.anomalies.split_first().expect("there is an anomaly");
    card(out, 0, first);
    if !others.is_empty() {
        put!(
            out,
            "<details id=\"anomalies-more\"><summary>{} more told one by one</summary>\n",
            others.len()
        );
        others.iter().enumerate().for_each(|(i, told)| card(out, i + 1, told));
        put!(out, "</details>\n");
    }
    if story.anomalies_untold > 0 {
        put!(
            out,
            "<p class=\"soft\">Another {} stand in <code>verdicts.json</code>.</p>\n",
            counted_as(story.anomalies_untold as u64, "anomaly", "anomalies")
        );
    }
    put!(out, "</section>\n");
}

fn card(out: &mut String, number: usize, told: &ToldAnomaly) {
    let anomaly = &told.anomaly;
    put!(
        out,
        "<article class=\"card\" id=\"anomaly-{number}\">\n<p class=\"sentence\">{}</p>\n",
        prose(&shorten(&anomaly.sentence, SENTENCE_CHARS_MAX))
    );
    put!(out, "<p class=\"soft small\"><code>{}</code> found by {}", esc(&anomaly.class), esc(&told.checker));
    if let Some(key) = &anomaly.key {
        put!(out, ", key <code>{}</code>", esc(key));
    }
    put!(out, "</p>\n");
    if let Some(scene) = &told.scene {
        figure(out, number, scene);
        exhibits(out, &anomaly.operations, "Operations that prove it");
    }
    if !anomaly.context.is_empty() {
        put!(
            out,
            "<details><summary>{} around it</summary>\n",
            counted(anomaly.context.len() as u64, "operation")
        );
        exhibits(out, &anomaly.context, "Operations that help to read it");
        put!(out, "</details>\n");
    }
    put!(out, "</article>\n");
}

fn figure(out: &mut String, number: usize, scene: &Scene) {
    put!(out, "<figure class=\"scene\">\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" ");
    put!(out, "aria-label=\"Timeline of the anomaly\">\n");
    svg(out, number, scene);
    put!(out, "</div>\n<figcaption>");
    if number == 0 {
        put!(
            out,
            "One lane per process, one bar from each call to its end; a dashed bar with an arrow is in doubt \
             and may take effect at any later time. Order from left to right is the order of the log, \
             distances are not to scale."
        );
        if scene.began.is_some() {
            put!(out, " What ends left of the dashed red line was over before the guilty operation began.");
        }
    }
    if scene.omitted > 0 {
        put!(out, " {} more would not fit.", counted(scene.omitted as u64, "operation"));
    }
    put!(out, "</figcaption>\n");
    if !scene.bands.is_empty() {
        legend(out, scene);
    }
    put!(
        out,
        "<p class=\"controls\"><button type=\"button\" class=\"show-anomaly\" data-anomaly=\"{number}\">\
         Show in the timeline below</button></p>\n</figure>\n"
    );
}

fn legend(out: &mut String, scene: &Scene) {
    let mut kinds: Vec<&str> = Vec::new();
    for band in &scene.bands {
        if !kinds.contains(&band.fault.as_str()) {
            kinds.push(&band.fault);
        }
    }
    put!(out, "<ul class=\"legend\" aria-label=\"Faults in force\">");
    fault_entries(out, &kinds);
    put!(out, "</ul>\n");
}

fn svg(out: &mut String, number: usize, scene: &Scene) {
    put!(out, "<svg id=\"scene-{number}\" width=\"{0:.0}\" height=\"{1:.0}\" ", scene.width, scene.height);
    put!(out, "viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" ", scene.width, scene.height);
    put!(
        out,
        "aria-labelledby=\"scene-title-{number}\">\n<title id=\"scene-title-{number}\">{} by {}; \
         the table below lists them</title>\n",
        counted(scene.bars.len() as u64, "operation"),
        counted_as(scene.lanes.len() as u64, "process", "processes"),
    );
    backdrop(out, scene);
    for bar in &scene.bars {
        draw_bar(out, scene, bar);
    }
    put!(out, "</svg>\n");
}

/// What stands behind the bars: shades, times, lanes, and where the guilty operation began.
fn backdrop(out: &mut String, scene: &Scene) {
    let floor = scene.floor();
    for band in &scene.bands {
        let (class, width) = (fault_class(&band.fault), band.until - band.from);
        put!(out, "<rect class=\"band {class}\" x=\"{:.1}\" y=\"4\" width=\"{width:.1}\" ", band.from);
        put!(out, "height=\"{:.1}\"><title>{} in force</title></rect>\n", floor - 4.0, esc(&band.fault));
    }
    for tick in &scene.ticks {
        upright(out, "stem", tick.x, 22.0, floor + 6.0);
        put!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            tick.x,
            floor + 20.0,
            esc(&tick.text)
        );
    }
    for lane in &scene.lanes {
        let middle = lane.y + BAR_HEIGHT / 2.0;
        let (left, right) = (scene.left, scene.width - 8.0);
        put!(
            out,
            "<line class=\"lane-line\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
        );
        put!(out, "<text class=\"lane-name\" x=\"4\" y=\"{:.1}\">{}</text>\n", middle + 4.0, esc(&lane.name));
    }
    if let Some(x) = scene.began {
        upright(out, "began", x, 18.0, floor + 6.0);
        let anchor = if x > scene.width - 90.0 { "end" } else { "start" };
        put!(
            out,
            "<text class=\"began-name\" x=\"{x:.1}\" y=\"14\" text-anchor=\"{anchor}\">guilty call</text>\n"
        );
    }
}

fn upright(out: &mut String, class: &str, x: f64, top: f64, bottom: f64) {
    put!(out, "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>");
}

fn draw_bar(out: &mut String, scene: &Scene, bar: &Bar) {
    let y = scene.lanes.get(bar.lane).map_or(0.0, |lane| lane.y);
    let mut class = String::from("bar");
    for (is, name) in [(bar.in_doubt, " doubt"), (!bar.evidence, " context"), (bar.guilty, " guilty")] {
        class.push_str(if is { name } else { "" });
    }
    put!(out, "<g class=\"{class}\"><title>{}</title>", esc(&bar.title));
    let (from, until) = (bar.from, bar.until);
    if bar.in_doubt {
        let (neck, bottom) = (until - 12.0, y + BAR_HEIGHT);
        put!(
            out,
            "<path d=\"M{from:.1} {y:.1}H{neck:.1}L{until:.1} {:.1}L{neck:.1} {bottom:.1}H{from:.1}Z\"/>",
            y + BAR_HEIGHT / 2.0
        );
    } else {
        put!(
            out,
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT:.1}\" rx=\"4\"/>",
            until - from
        );
    }
    put!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>\n",
        from + 7.0,
        y + BAR_HEIGHT / 2.0 + 4.0,
        esc(&bar.text)
    );
}

/// The operations as a table: the same evidence for those who do not see the picture.
fn exhibits(out: &mut String, exhibits: &[Exhibit], caption: &str) {
    let columns =
        [("process", false), ("operation", false), ("called", true), ("took", true), ("events", true)];
    open_table(out, "", caption, &columns);
    let timed = bear_times(exhibits);
    for exhibit in exhibits.iter().take(EXHIBITS_MAX) {
        let took = match (exhibit.done, exhibit.ended) {
            (Some(_), Some(ended)) => duration(ended.0.saturating_sub(exhibit.called.0)),
            (Some(_), None) => "–".to_owned(),
            (None, _) => "in doubt".to_owned(),
        };
        let called = if timed { seconds(exhibit.called.0) } else { "–".to_owned() };
        let events = match exhibit.done {
            Some(done) => format!("{} – {done}", exhibit.call),
            None => format!("{} –", exhibit.call),
        };
        let (class, word) = if exhibit.guilty { (" class=\"guilty\"", " <b>(guilty)</b>") } else { ("", "") };
        put!(out, "<tr{class}><th scope=\"row\">{}</th>", exhibit.process);
        put!(out, "<td class=\"mono wide\">{}{word}</td>", esc(&shorten(&exhibit.text, TEXT_CHARS_MAX)));
        put!(out, "<td class=\"n\">{called}</td>");
        put!(out, "<td class=\"n\">{took}</td><td class=\"n\">{events}</td></tr>\n");
    }
    close_table(out);
    if exhibits.len() > EXHIBITS_MAX {
        put!(out, "<p class=\"soft\">The first {EXHIBITS_MAX} of {}.</p>\n", exhibits.len());
    }
}

const EXHIBITS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 400;
const SENTENCE_CHARS_MAX: usize = 2_000;
