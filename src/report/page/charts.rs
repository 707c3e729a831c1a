//! Latency, rates and open operations over time, all on one time axis and shaded with the faults in force.
//!
//! Curves are SVG that stretches with the page while lines and labels keep their size, so that a phone
//! reads the same axes as a wide screen. The single latencies are drawn by the script on a canvas over
//! the same frame.

use super::parts::{fault_class, fault_entries, legend_entry};
use super::put;
use crate::report::escape::esc;
use crate::report::operations::Op;
use crate::report::scale::{Decades, Linear, count, counted, duration, plain};
use crate::report::series::QUANTILE_NAMES;
use crate::report::story::Story;

/// All charts.
pub fn render(out: &mut String, story: &Story) {
    put!(out, "<section id=\"plots\">\n<h2>How it went</h2>\n");
    if !story.timed {
        put!(
            out,
            "<p class=\"soft\">The history bears no times: there is nothing to plot over time.</p>\n</section>\n"
        );
        return;
    }
    shades_legend(out, story);
    put!(
        out,
        "<p class=\"soft small hint\">Point at a plot to read it. A click moves the timeline further down to that \
         time.</p>\n"
    );
    scatter(out, story);
    quantiles(out, story);
    rates(out, story);
    open(out, story);
    put!(out, "</section>\n");
}

/// At most this many functions have a panel of their own; the others share one.
pub const PANELS_MAX: usize = 5;

/// The panels of the latency scatter: their names, and the functions in each.
pub fn panels(story: &Story) -> Vec<(String, Vec<u16>)> {
    let names = &story.operations.functions;
    if names.len() <= PANELS_MAX {
        return names.iter().enumerate().map(|(f, name)| (name.clone(), vec![f as u16])).collect();
    }
    let mut counts: Vec<(usize, usize)> = vec![(0, 0); names.len()];
    counts.iter_mut().enumerate().for_each(|(f, entry)| entry.1 = f);
    for op in &story.operations.all {
        counts[(op.f as usize).min(names.len() - 1)].0 += 1;
    }
    counts.sort_by_key(|&(n, f)| (std::cmp::Reverse(n), f));
    let mut panels: Vec<(String, Vec<u16>)> =
        counts.iter().take(PANELS_MAX - 1).map(|&(_, f)| (names[f].clone(), vec![f as u16])).collect();
    let others: Vec<u16> = counts.iter().skip(PANELS_MAX - 1).map(|&(_, f)| f as u16).collect();
    panels.push((format!("{} others", others.len()), others));
    panels
}

/// The latencies that a scatter of the story shows.
pub fn latency_axis(story: &Story) -> Decades {
    Decades::holding(story.operations.all.iter().filter_map(Op::took))
}

fn shades_legend(out: &mut String, story: &Story) {
    put!(out, "<ul class=\"legend\" id=\"legend\" aria-label=\"Shades\">");
    let kinds = story.fault_kinds();
    fault_entries(out, &kinds);
    if kinds.is_empty() {
        put!(out, "<li>no faults in this history</li>");
    }
    if !story.leaders.is_empty() {
        let mark = "<path d=\"M9 0V12\" stroke=\"currentColor\" stroke-dasharray=\"3 3\"/>";
        legend_entry(out, mark, "a leader seen (node · term)");
    }
    put!(out, "</ul>\n");
}

fn legend(out: &mut String, entries: &[(&str, &str)], dots: bool) {
    put!(out, "<ul class=\"legend\">");
    for (class, name) in entries {
        let mark = if dots {
            format!("<circle cx=\"9\" cy=\"6\" r=\"4\" class=\"d-{class}\"/>")
        } else {
            format!("<path d=\"M0 6H18\" stroke-width=\"2.4\" class=\"s-{class}\"/>")
        };
        legend_entry(out, &mark, name);
    }
    put!(out, "</ul>\n");
}

