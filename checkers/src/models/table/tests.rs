use super::*;
use crate::linearizability::check_operations;
use crate::linearizability::tests::exhaustive::{Sort, compare_all};
use elenchus_core::budget::Budget;
use elenchus_core::operation::Operation;
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::verdict::Validity;

const LOCK: &str = include_str!("../../../../examples/lock.toml");

/// The same lock, as JSON.
const LOCK_JSON: &str = r#"{ "name": "lock", "initial": "free", "transition": [
    { "from": "free", "f": "acquire", "to": "held" },
    { "from": "held", "f": "acquire", "refused": true },
    { "from": "held", "f": "release", "to": "free" },
    { "from": "free", "f": "holder?", "answer": "nobody" },
    { "from": "held", "f": "holder?", "answer": "somebody" } ] }"#;

fn lock() -> Table {
    Table::parse(LOCK).expect("the example is a table")
}

fn op(table: &Table, f: &str, argument: Value) -> TableOp {
    table.decode_op(f, None, &argument).expect("the table has this function")
}

fn operation(
    table: &Table,
    call: u32,
    done: u32,
    f: &str,
    outcome: Outcome<Value>,
) -> Operation<TableOp, Value> {
    let (process, called) = (Process(call), Time::ZERO);
    Operation { process, op: op(table, f, Value::Nil), outcome, call, done, called, ended: None }
}

fn done() -> Outcome<Value> {
    Outcome::Ok(Value::Nil)
}

fn refused() -> Outcome<Value> {
    Outcome::Fail(Failure::Refused(None))
}

#[test]
fn two_who_hold_the_lock_at_once_break_it() {
    let table = lock();
    let of = |second: Outcome<Value>| {
        [
            operation(&table, 0, 1, "acquire", done()),
            operation(&table, 2, 3, "acquire", second),
            operation(&table, 4, 5, "release", done()),
        ]
    };
    let judged = |second| check_operations(&table, &of(second), &Budget::unlimited()).validity;
    assert_eq!(judged(done()), Validity::Invalid);
    assert_ne!(judged(refused()), Validity::Invalid);
    let never_refused = [operation(&table, 0, 1, "acquire", refused())];
    assert_eq!(check_operations(&table, &never_refused, &Budget::unlimited()).validity, Validity::Invalid);
}

#[test]
fn answers_are_text_of_any_kind() {
    let table = lock();
    for answer in [Value::str("nobody"), Value::keyword("nobody"), Value::Symbol("nobody".into())] {
        let ask = [operation(&table, 0, 1, "holder?", Outcome::Ok(answer))];
        assert_ne!(check_operations(&table, &ask, &Budget::unlimited()).validity, Validity::Invalid);
    }
    let ask = [operation(&table, 0, 1, "holder?", Outcome::Ok(Value::Int(3)))];
    assert_eq!(check_operations(&table, &ask, &Budget::unlimited()).validity, Validity::Invalid);
}

#[test]
fn json_and_toml_say_the_same_on_every_history_of_four_operations() {
    let mut tallies = Vec::new();
    for table in [lock(), Table::parse(LOCK_JSON).expect("the JSON is a table")] {
        let sort = |f: &str, outcome| Sort::new(op(&table, f, Value::Nil), outcome);
        let answer = |text| Outcome::Ok(Value::str(text));
        let sorts = [
            sort("acquire", done()),
            sort("acquire", Outcome::info("timeout")),
            sort("acquire", refused()),
            sort("release", done()),
            sort("release", Outcome::info("timeout")),
            sort("holder?", answer("nobody")),
            sort("holder?", answer("somebody")),
        ];
        tallies.push(compare_all(&table, &sorts, 4, 3, |_| true));
    }
    assert_eq!(tallies[0], tallies[1]);
    assert_eq!((tallies[0].histories, tallies[0].linearizable), (10909, 2548));
}

/// Rows of every kind: any state, any argument, either of two outcomes, lists, values of EDN.
const RICH: &str = r#"
initial = "a"
states = ["a", "b", "c"]
partition = "none"
transition = [
    { from = "*", f = "go", argument = 1, to = "b" },
    { from = "a", f = "go", argument = [1, "*"], to = "c" },
    { from = "b", f = "go", argument = { edn = "nil" }, answer = true, to = "b" },
    { from = "c", f = "toss", answer = "heads", to = "a" },
    { from = "c", f = "toss", answer = "tails" },
    { from = "*", f = "look" },
    { from = "b", f = "toss", refused = true, answer = 2.5 },
]"#;

