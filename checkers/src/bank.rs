//! Money is neither made nor lost.
//!
//! Every read of all accounts must show exactly the accounts that there are, a total that never changes,
//! and no debt unless debts are allowed. This is Jepsen's bank test: a read that breaks it saw a transfer
//! half done, or the effect of one lost or doubled. Deliberately absent: whether the reads could stand in
//! one order, which is a question for serializability.

use crate::exhibits::{self, count};
use crate::models::bank::{BankOp, BankRet, BankVocabulary};
use crate::vacuity::Coverage;
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::history::{History, Malformed};
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use std::collections::BTreeMap;

/// The checker.
#[derive(Clone, Debug)]
pub struct BankChecker {
    initial: BTreeMap<i64, i64>,
    debts_allowed: bool,
}

type BankOperation = Operation<BankOp, BankRet>;

const NAME: &str = "bank";
const ANOMALIES_MAX: usize = 8;
const CONTEXT_MAX: usize = 8;

impl BankChecker {
    /// A checker for a bank whose accounts held `initial` before the first operation.
    pub fn new(initial: BTreeMap<i64, i64>) -> BankChecker {
        BankChecker { initial, debts_allowed: false }
    }

    /// The same, for a bank in which balances may be negative.
    pub fn allow_debts(mut self) -> BankChecker {
        self.debts_allowed = true;
        self
    }

    /// What is wrong with the balances read, worst first: its class and its words.
    fn fault(&self, balances: &BTreeMap<i64, i64>) -> Option<(&'static str, String)> {
        if let Some(account) = balances.keys().find(|account| !self.initial.contains_key(account)) {
            return Some(("unexpected-account", format!("read an account {account} that does not exist")));
        }
        if let Some(account) = self.initial.keys().find(|account| !balances.contains_key(account)) {
            return Some(("missing-account", format!("did not find account {account}")));
        }
        let (total, expected) = (total(balances), total(&self.initial));
        if total != expected {
            return Some((
                "wrong-total",
                format!("read accounts that hold {total} together instead of {expected}"),
            ));
        }
        let debt = balances.iter().find(|(_, balance)| **balance < 0);
        debt.filter(|_| !self.debts_allowed)
            .map(|(account, balance)| ("negative-balance", format!("read {balance} on account {account}")))
    }

    fn judge(&self, operations: &[BankOperation], budget: &Budget) -> Verdict {
        let (mut anomalies, mut wrong, mut reads, mut examined) = (Vec::new(), 0, 0, 0);
        for operation in operations {
            let Outcome::Ok(BankRet::Balances(balances)) = &operation.outcome else { continue };
            reads += 1;
            if budget.is_over() {
                continue;
            }
            examined += 1;
            let Some((class, what)) = self.fault(balances) else { continue };
            wrong += 1;
            if anomalies.len() < ANOMALIES_MAX {
                anomalies.push(anomaly(operations, operation, class, &what));
            }
        }
        let coverage = coverage(operations);
        let verdict = if let Some(first) = anomalies.first() {
            let why = match wrong {
                1 => first.sentence.clone(),
                _ => format!("{}; {wrong} of {} are wrong", first.sentence, count(reads, "read")),
            };
            let mut verdict = Verdict::new(NAME, Validity::Invalid, why);
            verdict.class = Some(first.class.clone());
            verdict
        } else if let Some(why) = vacuous(operations, &coverage) {
            Verdict::new(NAME, Validity::Unknown, why)
        } else if examined < reads {
            let why = format!("only {examined} of {reads} reads were examined: the time allowed ran out");
            Verdict::new(NAME, Validity::Unknown, why)
        } else {
            let why = format!("{} show a total of {}", count(reads, "read"), total(&self.initial));
            Verdict::new(NAME, Validity::Valid, why)
        };
        let mut verdict =
            coverage.add_figures(verdict).with_figure("reads", reads).with_figure("reads_wrong", wrong);
        verdict.anomalies = anomalies;
        verdict
    }
}

impl Checker for BankChecker {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self, history: &History, budget: &Budget) -> Result<Verdict, Malformed> {
        Ok(self.judge(&history.operations(&BankVocabulary)?, budget))
    }
}

/// The sum, wide enough never to overflow.
fn total(balances: &BTreeMap<i64, i64>) -> i128 {
    balances.values().map(|balance| i128::from(*balance)).sum()
}

fn coverage(operations: &[BankOperation]) -> Coverage {
    let mut coverage = Coverage::default();
    let reads = operations.iter().filter(|o| o.outcome.is_ok() && o.op == BankOp::Read);
    let last = reads.map(|o| o.call).max();
    for operation in operations {
        coverage.count(&operation.outcome);
        if operation.outcome.is_ok() && operation.op != BankOp::Read {
            coverage.mutation(last.is_some_and(|call| operation.done < call));
        }
    }
    coverage
}

fn vacuous(operations: &[BankOperation], coverage: &Coverage) -> Option<String> {
    let some = |read: bool| operations.iter().any(|o| o.outcome.is_ok() && (o.op == BankOp::Read) == read);
    match (some(true), some(false)) {
        (false, _) => Some("no read succeeded, so nothing was examined".to_owned()),
        (true, false) => Some("no transfer succeeded, so there was nothing to see".to_owned()),
        (true, true) => coverage.vacuous(),
    }
}