fn scatter(out: &mut String, story: &Story) {
    let axis = latency_axis(story);
    put!(out, "<figure class=\"chart\" id=\"latency-raw\">\n<h3>Latency of each operation</h3>\n");
    let mut entries = vec![("ok", "ok"), ("fail", "fail"), ("info", "info (in doubt)")];
    if !story.anomalies.is_empty() {
        entries.push(("guilty", "guilty of an anomaly"));
    }
    legend(out, &entries, true);
    let panels = panels(story);
    if panels.is_empty() {
        put!(out, "<p class=\"soft\">There is no operation to draw.</p>\n");
    }
    for (panel, (name, functions)) in panels.iter().enumerate() {
        let functions: Vec<String> = functions.iter().map(u16::to_string).collect();
        if panel == 0 {
            strips(out, story);
        }
        let low = if story.operations.functions.len() > 1 { " low" } else { "" };
        put!(out, "<div class=\"plot{low}\" data-plot>");
        frame(out, story, panel == 0, |out| decade_grid(out, axis));
        put!(
            out,
            "<canvas class=\"scatter\" data-f=\"{}\" data-low=\"{}\" data-high=\"{}\" role=\"img\" \
             aria-label=\"Latency of {} over time; quantiles follow\"></canvas>",
            functions.join(" "),
            axis.low,
            axis.high,
            esc(name)
        );
        decade_labels(out, axis, low.is_empty(), panel + 1 == panels.len());
        put!(out, "<span class=\"panel\">{}</span>", esc(name));
        if panel + 1 == panels.len() {
            time_labels(out, story);
            put!(out, "</div><div class=\"ticks\"></div>\n");
        } else {
            put!(out, "</div><div class=\"gap\"></div>\n");
        }
    }
    put!(
        out,
        "<figcaption>From call to completion, logarithmic, by the time of the call. {}</figcaption>\n\
         <noscript><p class=\"noscript\">The script that draws single operations is off; \
         <a href=\"latency-raw.png\">latency-raw.png</a> beside this file shows them.</p></noscript>\n</figure>\n",
        if story.drawn.len() < story.operations.all.len() {
            format!(
                "Drawn: {} of {}.",
                count(story.drawn.len() as u64),
                counted(story.operations.all.len() as u64, "operation")
            )
        } else {
            String::new()
        }
    );
}

fn quantiles(out: &mut String, story: &Story) {
    let series = &story.series;
    let axis = Decades::holding(series.latency.iter().flatten().flatten().copied());
    put!(
        out,
        "<figure class=\"chart\" id=\"latency-quantiles\">\n<h3>Latency quantiles of ok operations</h3>\n"
    );
    let entries: Vec<(&str, &str)> = ["q0", "q1", "q2", "q3"].into_iter().zip(QUANTILE_NAMES).collect();
    legend(out, &entries, false);
    strips(out, story);
    put!(out, "<div class=\"plot\" data-plot>");
    frame(out, story, true, |out| {
        decade_grid(out, axis);
        for q in (0..QUANTILE_NAMES.len()).rev() {
            let points = series.latency.iter().enumerate().map(|(step, quantiles)| {
                quantiles.map(|quantiles| (place(story, series.middle(step)), axis.place(quantiles[q])))
            });
            put!(out, "<path class=\"s-q{q}\" d=\"{}\"/>", line(points));
        }
    });
    decade_labels(out, axis, true, true);
    time_labels(out, story);
    put!(
        out,
        "</div><div class=\"ticks\"></div>\n<figcaption>Over windows of {}, logarithmic, by the time of the call.\
         </figcaption>\n</figure>\n",
        duration(series.step)
    );
}

