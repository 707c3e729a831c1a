//! The first anomaly: its sentence, and the operations that prove it.

use super::canvas::{Align, Brush, Canvas, Entry, Face, Mark, Picture, colour, entry};
use crate::report::escape::shorten;
use crate::report::scene::{BAR_HEIGHT, Bar, Scene};
use crate::report::story::Story;
use plotters::style::RGBColor;

/// The picture; `None` if no anomaly has operations.
pub fn draw(story: &Story) -> Result<Option<Picture>, String> {
    let Some((told, scene)) =
        story.anomalies.iter().find_map(|told| told.scene.as_ref().map(|scene| (told, scene)))
    else {
        return Ok(None);
    };
    let scene = &scene.widened(1200.0 - 2.0 * MARGIN);
    let width = (scene.width + 2.0 * MARGIN).clamp(1200.0, WIDTH_MAX);
    let lines = wrap(&told.anomaly.sentence, ((width - 2.0 * MARGIN) / 9.2) as usize);
    let top = 56.0 + lines.len() as f64 * 22.0 + 34.0;
    let height = (top + scene.height + 34.0).max(420.0);
    let mut canvas = Canvas::new(width as u32, height as u32)?;
    canvas.paint(|brush| {
        let head = match &told.anomaly.key {
            Some(key) => format!("{}, key {}", told.anomaly.class, shorten(key, 24)),
            None => told.anomaly.class.clone(),
        };
        brush.text((MARGIN, 28.0), &shorten(&head, 70), 20.0, Face::Bold, colour::GUILTY, Align::Start)?;
        brush.text(
            (width - MARGIN, 28.0),
            &shorten(&story.name, 50),
            14.0,
            Face::Sans,
            colour::SOFT,
            Align::End,
        )?;
        for (i, line) in lines.iter().enumerate() {
            brush.text(
                (MARGIN, 60.0 + i as f64 * 22.0),
                line,
                16.0,
                Face::Sans,
                colour::INK,
                Align::Start,
            )?;
        }
        legend(brush, scene, top - 22.0)?;
        draw_scene(brush, scene, top)?;
        let note = "Order from left to right is the order of the log; distances are not to scale.";
        brush.text((MARGIN, top + scene.height + 10.0), note, 13.0, Face::Sans, colour::SOFT, Align::Start)
    })?;
    Ok(Some(canvas.finish()))
}

const MARGIN: f64 = 24.0;
const WIDTH_MAX: f64 = 4000.0;

fn legend(brush: &mut Brush<'_>, scene: &Scene, y: f64) -> Result<(), String> {
    let mut entries: Vec<Entry> = Vec::new();
    if scene.bars.iter().any(|bar| bar.guilty) {
        entries.push(entry(Mark::Patch, colour::GUILTY, "guilty"));
    }
    entries.push(entry(Mark::Patch, colour::OUTCOMES[0], "proof"));
    if scene.bars.iter().any(|bar| bar.in_doubt) {
        entries.push(entry(Mark::Patch, colour::OUTCOMES[2], "in doubt"));
    }
    if scene.bars.iter().any(|bar| !bar.evidence) {
        entries.push(entry(Mark::Patch, colour::OUTCOMES[3], "context"));
    }
    let mut kinds: Vec<&str> = Vec::new();
    for band in &scene.bands {
        if !kinds.contains(&band.fault.as_str()) {
            kinds.push(&band.fault);
            entries.push(entry(
                Mark::Patch,
                colour::of_fault(&band.fault),
                format!("{} in force", band.fault),
            ));
        }
    }
    super::canvas::legend(brush, y, &entries)
}

fn draw_scene(brush: &mut Brush<'_>, scene: &Scene, top: f64) -> Result<(), String> {
    let at = |x: f64, y: f64| (MARGIN + x, top + y);
    let floor = scene.floor();
    for band in &scene.bands {
        brush.fill(at(band.from, 4.0), at(band.until, floor), colour::of_fault(&band.fault), 0.45)?;
    }
    for tick in &scene.ticks {
        brush.path(&[at(tick.x, 22.0), at(tick.x, floor + 6.0)], colour::GRID, 1.0)?;
        brush.text(at(tick.x, floor + 16.0), &tick.text, 12.0, Face::Mono, colour::SOFT, Align::Start)?;
    }
    for lane in &scene.lanes {
        let middle = lane.y + BAR_HEIGHT / 2.0;
        brush.path(&[at(scene.left, middle), at(scene.width - 8.0, middle)], colour::GRID, 1.0)?;
        brush.text(at(2.0, middle), &lane.name, 12.0, Face::Mono, colour::SOFT, Align::Start)?;
    }
    if let Some(x) = scene.began {
        brush.dashes(at(x, 18.0), at(x, floor + 6.0), colour::GUILTY, 1.5)?;
        let (anchor, align) = if x > scene.width - 90.0 { (x, Align::End) } else { (x, Align::Start) };
        brush.text(at(anchor, 10.0), "guilty call", 12.0, Face::Sans, colour::GUILTY, align)?;
    }
    for bar in &scene.bars {
        let y = scene.lanes.get(bar.lane).map_or(0.0, |lane| lane.y);
        draw_bar(brush, bar, at(bar.from, y), at(bar.until, y + BAR_HEIGHT))?;
    }
    Ok(())
}

fn draw_bar(brush: &mut Brush<'_>, bar: &Bar, from: (f64, f64), until: (f64, f64)) -> Result<(), String> {
    let (edge, width) = match bar {
        Bar { guilty: true, .. } => (colour::GUILTY, 2.5),
        Bar { evidence: false, .. } => (colour::OUTCOMES[3], 1.0),
        Bar { in_doubt: true, .. } => (colour::OUTCOMES[2], 1.5),
        _ => (colour::OUTCOMES[0], 1.5),
    };
    let RGBColor(r, g, b) = edge;
    let pale = |c: u8| (f64::from(c) * 0.16 + 255.0 * 0.84) as u8;
    let fill = RGBColor(pale(r), pale(g), pale(b));
    if bar.in_doubt {
        let (neck, middle) = (until.0 - 12.0, (from.1 + until.1) / 2.0);
        let outline = [from, (neck, from.1), (until.0, middle), (neck, until.1), (from.0, until.1), from];
        brush.polygon(&outline[..5], fill)?;
        for side in outline.windows(2) {
            brush.dashes(side[0], side[1], edge, width)?;
        }
    } else {
        brush.fill(from, until, fill, 1.0)?;
        brush.frame(from, until, edge, width)?;
    }
    let middle = (from.1 + until.1) / 2.0;
    brush.text((from.0 + 7.0, middle), &bar.text, 12.0, Face::Mono, colour::INK, Align::Start)
}

/// Cuts text into lines of at most so many characters, at spaces; at most six lines.
fn wrap(text: &str, chars_max: usize) -> Vec<String> {
    const LINES_MAX: usize = 6;
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let word = shorten(word, chars_max.max(8));
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > chars_max {
            lines.push(word);
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        if let Some(last) = lines.last_mut() {
            last.push_str(" …");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn long_sentences_break_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("", 5), [""]);
        let many = wrap(&"word ".repeat(100), 10);
        assert_eq!(many.len(), 6);
        assert!(many[5].ends_with('…'));
    }
}
