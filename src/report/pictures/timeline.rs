//! The whole trial at a glance: one lane per slot, every operation a mark.

use super::canvas::{
    Align, Area, Brush, Canvas, Entry, Face, HEIGHT, Mark, Picture, WHOLE, WIDTH, colour, entry, leaders,
    legend, place, shade_entries, shades, time_ticks, title,
};
use crate::report::operations::Role;
use crate::report::story::Story;

/// The timeline.
pub fn draw(story: &Story) -> Result<Picture, String> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT)?;
    let lanes = story.operations.lanes.max(1);
    let area = Area { left: 104.0, ..WHOLE };
    canvas.paint(|brush| {
        title(brush, story, "Timeline: one lane per slot")?;
        let mut entries: Vec<Entry> = ["ok", "fail", "info", "never ended"]
            .into_iter()
            .zip(colour::OUTCOMES)
            .map(|(name, colour)| entry(Mark::Patch, colour, name))
            .collect();
        entries.extend(shade_entries(story));
        legend(brush, 62.0, &entries)?;
        shades(brush, story, area)?;
        let pitch = (area.bottom - area.top) / f64::from(lanes);
        marks(brush, story, area, pitch)?;
        let every = (15.0 / pitch).ceil().max(1.0) as usize;
        for lane in (0..story.operations.lanes).step_by(every) {
            let name = crate::report::escape::shorten(&story.lane_name(lane), 12);
            let y = area.top + (f64::from(lane) + 0.5) * pitch;
            brush.text((area.left - 8.0, y), &name, 12.0, Face::Mono, colour::SOFT, Align::End)?;
        }
        leaders(brush, story, area, false)?;
        guilty(brush, story, area, pitch)?;
        time_ticks(brush, story, area, true)
    })?;
    Ok(canvas.finish())
}

/// What share of a pixel's time each outcome took: many short operations darken it, as they should.
fn marks(brush: &mut Brush<'_>, story: &Story, area: Area, pitch: f64) -> Result<(), String> {
    let inset = if pitch > 8.0 { 2.0 } else { pitch * 0.15 };
    let columns = (area.right - area.left) as usize * 2;
    let lanes = story.operations.lanes as usize;
    // The worst outcome of each half pixel of each lane; zero is nothing.
    let mut worst = vec![0u8; columns * lanes];
    for op in &story.operations.all {
        let share = |time: u64| (place(story, time) * columns as f64) as usize;
        let from = share(op.called).min(columns - 1);
        let until = share(op.ended.unwrap_or(story.end)).clamp(from, columns - 1);
        for cell in &mut worst[op.lane as usize * columns..][from..=until] {
            *cell = (*cell).max(op.outcome as u8 + 1);
        }
    }
    for lane in 0..lanes {
        let y = area.top + lane as f64 * pitch;
        let cells = &worst[lane * columns..][..columns];
        let mut from = 0;
        while from < columns {
            let until = from + cells[from..].iter().take_while(|&&cell| cell == cells[from]).count();
            if cells[from] > 0 {
                let colour = colour::OUTCOMES[usize::from(cells[from] - 1)];
                let x = |column: usize| area.left + column as f64 / 2.0;
                brush.fill((x(from), y + inset), (x(until), y + pitch - inset), colour, 0.8)?;
            }
            from = until;
        }
    }
    Ok(())
}

/// Where to look: a mark at each guilty operation.
fn guilty(brush: &mut Brush<'_>, story: &Story, area: Area, pitch: f64) -> Result<(), String> {
    for op in story.operations.all.iter().filter(|op| op.role == Role::Guilty) {
        let x = area.x(place(story, op.called));
        let y = area.top + f64::from(op.lane) * pitch;
        brush.polygon(&[(x, y + 1.0), (x - 8.0, y - 12.0), (x + 8.0, y - 12.0)], colour::GUILTY)?;
        let (anchor, align) = if x > area.right - 70.0 { (-12.0, Align::End) } else { (12.0, Align::Start) };
        let back = super::canvas::width_of("guilty", 13.0) + 6.0;
        let left = if align == Align::End { x + anchor - back } else { x + anchor - 3.0 };
        brush.fill((left, y - 15.0), (left + back, y + 1.0), plotters::style::WHITE, 0.85)?;
        brush.text((x + anchor, y - 7.0), "guilty", 13.0, Face::Bold, colour::GUILTY, align)?;
    }
    Ok(())
}
