//! How an anomaly of a counter is told: which value was seen, and which operations exclude it.
//!
//! A name is given only where it is certain from all operations on the counter. Everything else is called
//! `nonlinearizable`, which is certain always.

use super::chain;
use super::{Counter, CounterOp, CounterRet};
use crate::exhibits::{count, span};
use crate::linearizability::{Case, Insight, Shortcut, Task, Telling};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;

type CounterOperation = Operation<CounterOp, CounterRet>;

impl Insight for Counter {
    fn shortcut(&self, tasks: &[Task<'_, Counter>]) -> Option<Shortcut> {
        chain::judge(self, tasks)
    }

    fn key_text(&self, key: &Value) -> Option<String> {
        (!key.is_nil()).then(|| key.to_string())
    }

    fn tell(&self, case: &Case<'_, Counter>) -> Telling {
        let tellers = [Sight::duplicate, Sight::backwards, Sight::too_low, Sight::too_high];
        let others = case.witness.iter().rev().copied().filter(|o| o.call != case.guilty.call);
        let sights = std::iter::once(case.guilty).chain(others).filter_map(|operation| {
            let met = operation.op.met(&operation.outcome)?;
            Some(Sight { model: self, case, operation, met })
        });
        let sights: Vec<Sight<'_, '_>> = sights.collect();
        let resets = case.operations.iter().any(|o| may_change(o) && matches!(o.op, CounterOp::Reset { .. }));
        let told = tellers.iter().filter(|_| !resets).find_map(|teller| sights.iter().find_map(teller));
        told.unwrap_or_else(|| case.plainly(self))
    }
}

/// An operation that met the counter at a value.
struct Sight<'c, 'h> {
    model: &'c Counter,
    case: &'c Case<'h, Counter>,
    operation: &'h CounterOperation,
    met: i128,
}

impl<'h> Sight<'_, 'h> {
    /// `` `read 5` by process 3 ``
    fn name(&self, operation: &CounterOperation) -> String {
        let what = self.model.describe(&operation.op, &operation.outcome);
        format!("`{what}` by process {}", operation.process)
    }

    /// `process 3 read 5 of key 4`, or that its add met 5.
    fn what_happened(&self) -> String {
        let (process, of) = (self.operation.process, self.case.of_key());
        match &self.operation.op {
            CounterOp::Read { .. } => format!("process {process} read {}{of}", self.met),
            _ => {
                let what = self.model.describe(&self.operation.op, &self.operation.outcome);
                format!("process {process} met {}{of} (`{what}`)", self.met)
            }
        }
    }

    fn telling(&self, class: &'static str, sentence: String, named: &[&CounterOperation]) -> Telling {
        let named = std::iter::once(&self.operation).chain(named).map(|o| o.call).collect();
        Telling { class, sentence, named }
    }

    fn others(&self) -> impl Iterator<Item = &'h CounterOperation> {
        let own = self.operation.call;
        self.case.operations.iter().copied().filter(move |o| o.call != own)
    }

    /// Whether all amounts have the sign of this one.
    fn one_way(&self, sign: i64) -> bool {
        self.case.operations.iter().all(|o| !may_change(o) || o.op.amount().signum() * sign >= 0)
    }

    /// Two adds met the same value, which the counter cannot have had again.
    fn duplicate(&self) -> Option<Telling> {
        let sign = self.operation.op.amount().signum();
        if sign == 0 || !self.operation.outcome.is_ok() || !self.one_way(sign) {
            return None;
        }
        let same = |o: &&CounterOperation| {
            o.outcome.is_ok() && o.op.amount() != 0 && o.op.met(&o.outcome) == Some(self.met)
        };
        let other = self.others().find(same)?;
        let sentence = format!(
            "{}, although {} met {} as well and changed it: the same number was handed out twice",
            self.what_happened(),
            self.name(other),
            self.met
        );
        Some(self.telling("duplicate-number", sentence, &[other]))
    }

    /// Another value had been seen before, and the counter cannot have come from there to this one.
    fn backwards(&self) -> Option<Telling> {
        let further = |sign: i64| {
            let beyond = move |o: &&CounterOperation| {
                let left = o.op.met(&o.outcome).map(|met| match o.outcome.is_ok() {
                    true => met + i128::from(o.op.amount()),
                    false => met,
                });
                o.precedes(self.operation)
                    && left.is_some_and(|left| (left - self.met) * i128::from(sign) > 0)
            };
            self.one_way(sign).then(|| self.others().filter(beyond).max_by_key(|o| o.call)).flatten()
        };
        let (other, way) =
            further(1).map(|o| (o, "smaller")).or_else(|| further(-1).map(|o| (o, "larger")))?;
        let ago = other
            .ended
            .map_or_else(String::new, |ended| format!(" {}", span(self.operation.called.since(ended))));
        let sentence = format!(
            "{}, although {} was answered{ago} before and nothing makes this counter {way}",
            self.what_happened(),
            self.name(other)
        );
        Some(self.telling("stale-read", sentence, &[other]))
    }

    /// The sums of certain adds before, and of all other amounts of one sign that were called in time.
    fn bound(&self, sign: i64) -> (i128, usize) {
        let (mut bound, mut adds) = (i128::from(self.model.initial), 0);
        for other in self.others().filter(|o| may_change(o)) {
            let amount = other.op.amount();
            let certain = other.outcome.is_ok() && other.precedes(self.operation);
            let may = !self.operation.precedes(other) && amount.signum() == sign;
            if certain || may {
                bound += i128::from(amount);
                adds += usize::from(amount != 0);
            }
        }
        (bound, adds)
    }

    /// It is less than what had certainly been added.
    fn too_low(&self) -> Option<Telling> {
        let (bound, adds) = self.bound(-1);
        let sentence = format!(
            "{}, although {} before it began make at least {bound}",
            self.what_happened(),
            count(adds, "add")
        );
        (self.met < bound).then(|| self.telling("counter-too-low", sentence, &[]))
    }

    /// It is more than what can have been added by then.
    fn too_high(&self) -> Option<Telling> {
        let (bound, adds) = self.bound(1);
        let sentence = format!(
            "{}, although the {} begun before it ended make at most {bound}",
            self.what_happened(),
            count(adds, "add")
        );
        (self.met > bound).then(|| self.telling("counter-too-high", sentence, &[]))
    }
}

/// Whether an operation changed the counter, or may have.
fn may_change(operation: &CounterOperation) -> bool {
    !matches!(operation.outcome, Outcome::Fail(_))
}
