//! Operations per second over time, by outcome.

use super::canvas::{
    Canvas, Entry, HEIGHT, Mark, Picture, WHOLE, WIDTH, colour, curve, entry, leaders, legend, linear_ticks,
    place, shade_entries, shades, strips, time_ticks, title,
};
use crate::report::scale::Linear;
use crate::report::story::Story;

/// The rates.
pub fn draw(story: &Story) -> Result<Picture, String> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT)?;
    let series = &story.series;
    let most = (0..3).flat_map(|outcome| series.rate(outcome)).fold(0.0, f64::max);
    let axis = Linear::holding(most, 1.0, 5);
    canvas.paint(|brush| {
        title(brush, story, "Operations per second, when they ended")?;
        let mut entries: Vec<Entry> = ["ok", "fail", "info"]
            .into_iter()
            .zip(colour::OUTCOMES)
            .map(|(name, colour)| entry(Mark::Line, colour, name))
            .collect();
        entries.extend(shade_entries(story));
        legend(brush, 62.0, &entries)?;
        shades(brush, story, WHOLE)?;
        strips(brush, story, WHOLE)?;
        linear_ticks(brush, WHOLE, axis, "/s")?;
        for outcome in 0..3 {
            let points: Vec<_> = series
                .rate(outcome)
                .enumerate()
                .map(|(step, rate)| {
                    Some((WHOLE.x(place(story, series.middle(step))), WHOLE.y(axis.place(rate))))
                })
                .collect();
            curve(brush, &points, colour::OUTCOMES[outcome])?;
        }
        leaders(brush, story, WHOLE, true)?;
        time_ticks(brush, story, WHOLE, true)
    })?;
    Ok(canvas.finish())
}
