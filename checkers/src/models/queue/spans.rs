//! The order in which values came and were first, and whether the two agree.
//!
//! See [`super::fifo`] for the argument.

use crate::models::collection::{At, END, Life, Reason};

/// What one value forces: it was added after `add` and before `inside`, it was first before `first`, and it
/// was removed after `last`.
#[derive(Clone, Copy)]
pub struct Span {
    pub add: At,
    pub inside: At,
    pub first: At,
    pub last: At,
}

/// A value was first, certainly, from here to there.
#[derive(Clone, Copy)]
struct Zone {
    from: At,
    to: At,
    number: u32,
}

/// Spans, in the order of their `add`, that agree.
pub struct Order {
    pub spans: Vec<Span>,
    /// Of each span and those behind it, the least `first`.
    earliest: Vec<At>,
}

/// Two values (their numbers) between which no order is left.
pub enum Clash {
    /// Each was first after the other one had been.
    Together(u32, u32),
    /// The first came before the second, but was still there when the second was first.
    Overtaken { ahead: u32, behind: u32 },
}

impl Order {
    /// The order of these lives, if each was removed after its `last` (one a life).
    pub fn new(lives: &[Life], last: impl Fn(usize) -> At) -> Result<Order, Clash> {
        let spans = |(i, life): (usize, &Life)| Span {
            add: life.add_call,
            inside: life.inside(),
            first: life.first,
            last: last(i),
        };
        let mut spans: Vec<Span> = lives.iter().enumerate().map(spans).collect();
        let zones = zones(&spans)?;
        clip(&mut spans, &zones)?;
        let mut earliest = vec![END; spans.len()];
        let mut least = END;
        for (span, at) in spans.iter().zip(&mut earliest).rev() {
            least = least.min(span.first);
            *at = least;
        }
        let order = Order { spans, earliest };
        let overtaken = (0..order.spans.len()).find(|i| order.spans[*i].last > order.came_later(*i));
        match overtaken.and_then(|i| Some((i, order.came_later_by(i)?))) {
            None => Ok(order),
            Some((i, behind)) => Err(Clash::Overtaken { ahead: i as u32, behind: behind as u32 }),
        }
    }

    /// When the first of those that certainly came later was first: before that, this one was removed.
    pub fn came_later(&self, number: usize) -> At {
        self.earliest.get(self.later(number)).copied().unwrap_or(END)
    }

    /// Which one that is, if there is one.
    pub fn came_later_by(&self, number: usize) -> Option<usize> {
        let least = self.came_later(number);
        let later = self.later(number);
        self.spans[later..].iter().position(|span| span.first == least).map(|place| later + place)
    }

    /// The first of those that certainly came later.
    fn later(&self, number: usize) -> usize {
        let inside = self.spans[number].inside;
        // They are near: steps that double, then a binary search.
        let (mut low, mut step) = (number + 1, 1);
        while self.spans.get(low + step).is_some_and(|span| span.add <= inside) {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.spans.len());
        let low = low.min(high);
        low + self.spans[low..high].partition_point(|span| span.add <= inside)
    }
}

/// The zones of the values that were certainly first for a while, in their order.
fn zones(spans: &[Span]) -> Result<Vec<Zone>, Clash> {
    let zone = |(span, number): (&Span, u32)| {
        (span.first < span.last).then_some(Zone { from: span.first, to: span.last, number })
    };
    let mut zones: Vec<Zone> = spans.iter().zip(0..).filter_map(zone).collect();
    zones.sort_unstable_by_key(|zone| zone.from);
    match zones.windows(2).find(|pair| pair[1].from < pair[0].to) {
        Some(pair) => Err(Clash::Together(pair[0].number, pair[1].number)),
        None => Ok(zones),
    }
}

/// Values leave no room for others while they are first.
fn clip(spans: &mut [Span], zones: &[Zone]) -> Result<(), Clash> {
    if zones.is_empty() {
        return Ok(());
    }
    for (span, number) in spans.iter_mut().zip(0..).filter(|(span, _)| span.first > span.last) {
        if let Some(zone) = around(zones, span.last) {
            if span.first < zone.to {
                return Err(Clash::Together(zone.number, number));
            }
            span.last = zone.to;
        }
        if let Some(zone) = around(zones, span.first) {
            span.first = zone.from;
            span.inside = span.inside.min(zone.from);
        }
    }
    Ok(())
}

/// The zone around a position.
fn around(zones: &[Zone], at: At) -> Option<&Zone> {
    let before = zones.partition_point(|zone| zone.from < at);
    zones[..before].last().filter(|zone| zone.to > at)
}

impl Clash {
    /// The same in terms of operations, if every value was removed only after its life's `last`.
    pub fn reason(&self, lives: &[Life]) -> Reason {
        let zone = |life: &Life| [life.first_by, life.last_by];
        match *self {
            Clash::Together(one, other) => {
                let values = [one, other].map(|number| zone(&lives[number as usize]));
                Reason::Together { values, others: Vec::new() }
            }
            Clash::Overtaken { ahead, behind } => {
                let (ahead, behind) = (&lives[ahead as usize], &lives[behind as usize]);
                // Whoever was first for a while at these positions shifted them.
                let shifts = |at: At| {
                    let around = |life: &&Life| life.first < at && at < life.last;
                    lives.iter().find(around).map(zone)
                };
                let mut others = Vec::new();
                others.extend(shifts(ahead.last).into_iter().flatten());
                others.extend(shifts(behind.first).into_iter().flatten());
                if let Some(zone) = shifts(ahead.first) {
                    others.extend(zone.into_iter().chain([ahead.first_by]));
                }
                let (ahead, behind) =
                    ([ahead.inside_by(), ahead.last_by], [behind.added_by, behind.first_by]);
                Reason::Overtaken { ahead, behind, others }
            }
        }
    }
}

/// When each value must be gone because another one was first later than it was.
///
/// Values that were seen and not removed for certain have deadlines of this kind too.
pub struct Heads {
    /// `last` and `number`, in order.
    by_last: Vec<(At, u32)>,
    /// Of each of these and those behind it, the two least `first`, with their numbers.
    least: Vec<[(At, u32); 2]>,
}

impl Heads {
    pub fn new(spans: &[Span]) -> Heads {
        let mut by_last: Vec<(At, u32)> = spans.iter().zip(0..).map(|(span, i)| (span.last, i)).collect();
        by_last.sort_unstable();
        let mut two = [(END, u32::MAX); 2];
        let mut least = vec![two; by_last.len()];
        for ((_, number), at) in by_last.iter().zip(&mut least).rev() {
            let own = (spans[*number as usize].first, *number);
            match own {
                own if own < two[0] => two = [own, two[0]],
                own if own < two[1] => two[1] = own,
                _ => {}
            }
            *at = two;
        }
        Heads { by_last, least }
    }

    /// The first of another value that was certainly first, or removed, after this one was first.
    pub fn came_later(&self, spans: &[Span], number: u32) -> At {
        let first = spans[number as usize].first;
        let later = self.by_last.partition_point(|(last, _)| *last <= first);
        let least = self.least.get(later).into_iter().flatten().find(|(_, other)| *other != number);
        least.map_or(END, |(first, _)| *first)
    }
}
