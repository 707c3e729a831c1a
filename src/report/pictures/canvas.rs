//! A canvas in pixels, and what all plots share: frame, axes, shades, legends.

use crate::report::page::charts::{STRIPS_MAX, time_axis, time_label};
use crate::report::scale::{Decades, Linear, plain};
use crate::report::story::Story;
use plotters::backend::DrawingBackend;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};
use std::path::Path;
use std::sync::OnceLock;

/// A finished picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Three bytes a pixel, row by row.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Writes it as PNG.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut file = BitMapBackend::new(path, (self.width, self.height));
        file.blit_bitmap((0, 0), (self.width, self.height), &self.rgb).map_err(|e| e.to_string())?;
        file.present().map_err(|e| e.to_string())
    }
}

/// Colours of the pictures: those of the page in its light scheme.
pub mod colour {
    use plotters::style::RGBColor;

    /// Text and marks.
    pub const INK: RGBColor = RGBColor(0x1d, 0x21, 0x25);
    /// Less important text.
    pub const SOFT: RGBColor = RGBColor(0x5a, 0x62, 0x6b);
    /// Axes.
    pub const LINE: RGBColor = RGBColor(0xb9, 0xb6, 0xad);
    /// Lines of the grid.
    pub const GRID: RGBColor = RGBColor(0xe4, 0xe1, 0xd9);
    /// Outcomes: ok, fail, info, open.
    pub const OUTCOMES: [RGBColor; 4] = [
        RGBColor(0x2f, 0x74, 0xbd),
        RGBColor(0xa8, 0x33, 0x7f),
        RGBColor(0xc0, 0x6f, 0x00),
        RGBColor(0x6b, 0x74, 0x80),
    ];
    /// Quantiles: median, 95 %, 99 %, slowest.
    pub const QUANTILES: [RGBColor; 4] = [
        RGBColor(0x43, 0x38, 0xa8),
        RGBColor(0x0d, 0x85, 0x85),
        RGBColor(0x68, 0x87, 0x00),
        RGBColor(0x96, 0x48, 0x2a),
    ];
    /// The guilty operation.
    pub const GUILTY: RGBColor = RGBColor(0xc4, 0x12, 0x1d);

    /// The shade of a kind of fault.
    pub fn of_fault(kind: &str) -> RGBColor {
        match kind {
            "partition" => RGBColor(0xe9, 0xdc, 0xa0),
            "kill" => RGBColor(0xe9, 0xa4, 0xa0),
            "pause" => RGBColor(0xa0, 0xb1, 0xe9),
            "clock" => RGBColor(0xa0, 0xe9, 0xe3),
            _ => RGBColor(0xd3, 0xc5, 0xe6),
        }
    }
}

/// How much larger everything is drawn than it is shown.
const SCALE: i32 = 2;

/// Where text stands on its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Right of it.
    Start,
    /// Around it.
    Middle,
    /// Left of it.
    End,
}

/// A canvas under construction; all coordinates are pixels of the finished picture.
pub struct Canvas {
    width: u32,
    height: u32,
    large: Vec<u8>,
}

/// A sans-serif and a monospaced face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// For labels.
    Sans,
    /// For operations.
    Mono,
    /// For titles.
    Bold,
}

impl Canvas {
    /// A white canvas.
    pub fn new(width: u32, height: u32) -> Result<Canvas, String> {
        fonts()?;
        let pixels = (width * height) as usize * 3 * (SCALE * SCALE) as usize;
        Ok(Canvas { width, height, large: vec![0xff; pixels] })
    }

    /// Draws on it. One backend serves a whole series of marks.
    pub fn paint(&mut self, marks: impl FnOnce(&mut Brush<'_>) -> Result<(), String>) -> Result<(), String> {
        let size = (self.width * SCALE as u32, self.height * SCALE as u32);
        let mut brush = Brush { backend: BitMapBackend::with_buffer(&mut self.large, size) };
        marks(&mut brush)
    }

    /// The finished picture.
    pub fn finish(self) -> Picture {
        let (width, height, n) = (self.width as usize, self.height as usize, SCALE as usize);
        let mut rgb = vec![0u8; width * height * 3];
        for y in 0..height {
            for x in 0..width {
                for channel in 0..3 {
                    let mut sum = 0usize;
                    for dy in 0..n {
                        for dx in 0..n {
                            let at = ((y * n + dy) * width * n + x * n + dx) * 3 + channel;
                            sum += usize::from(self.large[at]);
                        }
                    }
                    rgb[(y * width + x) * 3 + channel] = (sum / (n * n)) as u8;
                }
            }
        }
        Picture { width: self.width, height: self.height, rgb }
    }
}

/// Draws marks in pixels of the finished picture.
pub struct Brush<'a> {
    backend: BitMapBackend<'a>,
}

