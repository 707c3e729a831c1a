//! Answers that stand in the log and that nobody looks at.
//!
//! A vocabulary takes what it knows from a completion and nothing else: the new value in the answer of a plain
//! `add` is not compared with anything. Then a verdict says less than its reader may think, and a warning
//! beside it says so. It changes no verdict.

use elenchus_core::event::Index;
use elenchus_core::history::History;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use elenchus_core::verdict::Verdict;
use elenchus_core::workload::Vocabulary;

/// Letters shown of a value.
const SHOWN_MAX: usize = 40;

/// How many answers were not examined.
pub(super) struct Unexamined {
    count: usize,
    /// The completion with the first one.
    first: Option<Index>,
}

/// Counts the `ok` answers that mean no more to the vocabulary than a repetition of the arguments would.
pub(super) fn answers<V: Vocabulary>(
    history: &History,
    vocabulary: &V,
    operations: &[Operation<V::Op, V::Ret>],
) -> Unexamined {
    let mut found = Unexamined { count: 0, first: None };
    for operation in operations {
        let Outcome::Ok(ret) = &operation.outcome else { continue };
        let (asked, said) = (history.value(operation.call), history.value(operation.done));
        if !says_nothing(asked, said) && ignores(vocabulary, &operation.op, ret, asked, said) {
            found.count += 1;
            let first = found.first.get_or_insert(operation.done);
            *first = operation.done.min(*first);
        }
    }
    found
}

impl Unexamined {
    /// The verdict with the warning, if there is anything to warn of.
    pub(super) fn beside(&self, history: &History, mut verdict: Verdict) -> Verdict {
        let Some(first) = self.first else { return verdict };
        let (completion, call) = (history.event(first), history.partner(first).unwrap_or(first));
        let asked = match history.value(call) {
            Value::Nil => String::new(),
            value => format!(" {}", shown(value)),
        };
        let others = match self.count {
            1 => "it was not examined".to_owned(),
            count => format!("{count} such answers were not examined"),
        };
        verdict.why += &format!(
            "; warning: the answer {} of `{}{asked}` (event {first}) says more than this model examines; {others}",
            shown(completion.value),
            completion.f
        );
        verdict.with_figure("answers_unexamined", self.count)
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether a completion says no more than that it is done.
fn says_nothing(asked: &Value, said: &Value) -> bool {
    match said {
        Value::Nil | Value::Bool(true) => true,
        _ if std::ptr::eq(asked, said) => true,
        _ => said.as_text().is_some_and(|text| text.eq_ignore_ascii_case("ok")) || alike(asked, said),
    }
}

/// Whether an answer was decoded as the arguments would have been, and is not encoded as it stands there. The
/// cheaper question comes first.
fn ignores<V: Vocabulary>(vocabulary: &V, op: &V::Op, ret: &V::Ret, asked: &Value, said: &Value) -> bool {
    let as_repeated = || vocabulary.decode_ok(op, asked).as_ref() == Ok(ret);
    let otherwise = || !alike(&vocabulary.encode_ret(op, ret), said);
    match items(said).is_some() || said.as_text().is_some() {
        true => as_repeated() && otherwise(),
        false => otherwise() && as_repeated(),
    }
}

/// Whether two values are the same, however their lists and names are written.
fn alike(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (items(a), items(b)) {
        return a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b));
    }
    match (a.as_text(), b.as_text()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Set(items) => Some(items),
        _ => value.as_items(),
    }
}

#[cfg(test)]
mod tests {
    use crate::models::catalogue::{Choices, named};
    use elenchus_core::budget::Budget;
    use elenchus_core::format::{self, edn};
    use elenchus_core::history::{History, Malformed};
    use elenchus_core::verdict::{Validity, Verdict};

