//! A story as a Lamport diagram: a lane for each node and client, time downwards, letters as arrows, and beside each
//! step its sentence. The same as plain text.

use super::tale::{Mark, Step, Tale};
use crate::report::escape::esc;
use std::fmt::Write as _;

/// Pixels between two lanes.
const LANE: usize = 92;
/// Pixels between two steps.
const ROW: usize = 26;
/// Pixels above the first step.
const HEAD: usize = 64;
/// Pixels left of the first lane.
const LEFT: usize = 50;
/// Pixels that a character of a sentence takes.
const CHARACTER: usize = 7;

/// The story as SVG: one file, nothing fetched.
pub fn svg(tale: &Tale) -> String {
    let words = LEFT + tale.lanes.len().max(1) * LANE;
    let longest =
        tale.steps.iter().filter_map(|step| step.text.as_ref()).map(|text| text.chars().count()).max();
    let width = words + 90 + longest.unwrap_or(0).max(40) * CHARACTER;
    let height = HEAD + (tale.steps.len() + 1) * ROW;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#52606d\"/></marker></defs>",
        esc(&tale.moral)
    );
    for (lane, name) in tale.lanes.iter().enumerate() {
        let (x, end) = (x(lane), height - ROW / 2);
        let (who, of) = name.split_once(" of ").unwrap_or((name, ""));
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"24\" text-anchor=\"middle\" font-weight=\"600\">{}</text>\n\
             <text x=\"{x}\" y=\"40\" text-anchor=\"middle\" fill=\"#52606d\">{}</text>\n\
             <line x1=\"{x}\" y1=\"48\" x2=\"{x}\" y2=\"{end}\" stroke=\"#cbd2d9\" stroke-width=\"2\"/>",
            esc(who),
            esc(of)
        );
    }
    for &(from, to) in &tale.arrows {
        let (a, b) = (&tale.steps[from], &tale.steps[to]);
        let _ = writeln!(
            out,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#52606d\" marker-end=\"url(#tip)\"/>",
            x(a.lane),
            y(from),
            x(b.lane),
            y(to)
        );
    }
    for (row, step) in tale.steps.iter().enumerate() {
        draw(&mut out, row, step, words);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, row: usize, step: &Step, words: usize) {
    let (x, y) = (x(step.lane), y(row));
    let (radius, fill) = match step.mark {
        Mark::Plain => (4, "#3e4c59"),
        Mark::Leads => (6, "#0b7a4b"),
        Mark::Struck => (6, "#b7791f"),
        Mark::Client => (5, "#2b6cb0"),
        Mark::Guilty => (8, "#c81e1e"),
    };
    let _ = writeln!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>");
    let Some(text) = &step.text else { return };
    let weight = if step.mark == Mark::Guilty { " font-weight=\"700\"" } else { "" };
    let _ = writeln!(
        out,
        "<text x=\"{words}\" y=\"{}\" fill=\"#7b8794\">{}</text><text x=\"{}\" y=\"{}\"{weight}>{}</text>",
        y + 4,
        step.at,
        words + 70,
        y + 4,
        esc(text)
    );
}

fn x(lane: usize) -> usize {
    LEFT + lane * LANE
}

fn y(row: usize) -> usize {
    HEAD + row * ROW + ROW / 2
}

/// The story as lines of text.
pub fn text(tale: &Tale) -> String {
    let mut out = format!("{}\n\n", tale.moral);
    if tale.left_out > 0 {
        let _ = writeln!(out, "({} steps between these are left out)", tale.left_out);
    }
    let mut number = 0;
    for step in &tale.steps {
        let Some(text) = &step.text else { continue };
        number += 1;
        let mark = if step.mark == Mark::Guilty { "  <-- contradicts" } else { "" };
        let _ = writeln!(out, "{number:>3}. {:>9}  {text}{mark}", step.at.to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::time::Time;

    fn tale() -> Tale {
        let step = |lane, mark, text: Option<&str>| Step {
            at: Time(1_500_000_000),
            lane,
            mark,
            text: text.map(str::to_owned),
        };
        Tale {
            moral: "two <leaders>".into(),
            lanes: vec!["client 3 of n1".into(), "n1".into()],
            steps: vec![
                step(0, Mark::Client, None),
                step(1, Mark::Plain, Some("n1 takes \"x\" & goes on.")),
                step(1, Mark::Guilty, Some("n1 leads.")),
            ],
            arrows: vec![(0, 1)],
            left_out: 2,
        }
    }

    #[test]
    fn what_was_recorded_is_harmless_in_a_picture() {
        let svg = svg(&tale());
        assert!(!svg.contains("<leaders>") && svg.contains("&lt;leaders&gt;"), "{svg}");
        assert!(svg.contains("&quot;x&quot; &amp; goes on.") || svg.contains("&#34;x&#34; &amp; goes on."));
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches("marker-end").count(), 1);
    }

    #[test]
    fn a_text_has_a_line_for_each_sentence_and_points_at_the_guilty() {
        let text = text(&tale());
        assert!(text.contains("  1.    1.500s  n1 takes"), "{text}");
        assert!(text.contains("  2.    1.500s  n1 leads.  <-- contradicts"), "{text}");
        assert!(text.contains("2 steps between"));
    }
}