fn large(at: (f64, f64)) -> (i32, i32) {
    let scale = f64::from(SCALE);
    ((at.0 * scale).round() as i32, (at.1 * scale).round() as i32)
}

impl Brush<'_> {
    /// A filled rectangle; `strength` from 0 to 1 is its opacity.
    pub fn fill(
        &mut self,
        from: (f64, f64),
        until: (f64, f64),
        colour: RGBColor,
        strength: f64,
    ) -> Result<(), String> {
        let (x0, y0) = large(from);
        let (x1, y1) = large(until);
        // The backend leaves the last row and column out; a mark is never thinner than one of its pixels.
        let until = (x1.max(x0 + 1), y1.max(y0 + 1));
        self.backend.draw_rect((x0, y0), until, &colour.mix(strength), true).map_err(text)
    }

    /// The border of a rectangle.
    pub fn frame(
        &mut self,
        from: (f64, f64),
        until: (f64, f64),
        colour: RGBColor,
        width: f64,
    ) -> Result<(), String> {
        let corners = [from, (until.0, from.1), until, (from.0, until.1), from];
        self.path(&corners, colour, width)
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], colour: RGBColor, width: f64) -> Result<(), String> {
        let style = ShapeStyle {
            color: colour.to_rgba(),
            filled: false,
            stroke_width: (width * f64::from(SCALE)).round() as u32,
        };
        self.backend.draw_path(points.iter().copied().map(large), &style).map_err(text)
    }

    /// A straight line of the same width at every slope, which the backend's own lines are not.
    pub fn stroke(
        &mut self,
        from: (f64, f64),
        until: (f64, f64),
        colour: RGBColor,
        width: f64,
    ) -> Result<(), String> {
        let (dx, dy) = (until.0 - from.0, until.1 - from.1);
        let length = dx.hypot(dy);
        if length < 0.01 {
            return Ok(());
        }
        let (nx, ny) = (-dy / length * width / 2.0, dx / length * width / 2.0);
        // A little longer at both ends, so that no corner is open.
        let (ex, ey) = (dx / length * width / 3.0, dy / length * width / 3.0);
        let (x0, y0, x1, y1) = (from.0 - ex, from.1 - ey, until.0 + ex, until.1 + ey);
        let corners = [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)];
        self.polygon(&corners, colour)
    }

    /// A dashed straight line.
    pub fn dashes(
        &mut self,
        from: (f64, f64),
        until: (f64, f64),
        colour: RGBColor,
        width: f64,
    ) -> Result<(), String> {
        let (dx, dy) = (until.0 - from.0, until.1 - from.1);
        let length = dx.hypot(dy);
        let mut at = 0.0;
        while at < length {
            let point = |at: f64| (from.0 + dx * at / length, from.1 + dy * at / length);
            self.path(&[point(at), point((at + 5.0).min(length))], colour, width)?;
            at += 9.0;
        }
        Ok(())
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: &[(f64, f64)], colour: RGBColor) -> Result<(), String> {
        self.backend.fill_polygon(points.iter().copied().map(large), &colour).map_err(text)
    }

    /// A filled disc.
    pub fn disc(&mut self, centre: (f64, f64), radius: f64, colour: RGBColor) -> Result<(), String> {
        let radius = (radius * f64::from(SCALE)).round() as u32;
        self.backend.draw_circle(large(centre), radius, &colour, true).map_err(text)
    }

    /// Text, its middle at this height.
    pub fn text(
        &mut self,
        at: (f64, f64),
        words: &str,
        size: f64,
        face: Face,
        colour: RGBColor,
        align: Align,
    ) -> Result<(), String> {
        let horizontal = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let name = match face {
            Face::Sans => SANS,
            Face::Mono => MONO,
            Face::Bold => BOLD,
        };
        let style = TextStyle::from((name, size * f64::from(SCALE)).into_font())
            .color(&colour)
            .pos(Pos::new(horizontal, VPos::Center));
        self.backend.draw_text(words, &style, large(at)).map_err(text)
    }
}

impl Brush<'_> {
    /// Bold text on a white ground, readable over marks.
    pub fn label(
        &mut self,
        at: (f64, f64),
        words: &str,
        colour: RGBColor,
        align: Align,
    ) -> Result<(), String> {
        const SIZE: f64 = 13.0;
        let width = width_of(words, SIZE) * 1.1 + 6.0;
        let left = if align == Align::End { at.0 - width + 3.0 } else { at.0 - 3.0 };
        self.fill((left, at.1 - 8.0), (left + width, at.1 + 8.0), WHITE, 0.85)?;
        self.text(at, words, SIZE, Face::Bold, colour, align)
    }
}