#[test]
fn no_state_refutes_the_hints() {
    for table in [lock(), Table::parse(RICH).expect("a table")] {
        let values = [
            Value::Nil,
            Value::Int(1),
            Value::vector([Value::Int(1), Value::Int(7)]),
            Value::Bool(true),
            Value::str("heads"),
            Value::str("tails"),
            Value::Float(2.5),
        ];
        let states: Vec<State> = (0..table.tables.states.len() as u32).map(State).collect();
        let mut outcomes = vec![refused(), Outcome::info("timeout")];
        outcomes.extend(values.iter().cloned().map(Outcome::Ok));
        outcomes.extend(values.iter().cloned().map(|saw| Outcome::Fail(Failure::Refused(Some(saw)))));
        for (f, argument) in
            table.functions().iter().flat_map(|f| values.iter().map(move |value| (*f, value)))
        {
            let op = op(&table, f, argument.clone());
            for outcome in &outcomes {
                for state in &states {
                    let after: Vec<State> = table.step(state, &op, outcome).into_iter().collect();
                    let changed: Vec<State> = after.iter().copied().filter(|to| to != state).collect();
                    assert!(!table.inert(&op, outcome) || changed.is_empty(), "{op:?} {outcome:?} {state:?}");
                    let source = table.source(&op, outcome);
                    assert!(
                        source.is_none_or(|source| source == *state || after.is_empty()),
                        "{op:?} {outcome:?}"
                    );
                    let target = table.target(&op);
                    assert!(
                        target.is_none_or(|target| changed.iter().all(|to| *to == target)),
                        "{op:?} {outcome:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_partition_by_argument_makes_one_object_of_each() {
    let text = r#"
        initial = "out"
        partition = "argument"
        transition = [{ from = "out", f = "add", to = "in" }, { from = "in", f = "has", answer = true }, { from = "out", f = "has", answer = false }]"#;
    let table = Table::parse(text).expect("a table");
    let of = |call, f: &str, argument, outcome| Operation {
        op: op(&table, f, Value::Int(argument)),
        ..operation(&table, call, call + 1, "add", outcome)
    };
    let history = [
        of(0, "add", 1, done()),
        of(2, "has", 1, Outcome::Ok(Value::Bool(true))),
        of(4, "has", 2, Outcome::Ok(Value::Bool(false))),
    ];
    let verdict = check_operations(&table, &history, &Budget::unlimited());
    assert_eq!((verdict.validity, &verdict.figures["keys"]), (Validity::Valid, &2.into()));
    let one = Table::parse(&text.replace("\"argument\"", "\"none\"")).expect("a table");
    assert_eq!(check_operations(&one, &history, &Budget::unlimited()).validity, Validity::Invalid);
}

#[test]
fn another_state_may_be_the_first() {
    let table = lock().starting_as(&Value::keyword("held")).expect("a state");
    let release = [operation(&table, 0, 1, "release", done())];
    assert_ne!(check_operations(&table, &release, &Budget::unlimited()).validity, Validity::Invalid);
    let error = lock().starting_as(&Value::Int(3)).expect_err("no state");
    assert_eq!(error, "lock has no state `3`, only free, held");
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let table = lock();
    for key in [Value::Nil, Value::Int(4)] {
        let op = table.decode_op("acquire", Some(&key), &Value::Int(1)).expect("a function");
        let call = table.encode_op(&op);
        assert_eq!(table.decode_op(call.f, call.key.as_ref(), &call.value), Ok(op.clone()));
        assert_eq!(table.decode_ret(&op, &table.encode_ret(&op, &Value::Int(2))), Ok(Value::Int(2)));
    }
    let error = table.decode_op("steal", None, &Value::Nil).expect_err("no function");
    assert_eq!(error, "lock has no function \"steal\", only acquire, holder?, release");
}

#[test]
fn mistakes_are_named_by_line_column_and_key() {
    for (text, expected) in [
        ("", "line 1, column 1: a table of transitions needs the key `initial`"),
        ("initial = \"a\"", "line 1, column 1: a table of transitions needs the key `transition`"),
        ("initial = 3\ntransition = []", "line 1, column 11: `initial` must be text"),
        ("initial = \"a\"\ntransition = 3", "line 2, column 14: `transition` must be a list of tables"),
        (
            "initial = \"a\"\ninital = 3",
            "line 2, column 1: a table of transitions has no key `inital`, only name, initial, states, partition, transition",
        ),
        (
            "initial = \"a\"\npartition = \"all\"\ntransition = []",
            "line 2, column 13: `partition` is \"key\", \"argument\" or \"none\"",
        ),
        ("initial = \"a\"\n[[transition]]\nfrom = \"a\"", "line 2, column 1: a transition needs the key `f`"),
        (
            "initial = \"a\"\n[[transition]]\nfrom = \"b\"\nf = \"go\"",
            "line 3, column 8: no transition leads to the state `b`: list it in `states` if it is meant",
        ),
        (
            "initial = \"a\"\nstates = [\"a\"]\n[[transition]]\nfrom = \"a\"\nf = \"go\"\nto = \"b\"",
            "line 6, column 6: the state `b` is not among `states`",
        ),
        (
            "initial = \"a\"\n[[transition]]\nfrom = \"a\"\nf = \"go\"\nto = \"*\"",
            "line 5, column 6: `to` names one state: leave it out where the state stays",
        ),
        (
            "initial = \"a\"\n[[transition]]\nfrom = \"a\"\nf = \"go\"\nto = \"a\"\nrefused = true",
            "line 5, column 6: what is refused changes nothing: leave `to` out",
        ),
        (
            "initial = \"a\"\n[[transition]]\nfrom = \"a\"\nf = \"go\"\nargument = { edn = \"[\" }",
            "line 5, column 14: `edn` is no value of EDN: expected `]` to end this `[`, found the end",
        ),
        (
            "{\"initial\": \"a\",\n \"transition\": [{\"from\": \"a\", \"f\": 3}]}",
            "line 2, column 36: `f` must be text",
        ),
        ("{\"initial\": \"a\",\n \"initial\": 3}", "line 2, column 2: the key `initial` stands here twice"),
        ("{\"initial\": \"a\",\n \"transition\": [}", "line 2, column 17: expected a value"),
        ("{\"initial\": \"a\" \"b\"", "line 1, column 17: expected `,` or `}`"),
    ] {
        let error = Table::parse(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn no_cut_of_a_table_makes_the_reader_panic() {
    for text in [LOCK, LOCK_JSON, RICH] {
        for (end, _) in text.char_indices() {
            let _ = Table::parse(&text[..end]);
            let _ = Table::parse(&format!("{}\u{e9}{}", &text[..end], &text[end..]));
        }
    }
    let deep = format!("{{\"initial\": {}", "[".repeat(100_000));
    assert!(Table::parse(&deep).is_err());
    assert!(Table::parse(&format!("initial = {}", "[".repeat(1_000))).is_err());
}
