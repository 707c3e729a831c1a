//! Who did what to which value: what a linearization is written down from.

use super::{At, Deed, END, Empty, Life, Lives, NOBODY, Removal};
use crate::linearizability::{NEVER, Task};
use crate::models::numbers::Numbers;
use elenchus_core::model::Model;
use elenchus_core::value::Value;

/// The operations on one value, by their numbers; [`NOBODY`] where there is none.
#[derive(Clone, Debug)]
pub struct Doers {
    pub adder: u32,
    pub remover: u32,
    /// Who saw it and left it, and where each was called, in order.
    pub watchers: Vec<(At, u32)>,
}

/// All operations of a history that are in its linearization.
pub struct Deeds {
    /// Of each life.
    pub doers: Vec<Doers>,
    /// Those that found nothing, each with the gap where it did so.
    pub empties: Vec<(At, u32)>,
    /// Those that changed nothing and say nothing, with the positions of their calls.
    pub idle: Vec<(At, u32)>,
}

impl Deeds {
    /// The operations of these tasks, which `lives` was gathered from with `deed`. `removals` are those of the loose
    /// values, in order; the collection is empty at these gaps.
    pub fn new<'h, M: Model>(
        lives: &Lives,
        tasks: &[Task<'h, M>],
        deed: impl Fn(&Task<'h, M>) -> Deed<'h>,
        initial: &'h [Value],
        (removals, gaps): (&[Removal], &[At]),
    ) -> Deeds {
        let doers =
            |life: &Life| Doers { adder: life.added_by, remover: life.removed_by, watchers: Vec::new() };
        let mut deeds = Deeds {
            doers: lives.lives.iter().map(doers).collect(),
            empties: lives.empties.iter().filter_map(|empty| Some((gap(empty, gaps)?, empty.id))).collect(),
            idle: Vec::new(),
        };
        // What each loose value waits for: a blind removal, or one that names it.
        let mut by_blind = vec![NOBODY; lives.blind.len()];
        let mut by_own = vec![END; lives.lives.len()];
        for (number, removal) in lives.loose().zip(removals) {
            match removal.blind {
                Some(blind) => by_blind[blind as usize] = number,
                None if removal.at != END => by_own[number as usize] = lives.lives[number as usize].own,
                None => {}
            }
        }
        let places = Places::new(lives, tasks, &deed, initial);
        let (mut blind, origin) = (0, lives.origin);
        for task in tasks {
            let (id, call, certain) = (task.id, task.call as At + origin, task.done != NEVER);
            match deed(task) {
                Deed::Removes(value) if !certain => {
                    if let Some(place) = places.of(value).filter(|place| by_own[*place] == call) {
                        deeds.doers[place].remover = id;
                    }
                }
                Deed::RemovesSomething => {
                    if by_blind[blind] != NOBODY {
                        deeds.doers[by_blind[blind] as usize].remover = id;
                    }
                    blind += 1;
                }
                Deed::Shows(value) if certain => {
                    if let Some(place) = places.of(value) {
                        deeds.doers[place].watchers.push((call, id));
                    }
                }
                Deed::Nothing if certain => deeds.idle.push((call, id)),
                _ => {}
            }
        }
        deeds
    }
}

/// One of the gaps at which this one can have found nothing.
fn gap(empty: &Empty, gaps: &[At]) -> Option<At> {
    gaps.get(gaps.partition_point(|gap| *gap < empty.call)).copied().filter(|gap| *gap < empty.done)
}

/// Which value has which life.
struct Places<'h> {
    numbers: Numbers<'h>,
    /// By number; [`NOBODY`] if its life was left out.
    places: Vec<u32>,
}

impl<'h> Places<'h> {
    fn new<M: Model>(
        lives: &Lives,
        tasks: &[Task<'h, M>],
        deed: impl Fn(&Task<'h, M>) -> Deed<'h>,
        initial: &'h [Value],
    ) -> Places<'h> {
        let mut places = Places { numbers: Numbers::with_capacity(tasks.len()), places: Vec::new() };
        let mut next = 0;
        for value in initial {
            places.enter(value, next);
            next += 1;
        }
        for task in tasks {
            let Deed::Adds(value) = deed(task) else { continue };
            if lives.lives.get(next as usize).is_some_and(|life| life.added_by == task.id) {
                places.enter(value, next);
                next += 1;
            }
        }
        places
    }

    fn enter(&mut self, value: &'h Value, place: u32) {
        let number = self.numbers.number(value) as usize;
        self.places.resize(self.places.len().max(number + 1), NOBODY);
        self.places[number] = place;
    }

    fn of(&self, value: &Value) -> Option<usize> {
        let place = self.places[self.numbers.get(value)? as usize];
        (place != NOBODY).then_some(place as usize)
    }
}