/// How wide text will be, in pixels of the finished picture.
pub fn width_of(words: &str, size: f64) -> f64 {
    let font = (SANS, size * f64::from(SCALE)).into_font();
    // Without a measure, what DejaVu Sans takes on average.
    font.box_size(words)
        .map_or(words.chars().count() as f64 * size * 0.6, |(w, _)| f64::from(w) / f64::from(SCALE))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const SANS: &str = "elenchus-sans";
const MONO: &str = "elenchus-mono";
const BOLD: &str = "elenchus-bold";

/// Registers the fonts, once a process.
fn fonts() -> Result<(), String> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let faces = [
            (SANS, dejavu::sans::regular()),
            (MONO, dejavu::sans_mono::regular()),
            (BOLD, dejavu::sans::bold()),
        ];
        faces.into_iter().all(|(name, bytes)| register_font(name, FontStyle::Normal, bytes).is_ok())
    });
    if *done { Ok(()) } else { Err("the built-in font cannot be read".to_owned()) }
}

/// The area of a plot: between its axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The left edge.
    pub left: f64,
    /// The top edge.
    pub top: f64,
    /// The right edge.
    pub right: f64,
    /// The bottom edge.
    pub bottom: f64,
}

impl Area {
    /// Where a share of the width lies.
    pub fn x(&self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    /// Where a share of the height lies, from the bottom.
    pub fn y(&self, share: f64) -> f64 {
        self.bottom - share * (self.bottom - self.top)
    }
}

/// Width of the plots.
pub const WIDTH: u32 = 1200;
/// Height of the plots.
pub const HEIGHT: u32 = 600;
/// The area of a plot that has the picture for itself.
pub const WHOLE: Area = Area { left: 92.0, top: 98.0, right: 1172.0, bottom: 536.0 };

/// Where a time of the story stands, from 0 to 1.
pub fn place(story: &Story, nanos: u64) -> f64 {
    time_axis(story).place(nanos as f64 / 1e9)
}

/// Title, and the trial that it is of.
pub fn title(brush: &mut Brush<'_>, story: &Story, words: &str) -> Result<(), String> {
    brush.text((24.0, 26.0), words, 20.0, Face::Bold, colour::INK, Align::Start)?;
    let of = crate::report::escape::shorten(&story.name, 60);
    brush.text((f64::from(WIDTH) - 28.0, 26.0), &of, 14.0, Face::Sans, colour::SOFT, Align::End)
}

/// One entry of a legend.
pub struct Entry {
    /// Its colour.
    pub colour: RGBColor,
    /// Its name.
    pub name: String,
    /// How it is marked.
    pub mark: Mark,
}

/// How an entry of a legend is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A dot.
    Dot,
    /// A line.
    Line,
    /// A patch.
    Patch,
    /// A dashed line.
    Dashes,
}

/// An entry of a legend.
pub fn entry(mark: Mark, colour: RGBColor, name: impl Into<String>) -> Entry {
    Entry { colour, name: name.into(), mark }
}

/// Entries for the faults and leaders of a story.
pub fn shade_entries(story: &Story) -> Vec<Entry> {
    let mut entries: Vec<Entry> = story
        .fault_kinds()
        .into_iter()
        .map(|kind| entry(Mark::Patch, colour::of_fault(kind), kind))
        .collect();
    if !story.leaders.is_empty() {
        entries.push(entry(Mark::Dashes, colour::SOFT, "leader seen"));
    }
    entries
}

/// A legend from left to right.
pub fn legend(brush: &mut Brush<'_>, y: f64, entries: &[Entry]) -> Result<(), String> {
    let mut x = 24.0;
    for entry in entries {
        match entry.mark {
            Mark::Dot => brush.disc((x + 8.0, y), 4.5, entry.colour)?,
            Mark::Line => brush.fill((x, y - 1.5), (x + 18.0, y + 1.5), entry.colour, 1.0)?,
            Mark::Patch => brush.fill((x, y - 6.0), (x + 18.0, y + 6.0), entry.colour, 1.0)?,
            Mark::Dashes => brush.dashes((x + 9.0, y - 8.0), (x + 9.0, y + 8.0), entry.colour, 1.0)?,
        }
        let name = crate::report::escape::shorten(&entry.name, 28);
        brush.text((x + 25.0, y), &name, 14.0, Face::Sans, colour::INK, Align::Start)?;
        x += 25.0 + width_of(&name, 14.0) + 24.0;
    }
    Ok(())
}

