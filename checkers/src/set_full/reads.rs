//! The reads of one set, with elements as small numbers, so that their whole length is walked only twice.

use super::SetOperation;
use super::element::Element;
use crate::models::set::{SetOp, SetRet};
use elenchus_core::budget::Budget;
use elenchus_core::event::Index;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::collections::HashMap;

/// A read that succeeded, with the numbers of its elements in ascending order.
struct Read<'h> {
    operation: &'h SetOperation,
    elements: Vec<u32>,
    twice: Vec<u32>,
}

/// The reads of one set that succeeded, in the order of their calls.
pub(super) struct Reads<'h> {
    reads: Vec<Read<'h>>,
    numbers: HashMap<&'h Value, u32>,
    /// The elements by number, in the order in which they were met.
    values: Vec<&'h Value>,
}

impl<'h> Reads<'h> {
    /// `None` if the budget ran out; `bytes` is what all sets together hold.
    pub(super) fn new(
        operations: &[&'h SetOperation],
        budget: &Budget,
        bytes: &mut usize,
    ) -> Option<Reads<'h>> {
        let mut all = Reads { reads: Vec::new(), numbers: HashMap::new(), values: Vec::new() };
        for operation in operations {
            match (&operation.op, &operation.outcome) {
                (SetOp::Add { element, .. }, _) => {
                    all.number(element);
                }
                (SetOp::Read { .. }, Outcome::Ok(SetRet::Elements(elements))) => {
                    *bytes += elements.len() * size_of::<u32>() + size_of::<Read<'_>>();
                    if budget.is_over() || *bytes > budget.memory_max {
                        return None;
                    }
                    let read = all.read(operation, elements);
                    all.reads.push(read);
                }
                (SetOp::Read { .. }, _) => {}
            }
        }
        Some(all)
    }

    pub(super) fn len(&self) -> usize {
        self.reads.len()
    }

    pub(super) fn last_call(&self) -> Option<Index> {
        self.reads.last().map(|read| read.operation.call)
    }

    /// Every element that was added or read, with what the operations tell of it.
    pub(super) fn elements(&self, operations: &[&'h SetOperation]) -> Vec<Element<'h>> {
        let mut elements: Vec<Element<'h>> = self.values.iter().map(|value| unheard_of(value)).collect();
        for operation in operations {
            if let SetOp::Add { element, .. } = &operation.op {
                self.take_add(&mut elements[self.numbers[element] as usize], operation);
            }
        }
        for read in &self.reads {
            for number in &read.elements {
                take_sight(&mut elements[*number as usize], read.operation);
            }
            for number in &read.twice {
                elements[*number as usize].twice_in.get_or_insert(read.operation);
            }
        }
        let mut seen_after = vec![0; elements.len()];
        for read in &self.reads {
            for number in &read.elements {
                let known = elements[*number as usize].known_by.map(|by| by.done);
                seen_after[*number as usize] +=
                    usize::from(known.is_some_and(|known| known < read.operation.call));
            }
        }
        for (number, element) in elements.iter_mut().enumerate() {
            let Some(known) = element.known_by else { continue };
            let first = self.reads.partition_point(|read| read.operation.call <= known.done);
            element.followed = first < self.reads.len();
            if seen_after[number] < self.reads.len() - first {
                element.missing_from = self.last_missing(number as u32, first);
            }
        }
        elements
    }

    fn last_missing(&self, number: u32, first: usize) -> Option<&'h SetOperation> {
        let missing = |read: &&Read<'h>| read.elements.binary_search(&number).is_err();
        self.reads[first..].iter().rev().find(missing).map(|read| read.operation)
    }

    fn take_add(&self, element: &mut Element<'h>, add: &'h SetOperation) {
        match &add.outcome {
            Outcome::Fail(_) => {
                element.failed_add.get_or_insert(add);
            }
            Outcome::Info(_) => element.adds.push(add),
            Outcome::Ok(_) => {
                element.adds.push(add);
                know(element, add);
            }
        }
    }

    fn number(&mut self, value: &'h Value) -> u32 {
        *self.numbers.entry(value).or_insert_with(|| {
            self.values.push(value);
            self.values.len() as u32 - 1
        })
    }

    fn read(&mut self, operation: &'h SetOperation, elements: &'h [Value]) -> Read<'h> {
        let mut numbers: Vec<u32> = elements.iter().map(|element| self.number(element)).collect();
        numbers.sort_unstable();
        let mut twice: Vec<u32> =
            numbers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        twice.dedup();
        numbers.dedup();
        Read { operation, elements: numbers, twice }
    }
}

fn unheard_of(value: &Value) -> Element<'_> {
    Element {
        value,
        adds: Vec::new(),
        failed_add: None,
        known_by: None,
        missing_from: None,
        last_seen: None,
        first_seen: None,
        twice_in: None,
        followed: false,
    }
}

/// A read, in the order of calls, contains the element.
fn take_sight<'h>(element: &mut Element<'h>, read: &'h SetOperation) {
    element.last_seen = Some(read);
    if element.first_seen.is_none_or(|first| read.done < first.done) {
        element.first_seen = Some(read);
    }
    know(element, read);
}

/// The return of `by` made the element known, if it was not before.
fn know<'h>(element: &mut Element<'h>, by: &'h SetOperation) {
    if element.known_by.is_none_or(|sooner| by.done < sooner.done) {
        element.known_by = Some(by);
    }
}