fn rates(out: &mut String, story: &Story) {
    let series = &story.series;
    let most = (0..3).flat_map(|o| series.rate(o)).fold(0.0, f64::max);
    let axis = Linear::holding(most, 1.0, 4);
    put!(out, "<figure class=\"chart\" id=\"rate\">\n<h3>Operations per second</h3>\n");
    let classes = [("ok", "ok"), ("fail", "fail"), ("info", "info (in doubt)")];
    legend(out, &classes, false);
    strips(out, story);
    put!(out, "<div class=\"plot\" data-plot>");
    frame(out, story, true, |out| {
        linear_grid(out, axis);
        for (outcome, (class, _)) in classes.iter().enumerate() {
            let points = series
                .rate(outcome)
                .enumerate()
                .map(|(step, rate)| Some((place(story, series.middle(step)), axis.place(rate))));
            put!(out, "<path class=\"s-{class}\" d=\"{}\"/>", line(points));
        }
    });
    linear_labels(out, axis);
    time_labels(out, story);
    put!(
        out,
        "</div><div class=\"ticks\"></div>\n<figcaption>Counted when they end, over windows of {}.\
         </figcaption>\n</figure>\n",
        duration(series.step)
    );
}

fn open(out: &mut String, story: &Story) {
    let series = &story.series;
    let most = series.open.iter().copied().max().unwrap_or(0);
    let axis = Linear::holding(f64::from(most), 4.0, 4);
    put!(out, "<figure class=\"chart\" id=\"open\">\n<h3>Operations waiting for an answer</h3>\n");
    strips(out, story);
    put!(out, "<div class=\"plot low\" data-plot>");
    frame(out, story, true, |out| {
        linear_grid(out, axis);
        let mut path = String::from("M0 100");
        for (step, &open) in series.open.iter().enumerate() {
            let until = place(story, series.bounds(step).1);
            put!(&mut path, "V{:.2}H{:.2}", 100.0 - 100.0 * axis.place(f64::from(open)), 1000.0 * until);
        }
        put!(out, "<path class=\"area\" d=\"{path}V100Z\"/>");
    });
    linear_labels(out, axis);
    time_labels(out, story);
    put!(
        out,
        "</div><div class=\"ticks\"></div>\n<figcaption>The most at once in each window of {}.\
         </figcaption>\n</figure>\n",
        duration(series.step)
    );
}

/// Shades, grid and curves in a frame of 1000 × 100 units, and the leaders over it.
fn frame(out: &mut String, story: &Story, is_first: bool, draw: impl FnOnce(&mut String)) {
    put!(out, "<svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    for shade in story.in_force() {
        let (from, until) = (1000.0 * place(story, shade.from), 1000.0 * place(story, shade.until));
        put!(
            out,
            "<rect class=\"band {}\" x=\"{from:.2}\" y=\"0\" width=\"{:.2}\" height=\"100\"/>",
            fault_class(&shade.fault),
            (until - from).max(0.6)
        );
    }
    draw(out);
    for leader in &story.leaders {
        let x = 1000.0 * place(story, leader.time);
        put!(out, "<line class=\"leader\" x1=\"{x:.2}\" x2=\"{x:.2}\" y1=\"0\" y2=\"100\"/>");
    }
    put!(out, "</svg>");
    if is_first {
        leader_names(out, story);
    }
}

/// One thin strip per kind of fault over the plot: where shades overlap, strips tell which they are.
fn strips(out: &mut String, story: &Story) {
    put!(out, "<div class=\"strips\" aria-hidden=\"true\">");
    for kind in story.fault_kinds().iter().take(STRIPS_MAX) {
        put!(out, "<div>");
        for shade in story.in_force().iter().filter(|shade| shade.fault == **kind) {
            let (from, until) = (place(story, shade.from), place(story, shade.until));
            let (left, width) = (100.0 * from, 100.0 * (until - from));
            put!(out, "<span class=\"{}\" ", fault_class(kind));
            put!(out, "style=\"left:{left:.2}%;width:{width:.2}%\"></span>");
        }
        put!(out, "</div>");
    }
    put!(out, "</div>\n");
}

/// More kinds of fault than this have no strip; their shades they have.
pub const STRIPS_MAX: usize = 5;

