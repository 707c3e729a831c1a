//! A table from its text, with every mistake named by line, column and key.

use super::node::{self, Kind, Node, Trouble, trouble};
use super::pattern::Pattern;
use super::{Partition, Row, State, Table, Tables};
use elenchus_core::format::ReadError;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The word for any state.
const ANY: &str = "*";
/// More states than this are no small model.
const STATES_MAX: usize = 10_000;

pub(super) fn read(text: &str) -> Result<Table, ReadError> {
    node::read(text).and_then(table).map_err(|trouble| trouble.in_text(text))
}

/// A row, with states still by name and where they stand.
struct Draft<'n> {
    function: &'n str,
    from: Option<(&'n str, usize)>,
    to: Option<(&'n str, usize)>,
    argument: Pattern,
    answer: Pattern,
    refused: bool,
}

fn table(root: Node) -> Result<Table, Trouble> {
    let root = Fields::of(
        &root,
        "a table of transitions",
        &["name", "initial", "states", "partition", "transition"],
    )?;
    let (initial, initial_at) = root.text("initial")?;
    let declared = root.optional("states").map(declared_states).transpose()?;
    let rows = match &root.required("transition")?.kind {
        Kind::Array(rows) => rows.iter().map(draft).collect::<Result<Vec<_>, _>>()?,
        _ => return trouble(root.required("transition")?.at, "`transition` must be a list of tables"),
    };
    let partition = match root.optional("partition").map(|node| (text_of(node), node.at)) {
        None | Some((Some("key"), _)) => Partition::Key,
        Some((Some("argument"), _)) => Partition::Argument,
        Some((Some("none"), _)) => Partition::None,
        Some((_, at)) => return trouble(at, "`partition` is \"key\", \"argument\" or \"none\""),
    };
    let states = states((initial, initial_at), &rows, declared)?;
    let name = root.optional("name").map(|node| text_of(node).ok_or(node.at)).transpose();
    let name = name.or_else(|at| trouble(at, "`name` must be text"))?.unwrap_or("table");
    Ok(assemble(name, partition, states, &rows))
}

fn assemble(name: &str, partition: Partition, states: Vec<Box<str>>, drafts: &[Draft<'_>]) -> Table {
    let number = |name: &str| states.iter().position(|state| **state == *name).map(|i| State(i as u32));
    let mut functions: Vec<&'static str> = Vec::new();
    let mut rows: Vec<Vec<Row>> = Vec::new();
    for draft in drafts {
        let known = functions.iter().position(|function| *function == draft.function);
        let function = known.unwrap_or_else(|| {
            functions.push(kept(draft.function));
            rows.push(Vec::new());
            functions.len() - 1
        });
        let state = |cell: Option<(&str, usize)>| cell.and_then(|(name, _)| number(name));
        rows[function].push(Row {
            from: state(draft.from),
            to: state(draft.to),
            argument: draft.argument.clone(),
            answer: draft.answer.clone(),
            refused: draft.refused,
        });
    }
    let tables = Tables { name: name.into(), partition, states, functions, rows };
    Table { tables: Arc::new(tables), initial: State(0) }
}

/// The same name, for ever: names of functions are static in what is written to disk. Each is kept once, however
/// many tables are read.
fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.into());
    names.insert(name);
    name
}