    /// A function, its argument and the answer.
    type Step<'a> = (&'a str, &'a str, &'a str);

    /// One process's operations.
    fn history(operations: &[Step<'_>]) -> History {
        let line = |(f, asked, said): &Step<'_>| {
            format!(
                "{{:process 0 :type :invoke :f :{f} :value {asked}}}\n{{:process 0 :type :ok :f :{f} :value {said}}}\n"
            )
        };
        let text: String = operations.iter().map(line).collect();
        format::read(text.as_bytes(), None).expect("it is EDN").history
    }

    fn judge(model: &str, initial: &str, operations: &[Step<'_>]) -> Result<Verdict, Malformed> {
        let initial = edn::read_value(initial).expect("it is EDN");
        let choices = Choices { initial: Some(initial), ..Choices::default() };
        let checker = (named(model).expect("it is known").checker)(&choices).expect("it is a checker");
        checker.check(&history(operations), &Budget::unlimited())
    }

    #[test]
    fn an_answer_that_no_model_looks_at_is_warned_of() {
        let mut told = 0;
        for (model, f, asked, said) in [
            ("counter", "add", "3", "9"),
            ("counter", "inc", "nil", "2"),
            ("fifo-queue", "enqueue", "1", "2"),
            ("register", "write", "1", "2"),
            ("cas-register", "cas", "[nil 2]", "[1 9]"),
            ("kv", "delete", "nil", "7"),
            ("append-log", "append", "\"a\"", "0"),
            ("stack", "push", "1", "[1 2]"),
            ("bag", "put", "1", "2"),
            ("priority-queue", "insert", "1", "2"),
            ("element-set", "add", "1", "7"),
            ("mutex", "acquire", "nil", "33"),
            ("reentrant-mutex", "acquire", "nil", "{:fence 33}"),
        ] {
            let verdict = judge(model, "nil", &[(f, asked, said)]).expect("it decodes");
            assert_eq!(verdict.validity, Validity::Valid, "{model}: {}", verdict.why);
            let words = format!("the answer {said} of `{f}");
            assert!(verdict.why.contains(&words), "{model}: {}", verdict.why);
            assert!(verdict.why.contains("(event 1) says more than this model examines; it was not"));
            assert_eq!(verdict.figures["answers_unexamined"], 1);
            told += 1;
        }
        assert_eq!(told, 13);
    }

    #[test]
    fn all_such_answers_are_counted() {
        let adds = [("add", "3", "3"), ("add", "3", "6"), ("add", "3", "9"), ("read", "nil", "9")];
        let verdict = judge("counter", "0", &adds).expect("it decodes");
        assert!(verdict.why.ends_with(
            "the answer 6 of `add 3` (event 3) says more than this model examines; 2 such answers were not examined"
        ));
        let stale = [("add", "3", "6"), ("read", "nil", "4")];
        let verdict = judge("counter", "0", &stale).expect("it decodes");
        assert_eq!(verdict.validity, Validity::Invalid);
        assert!(verdict.why.contains("the answer 6 of `add 3`"), "{}", verdict.why);
    }

    #[test]
    fn an_answer_that_is_examined_or_says_nothing_is_not_warned_of() {
        let mut silent = 0;
        let histories: [(&str, &str, &[Step<'_>]); 11] = [
            ("register", "nil", &[("write", "1", "nil"), ("write", "2", ":ok"), ("read", "nil", "2")]),
            ("cas-register", "1", &[("cas", "[1 2]", "(1 2)"), ("cas", "[2 3]", "true")]),
            ("kv", "nil", &[("delete", "nil", "true"), ("put", "1", "\"OK\""), ("get", "nil", "1")]),
            (
                "counter",
                "0",
                &[("fetch-and-add", "3", "0"), ("add-and-fetch", "3", "6"), ("inc", "nil", "nil")],
            ),
            (
                "fifo-queue",
                "[]",
                &[("enqueue", "1", "1"), ("dequeue", "nil", "1"), ("dequeue", "nil", "nil")],
            ),
            ("grow-only-set", "nil", &[("read", "nil", "#{}"), ("add", "1", "1"), ("read", "nil", "#{1}")]),
            ("append-log", "nil", &[("append", "7", "[0 7]"), ("read", "0", "7"), ("poll", "0", "(7)")]),
            ("append-log", "nil", &[("append", "7", "{:offset 0}"), ("read", "nil", "[7]")]),
            ("semaphore", "3", &[("acquire", "1", "1"), ("acquire", "2", "2"), ("release", "2", "nil")]),
            ("fenced-mutex", "nil", &[("acquire", "nil", "33"), ("release", "nil", "nil")]),
            ("multi-register", "{:x 0}", &[("txn", "[[:read :x nil]]", "[[:read :x 0]]")]),
        ];
        for (model, initial, operations) in histories {
            let verdict = judge(model, initial, operations).expect("it decodes");
            assert_eq!(verdict.validity, Validity::Valid, "{model}: {}", verdict.why);
            assert!(!verdict.why.contains("warning"), "{model}: {}", verdict.why);
            silent += 1;
        }
        assert_eq!(silent, 11);
    }

    #[test]
    fn a_cas_that_was_declined_is_not_ok() {
        for model in ["cas-register", "kv"] {
            let error = judge(model, "1", &[("cas", "[2 3]", "false")]).expect_err("it was declined");
            assert!(error.index == 1 && error.what.contains("recorded as fail"), "{error}");
        }
    }
}