/// Shades of the faults in force and lines of the leaders.
pub fn shades(brush: &mut Brush<'_>, story: &Story, area: Area) -> Result<(), String> {
    for shade in story.in_force() {
        let from = area.x(place(story, shade.from));
        let until = area.x(place(story, shade.until)).max(from + 1.0);
        brush.fill((from, area.top), (until, area.bottom), colour::of_fault(&shade.fault), 0.45)?;
    }
    Ok(())
}

/// One thin strip per kind of fault over the plot: where shades overlap, strips tell which they are.
pub fn strips(brush: &mut Brush<'_>, story: &Story, area: Area) -> Result<(), String> {
    for (row, kind) in story.fault_kinds().iter().take(STRIPS_MAX).enumerate() {
        let y = area.top - 4.0 - 4.0 * row as f64;
        for shade in story.in_force().iter().filter(|shade| shade.fault == **kind) {
            let from = area.x(place(story, shade.from));
            let until = area.x(place(story, shade.until)).max(from + 1.0);
            brush.fill((from, y), (until, y + 3.0), colour::of_fault(kind), 1.0)?;
        }
    }
    Ok(())
}

/// Lines of the leaders, by name where names have room.
pub fn leaders(brush: &mut Brush<'_>, story: &Story, area: Area, named: bool) -> Result<(), String> {
    let mut free = f64::MIN;
    for leader in &story.leaders {
        let x = area.x(place(story, leader.time));
        brush.dashes((x, area.top), (x, area.bottom), colour::SOFT, 1.0)?;
        let text = crate::report::escape::shorten(&format!("{} · {}", leader.node, leader.term), 16);
        let width = width_of(&text, 12.0) + 10.0;
        if named && x > free && x + width < area.right {
            brush.text((x + 4.0, area.top + 9.0), &text, 12.0, Face::Sans, colour::INK, Align::Start)?;
            free = x + width;
        }
    }
    Ok(())
}

/// The axes' lines, and the time axis with its unit.
pub fn time_ticks(brush: &mut Brush<'_>, story: &Story, area: Area, labelled: bool) -> Result<(), String> {
    brush.path(
        &[(area.left, area.top), (area.left, area.bottom), (area.right, area.bottom)],
        colour::LINE,
        1.0,
    )?;
    if !labelled {
        return Ok(());
    }
    let axis = time_axis(story);
    for at in axis.ticks() {
        let x = area.x(axis.place(at));
        brush.path(&[(x, area.bottom), (x, area.bottom + 5.0)], colour::LINE, 1.0)?;
        brush.text(
            (x, area.bottom + 16.0),
            &time_label(at, axis.step),
            13.0,
            Face::Sans,
            colour::SOFT,
            Align::Middle,
        )?;
    }
    let middle = (area.left + area.right) / 2.0;
    brush.text(
        (middle, area.bottom + 40.0),
        "time since the trial began",
        13.0,
        Face::Sans,
        colour::SOFT,
        Align::Middle,
    )
}

/// A logarithmic axis of durations on the left. Its lowest label stands only where no other plot follows
/// close below.
pub fn decade_ticks(brush: &mut Brush<'_>, area: Area, axis: Decades, is_last: bool) -> Result<(), String> {
    let room = (area.bottom - area.top) / f64::from(axis.high - axis.low);
    let every = (18.0 / room).ceil().max(1.0) as usize;
    for (i, (nanos, text)) in axis.ticks().enumerate() {
        let y = area.y(axis.place(nanos));
        brush.fill((area.left, y), (area.right, y + 0.5), colour::GRID, 1.0)?;
        if i.is_multiple_of(every) && (i > 0 || is_last) {
            brush.text((area.left - 8.0, y), &text, 13.0, Face::Sans, colour::SOFT, Align::End)?;
        }
    }
    Ok(())
}

/// A linear axis on the left.
pub fn linear_ticks(brush: &mut Brush<'_>, area: Area, axis: Linear, unit: &str) -> Result<(), String> {
    for value in axis.ticks() {
        let y = area.y(axis.place(value));
        brush.fill((area.left, y), (area.right, y + 0.5), colour::GRID, 1.0)?;
        brush.text(
            (area.left - 8.0, y),
            &format!("{}{unit}", plain(value)),
            13.0,
            Face::Sans,
            colour::SOFT,
            Align::End,
        )?;
    }
    Ok(())
}

/// Lines through points, broken where there is none.
pub fn curve(brush: &mut Brush<'_>, points: &[Option<(f64, f64)>], colour: RGBColor) -> Result<(), String> {
    const WIDTH: f64 = 1.7;
    for run in points.split(Option::is_none) {
        let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
        if let [alone] = run.as_slice() {
            brush.disc(*alone, 2.0, colour)?;
        }
        for pair in run.windows(2) {
            brush.stroke(pair[0], pair[1], colour, WIDTH)?;
        }
    }
    Ok(())
}