fn draft(node: &Node) -> Result<Draft<'_>, Trouble> {
    let fields = Fields::of(node, "a transition", &["from", "f", "argument", "answer", "to", "refused"])?;
    let pattern = |key| fields.optional(key).map_or(Ok(Pattern::Any), Pattern::read);
    let (from, from_at) = fields.text("from")?;
    let to = match fields.optional("to") {
        None => None,
        Some(node) => match text_of(node) {
            Some(ANY) => return trouble(node.at, "`to` names one state: leave it out where the state stays"),
            Some(name) => Some((name, node.at)),
            None => return trouble(node.at, "`to` must be the name of a state"),
        },
    };
    let refused = match fields.optional("refused").map(|node| (&node.kind, node.at)) {
        None => false,
        Some((Kind::Bool(refused), _)) => *refused,
        Some((_, at)) => return trouble(at, "`refused` is true or false"),
    };
    if let (true, Some((_, at))) = (refused, to) {
        return trouble(at, "what is refused changes nothing: leave `to` out");
    }
    let (function, _) = fields.text("f")?;
    let (argument, answer) = (pattern("argument")?, pattern("answer")?);
    Ok(Draft { function, from: (from != ANY).then_some((from, from_at)), to, argument, answer, refused })
}

fn declared_states(node: &Node) -> Result<Vec<&str>, Trouble> {
    let Kind::Array(items) = &node.kind else { return trouble(node.at, "`states` must be a list of names") };
    let name = |item: &'_ Node| match &item.kind {
        Kind::Text(_) => Ok(()),
        _ => trouble(item.at, "a state's name must be text"),
    };
    items.iter().try_for_each(name)?;
    Ok(items.iter().filter_map(text_of).collect())
}

/// All states, the initial one first. A name that leads nowhere, or is not declared where states are, is
/// taken for a slip of the pen.
fn states(
    initial: (&str, usize),
    rows: &[Draft<'_>],
    declared: Option<Vec<&str>>,
) -> Result<Vec<Box<str>>, Trouble> {
    let mut states = vec![initial.0];
    states.extend(rows.iter().filter_map(|row| row.to).map(|(name, _)| name));
    if let Some(declared) = declared {
        let mentioned = rows.iter().flat_map(|row| [row.from, row.to]).flatten();
        for (name, at) in std::iter::once(initial).chain(mentioned) {
            if !declared.contains(&name) {
                return trouble(at, format!("the state `{name}` is not among `states`"));
            }
        }
        states.extend(declared);
    } else if let Some((name, at)) =
        rows.iter().filter_map(|row| row.from).find(|(name, _)| !states.contains(name))
    {
        return trouble(
            at,
            format!("no transition leads to the state `{name}`: list it in `states` if it is meant"),
        );
    }
    let mut seen = std::collections::HashSet::new();
    states.retain(|name| seen.insert(*name));
    match states.len() <= STATES_MAX {
        true => Ok(states.into_iter().map(Box::from).collect()),
        false => trouble(initial.1, format!("more than {STATES_MAX} states are too many for a table")),
    }
}

/// The entries of a table whose keys are known.
struct Fields<'n> {
    at: usize,
    what: &'static str,
    entries: &'n [(String, usize, Node)],
}

impl<'n> Fields<'n> {
    fn of(node: &'n Node, what: &'static str, known: &[&str]) -> Result<Fields<'n>, Trouble> {
        let Kind::Table(entries) = &node.kind else {
            return trouble(node.at, format!("{what} must be a table"));
        };
        match entries.iter().find(|(key, ..)| !known.contains(&key.as_str())) {
            None => Ok(Fields { at: node.at, what, entries }),
            Some((key, at, _)) => {
                trouble(*at, format!("{what} has no key `{key}`, only {}", known.join(", ")))
            }
        }
    }

    fn optional(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(other, ..)| other == key).map(|(.., node)| node)
    }

    fn required(&self, key: &str) -> Result<&'n Node, Trouble> {
        let missing = || Trouble { at: self.at, what: format!("{} needs the key `{key}`", self.what) };
        self.optional(key).ok_or_else(missing)
    }

    fn text(&self, key: &str) -> Result<(&'n str, usize), Trouble> {
        let node = self.required(key)?;
        match text_of(node) {
            Some(text) => Ok((text, node.at)),
            None => trouble(node.at, format!("`{key}` must be text")),
        }
    }
}

fn text_of(node: &Node) -> Option<&str> {
    if let Kind::Text(text) = &node.kind { Some(text) } else { None }
}
