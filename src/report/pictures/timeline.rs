//! The whole trial at a glance: one lane per slot, every operation a mark.

use super::canvas::{
    Align, Area, Brush, Canvas, Entry, Face, HEIGHT, Mark, Picture, WHOLE, WIDTH, colour, entry, leaders,
    legend, place, shade_entries, shades, strips, time_ticks, title,
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
        strips(brush, story, area)?;
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

/// One mark every half pixel of a lane: in doubt if any operation there is, else fail or ok, whichever is
/// more.
fn marks(brush: &mut Brush<'_>, story: &Story, area: Area, pitch: f64) -> Result<(), String> {
    let inset = if pitch > 8.0 { 2.0 } else { pitch * 0.15 };
    let columns = (area.right - area.left) as usize * 2;
    let mut counts = vec![[0u32; 4]; columns * story.operations.lanes as usize];
    for op in &story.operations.all {
        let column = |time: u64| (place(story, time) * columns as f64) as usize;
        let from = column(op.called).min(columns - 1);
        let until = column(op.ended.unwrap_or(story.end)).clamp(from, columns - 1);
        for cell in &mut counts[op.lane as usize * columns..][from..=until] {
            cell[op.outcome as usize] += 1;
        }
    }
    for (lane, cells) in counts.chunks(columns).enumerate() {
        let y = area.top + lane as f64 * pitch;
        let x = |column: usize| area.left + column as f64 / 2.0;
        let mut from = 0;
        for run in cells.chunk_by(|a, b| mark(a) == mark(b)) {
            if let Some(outcome) = mark(&run[0]) {
                let (left, right) = (x(from), x(from + run.len()));
                let colour = colour::OUTCOMES[outcome];
                brush.fill((left, y + inset), (right, y + pitch - inset), colour, 0.8)?;
            }
            from += run.len();
        }
    }
    Ok(())
}

/// Which outcome stands for all in one place.
fn mark([ok, fail, info, open]: &[u32; 4]) -> Option<usize> {
    match (open, info, fail, ok) {
        (1.., _, _, _) => Some(3),
        (_, 1.., _, _) => Some(2),
        (_, _, 1.., _) => Some(usize::from(fail >= ok)),
        (_, _, _, 1..) => Some(0),
        _ => None,
    }
}

/// Where to look: a mark at each guilty operation.
fn guilty(brush: &mut Brush<'_>, story: &Story, area: Area, pitch: f64) -> Result<(), String> {
    let guilty = story.operations.all.iter().filter(|op| op.role == Role::Guilty);
    for (number, op) in guilty.enumerate() {
        let x = area.x(place(story, op.called));
        let y = area.top + f64::from(op.lane) * pitch;
        brush.polygon(&[(x, y + 1.0), (x - 8.0, y - 12.0), (x + 8.0, y - 12.0)], colour::GUILTY)?;
        if number == 0 {
            let is_right = x > area.right - 70.0;
            let (anchor, align) = if is_right { (-12.0, Align::End) } else { (12.0, Align::Start) };
            brush.label((x + anchor, y - 7.0), "guilty", colour::GUILTY, align)?;
        }
    }
    Ok(())
}