fn anomaly(operations: &[BankOperation], guilty: &BankOperation, class: &str, what: &str) -> Anomaly {
    let maybe = |o: &&BankOperation| o.op != BankOp::Read && !matches!(o.outcome, Outcome::Fail(_));
    let transfers: Vec<_> = operations.iter().filter(maybe).collect();
    let exhibit = |operation: &BankOperation| Exhibit::of(operation, describe(operation));
    let mut shown = exhibit(guilty);
    shown.guilty = true;
    Anomaly {
        class: class.to_owned(),
        key: None,
        sentence: format!("process {} {what}", guilty.process),
        operations: vec![shown],
        context: exhibits::nearest(&transfers, guilty, CONTEXT_MAX).into_iter().map(exhibit).collect(),
    }
}

fn describe(operation: &BankOperation) -> String {
    let what = match (&operation.op, &operation.outcome) {
        (BankOp::Read, Outcome::Ok(BankRet::Balances(balances))) => {
            let balances: Vec<_> = balances.iter().map(|(account, n)| format!("{account}: {n}")).collect();
            format!("read {{{}}}", balances.join(", "))
        }
        (BankOp::Read, _) => "read".to_owned(),
        (BankOp::Transfer { from, to, amount }, _) => format!("transfer {amount} from {from} to {to}"),
    };
    match &operation.outcome {
        Outcome::Ok(_) => what,
        Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
        Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
        Outcome::Info(_) => format!("{what} (in doubt)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::process::Process;
    use elenchus_core::time::Time;

    /// Operations one after the other.
    fn bank(outcomes: &[(BankOp, Outcome<BankRet>)]) -> Vec<BankOperation> {
        let operation = |(i, (op, outcome)): (usize, &(BankOp, Outcome<BankRet>))| {
            let call = 2 * i as u32;
            let done = if outcome.is_info() { BankOperation::OPEN } else { call + 1 };
            let (op, outcome) = (op.clone(), outcome.clone());
            Operation { process: Process(i as u32), op, outcome, call, done, called: Time::ZERO, ended: None }
        };
        outcomes.iter().enumerate().map(operation).collect()
    }

    fn read(balances: &[(i64, i64)]) -> (BankOp, Outcome<BankRet>) {
        (BankOp::Read, Outcome::Ok(BankRet::Balances(balances.iter().copied().collect())))
    }

    fn transfer(outcome: Outcome<BankRet>) -> (BankOp, Outcome<BankRet>) {
        (BankOp::Transfer { from: 1, to: 2, amount: 5 }, outcome)
    }

    fn check(operations: &[(BankOp, Outcome<BankRet>)]) -> Verdict {
        let checker = BankChecker::new([(1, 10), (2, 10)].into());
        checker.judge(&bank(operations), &Budget::unlimited())
    }

    #[test]
    fn reads_that_keep_the_total_are_valid() {
        let verdict = check(&[transfer(Outcome::Ok(BankRet::Done)), read(&[(1, 5), (2, 15)])]);
        assert_eq!((verdict.validity, &verdict.figures["reads"]), (Validity::Valid, &1.into()));
    }

    #[test]
    fn each_way_of_being_wrong_has_its_name() {
        let wrong: [(&[(i64, i64)], &str); 4] = [
            (&[(1, 5), (2, 10)], "wrong-total"),
            (&[(1, 20)], "missing-account"),
            (&[(1, 10), (2, 10), (3, 0)], "unexpected-account"),
            (&[(1, -5), (2, 25)], "negative-balance"),
        ];
        for (balances, class) in wrong {
            let verdict = check(&[transfer(Outcome::Ok(BankRet::Done)), read(balances)]);
            assert_eq!((verdict.validity, verdict.class.as_deref()), (Validity::Invalid, Some(class)));
            let anomaly = &verdict.anomalies[0];
            assert!(anomaly.operations[0].guilty && anomaly.context.len() == 1, "{anomaly:?}");
        }
    }

    #[test]
    fn debts_can_be_allowed() {
        let checker = BankChecker::new([(1, 10), (2, 10)].into()).allow_debts();
        let history = bank(&[transfer(Outcome::Ok(BankRet::Done)), read(&[(1, -5), (2, 25)])]);
        assert_eq!(checker.judge(&history, &Budget::unlimited()).validity, Validity::Valid);
    }

    #[test]
    fn a_violation_wins_over_a_lack_of_transfers() {
        assert_eq!(check(&[read(&[(1, 5), (2, 10)])]).validity, Validity::Invalid);
    }

    #[test]
    fn a_history_that_says_nothing_is_no_pass() {
        let good = read(&[(1, 10), (2, 10)]);
        let done = || transfer(Outcome::Ok(BankRet::Done));
        let histories = [
            vec![],
            vec![done()],
            vec![good.clone()],
            vec![transfer(Outcome::info("timeout")), good.clone()],
            vec![good, done(), done()],
        ];
        for history in histories {
            assert_eq!(check(&history).validity, Validity::Unknown, "{history:?}");
        }
    }

    #[test]
    fn totals_do_not_overflow() {
        let checker = BankChecker::new([(1, i64::MAX), (2, i64::MAX)].into());
        let history = bank(&[transfer(Outcome::Ok(BankRet::Done)), read(&[(1, i64::MAX), (2, i64::MAX)])]);
        assert_eq!(checker.judge(&history, &Budget::unlimited()).validity, Validity::Valid);
    }
}
