//! Latency: every operation, and quantiles over time.

use super::canvas::{
    Align, Area, Canvas, Entry, Face, HEIGHT, Mark, Picture, WHOLE, WIDTH, colour, curve, decade_ticks,
    entry, leaders, legend, place, shade_entries, shades, strips, time_ticks, title,
};
use crate::report::operations::{Outcome, Role};
use crate::report::page::charts::{latency_axis, panels};
use crate::report::scale::{Decades, count};
use crate::report::series::QUANTILE_NAMES;
use crate::report::story::Story;

/// Each operation as a point, a panel per function.
pub fn raw(story: &Story) -> Result<Picture, String> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT)?;
    let axis = latency_axis(story);
    let panels = panels(story);
    canvas.paint(|brush| {
        let (drawn, all) = (story.drawn.len() as u64, story.operations.all.len() as u64);
        let words = if drawn < all {
            format!("Latency of operations: {} of {} drawn", count(drawn), count(all))
        } else {
            "Latency of each operation".to_owned()
        };
        title(brush, story, &words)?;
        let mut entries: Vec<Entry> = ["ok", "fail", "info"]
            .into_iter()
            .zip(colour::OUTCOMES)
            .map(|(name, colour)| entry(Mark::Dot, colour, name))
            .collect();
        entries.extend(shade_entries(story));
        legend(brush, 62.0, &entries)?;
        let count = panels.len().max(1);
        let height = (WHOLE.bottom - WHOLE.top + 12.0) / count as f64;
        for number in 0..count {
            let top = WHOLE.top + number as f64 * height;
            let area = Area { top, bottom: top + height - 12.0, ..WHOLE };
            shades(brush, story, area)?;
            if number == 0 {
                strips(brush, story, area)?;
            }
            decade_ticks(brush, area, axis, number + 1 == count)?;
            if let Some((name, functions)) = panels.get(number) {
                points(brush, story, area, axis, functions)?;
                let name = crate::report::escape::shorten(name, 30);
                brush.text(
                    (area.right - 8.0, area.top + 12.0),
                    &name,
                    15.0,
                    Face::Bold,
                    colour::INK,
                    Align::End,
                )?;
            }
            leaders(brush, story, area, number == 0)?;
            time_ticks(brush, story, area, number + 1 == count)?;
        }
        Ok(())
    })?;
    Ok(canvas.finish())
}

/// Ok and fail lie in the order of time, so that neither hides the other; what is in doubt is on top.
fn points(
    brush: &mut super::canvas::Brush<'_>,
    story: &Story,
    area: Area,
    axis: Decades,
    functions: &[u16],
) -> Result<(), String> {
    let many = story.operations.all.len() > 20_000;
    let (size, strength) = if many { (1.0, 0.4) } else { (1.5, 0.65) };
    let at = |op: &crate::report::operations::Op| {
        op.took().map(|took| (area.x(place(story, op.called)), area.y(axis.place(took))))
    };
    for doubt in [false, true] {
        let strength = if doubt { 0.9 } else { strength };
        let of = story.drawn.iter().map(|&i| &story.operations.all[i as usize]);
        for op in of.filter(|op| (op.outcome >= Outcome::Info) == doubt && functions.contains(&op.f)) {
            let Some((x, y)) = at(op) else { continue };
            let colour = colour::OUTCOMES[op.outcome as usize];
            brush.fill((x - size, y - size), (x + size, y + size), colour, strength)?;
        }
    }
    let guilty = story.operations.all.iter().filter(|op| op.role == Role::Guilty);
    for (number, op) in guilty.filter(|op| functions.contains(&op.f)).enumerate() {
        let Some(centre) = at(op) else { continue };
        brush.disc(centre, 6.5, plotters::style::WHITE)?;
        brush.disc(centre, 5.0, colour::GUILTY)?;
        if number == 0 {
            brush.label((centre.0 + 11.0, centre.1 - 14.0), "guilty", colour::GUILTY, Align::Start)?;
        }
    }
    Ok(())
}

/// Median, 95 %, 99 % and slowest over time.
pub fn quantiles(story: &Story) -> Result<Picture, String> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT)?;
    let series = &story.series;
    let axis = Decades::holding(series.latency.iter().flatten().flatten().copied());
    canvas.paint(|brush| {
        title(brush, story, "Latency quantiles of ok operations")?;
        let mut entries: Vec<Entry> = QUANTILE_NAMES
            .into_iter()
            .zip(colour::QUANTILES)
            .map(|(name, colour)| entry(Mark::Line, colour, name))
            .collect();
        entries.extend(shade_entries(story));
        legend(brush, 62.0, &entries)?;
        shades(brush, story, WHOLE)?;
        strips(brush, story, WHOLE)?;
        decade_ticks(brush, WHOLE, axis, true)?;
        for q in (0..QUANTILE_NAMES.len()).rev() {
            let points: Vec<_> = series
                .latency
                .iter()
                .enumerate()
                .map(|(step, latency)| {
                    latency.map(|l| (WHOLE.x(place(story, series.middle(step))), WHOLE.y(axis.place(l[q]))))
                })
                .collect();
            curve(brush, &points, colour::QUANTILES[q])?;
        }
        leaders(brush, story, WHOLE, true)?;
        time_ticks(brush, story, WHOLE, true)
    })?;
    Ok(canvas.finish())
}
