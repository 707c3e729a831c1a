//! The pictures: the plots of a story as PNG, for places that show no page.
//!
//! Drawn by plotters' bitmap backend with the font of the crate `dejavu`, so that text is legible on a
//! machine without fonts. Everything is drawn at twice its size and then averaged down, which smooths
//! lines and text; see `canvas`.

mod anomaly;
mod canvas;
mod latency;
mod rate;
mod timeline;

pub use canvas::Picture;

use crate::report::story::Story;

/// The names of all pictures.
pub const NAMES: [&str; 5] =
    ["latency-raw.png", "latency-quantiles.png", "rate.png", "timeline.png", "anomaly.png"];

/// Draws the picture of this name. `None`: the story has nothing to show in it. An error says why not.
pub fn draw(story: &Story, name: &str) -> Result<Option<Picture>, String> {
    match name {
        "latency-raw.png" | "latency-quantiles.png" | "rate.png" if !story.timed => Ok(None),
        "latency-raw.png" => latency::raw(story).map(Some),
        "latency-quantiles.png" => latency::quantiles(story).map(Some),
        "rate.png" => rate::draw(story).map(Some),
        "timeline.png" => timeline::draw(story).map(Some),
        "anomaly.png" => anomaly::draw(story),
        other => Err(format!("no picture is called {other}")),
    }
}