/// The leaders by name, as far as names have room.
fn leader_names(out: &mut String, story: &Story) {
    let mut free = (0.0, 0.0);
    for leader in &story.leaders {
        let x = place(story, leader.time);
        let text = match leader.term.is_empty() {
            true => leader.node.clone(),
            false => format!("{} · {}", leader.node, leader.term),
        };
        // On a wide screen a name takes about a twelfth of a plot, on a phone a quarter.
        if x < free.0 {
            continue;
        }
        let second = if x < free.1 { " second" } else { "" };
        let end = if x > 0.82 { " end" } else { "" };
        free.0 = x + 0.075;
        if second.is_empty() {
            free.1 = x + 0.25;
        }
        put!(
            out,
            "<span class=\"lead{second}{end}\" style=\"left:{:.2}%\">{}</span>",
            100.0 * x,
            esc(&crate::report::escape::shorten(&text, 18))
        );
    }
}

/// A curve through the points; where there is none, the curve is broken.
fn line(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut path = String::new();
    let mut is_down = false;
    for point in points {
        let Some((x, y)) = point else {
            is_down = false;
            continue;
        };
        put!(&mut path, "{}{:.2} {:.2}", if is_down { "L" } else { "M" }, 1000.0 * x, 100.0 - 100.0 * y);
        if !is_down {
            // A point without neighbours shows as a short dash.
            put!(&mut path, "h0.8");
        }
        is_down = true;
    }
    path
}

fn decade_grid(out: &mut String, axis: Decades) {
    for (nanos, _) in axis.ticks() {
        grid_line(out, axis.place(nanos));
    }
}

fn linear_grid(out: &mut String, axis: Linear) {
    axis.ticks().for_each(|value| grid_line(out, axis.place(value)));
}

fn grid_line(out: &mut String, place: f64) {
    let y = 100.0 - 100.0 * place;
    put!(out, "<line class=\"grid\" x1=\"0\" x2=\"1000\" y1=\"{y:.2}\" y2=\"{y:.2}\"/>");
}

/// Labels of decades; of many in a low plot only every other. The lowest stands only where no other plot
/// follows close below.
fn decade_labels(out: &mut String, axis: Decades, is_high: bool, is_last: bool) {
    let every = if is_high || axis.high - axis.low <= 5 { 1 } else { 2 };
    for (nanos, text) in axis.ticks().step_by(every).skip(usize::from(!is_last)) {
        put!(out, "<span class=\"y\" style=\"bottom:{:.2}%\">{text}</span>", 100.0 * axis.place(nanos));
    }
}

fn linear_labels(out: &mut String, axis: Linear) {
    for value in axis.ticks() {
        put!(
            out,
            "<span class=\"y\" style=\"bottom:{:.2}%\">{}</span>",
            100.0 * axis.place(value),
            plain(value)
        );
    }
}

/// The time axis: every other label gives way on a phone.
fn time_labels(out: &mut String, story: &Story) {
    let axis = time_axis(story);
    for (i, at) in axis.ticks().enumerate() {
        put!(
            out,
            "<span class=\"x{}{}\" style=\"left:{:.2}%\">{}</span>",
            if i % 2 == 1 { " second" } else { "" },
            if axis.place(at) > 0.97 { " end" } else { "" },
            100.0 * axis.place(at),
            time_label(at, axis.step)
        );
    }
}

/// The time axis of a story, in seconds.
pub fn time_axis(story: &Story) -> Linear {
    Linear::until(story.end as f64 / 1e9, 10)
}

/// A time on an axis with this step, both in seconds.
pub fn time_label(at: f64, step: f64) -> String {
    if at == 0.0 {
        return "0".to_owned();
    }
    let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    format!("{at:.decimals$} s")
}

fn place(story: &Story, nanos: u64) -> f64 {
    time_axis(story).place(nanos as f64 / 1e9)
}
