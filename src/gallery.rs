//! What a gallery's trials showed: which bugs were found, how soon, and who saw them first.
//!
//! A bug's trials are those of the seeds 1, 2, 3, …, the same for every bug, until it was found often enough. The
//! correct build's are those of all seeds that any bug needed: whatever is found there is a false alarm, or a bug of
//! ours.

use crate::results::{Ending, Row, median};
use crate::shrink::Size;
use elenchus_checkers::consensus;
use elenchus_reference::bug::{Bug, Page};
use std::fmt::Write as _;

/// What came of one build.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhibit {
    /// Its mistake; `None`: the correct build.
    pub bug: Option<Bug>,
    /// Its trials, by their seeds.
    pub rows: Vec<Row>,
    /// To what the one that showed it soonest was shrunk.
    pub shrunk: Option<Size>,
}

/// Who saw the findings of a bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many were seen by the clients' histories.
    pub clients: usize,
    /// How many by the invariants over the nodes' traces.
    pub invariants: usize,
    /// How many by the invariants alone, or before any client could notice.
    pub invariants_first: usize,
}

impl Exhibit {
    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        self.bug.map_or("(none)", Bug::name)
    }

    /// The trials in which something was found.
    pub fn finds(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.end == Ending::Invalid)
    }

    /// How many seeds were tried until something was found, that one included.
    pub fn first(&self) -> Option<usize> {
        Some(self.rows.iter().position(|row| row.end == Ending::Invalid)? + 1)
    }

    /// How many trials ended so.
    pub fn count(&self, end: Ending) -> usize {
        self.rows.iter().filter(|row| row.end == end).count()
    }

    /// Who saw it.
    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for row in self.finds() {
            let first = |traced: bool| {
                let found = row.found.iter().filter(|found| (found.checker == consensus::NAME) == traced);
                found.map(|found| found.first_ns.unwrap_or(u64::MAX)).min()
            };
            let (clients, invariants) = (first(false), first(true));
            seen.clients += usize::from(clients.is_some());
            seen.invariants += usize::from(invariants.is_some());
            let earlier = invariants.is_some_and(|at| clients.is_none_or(|other| at < other));
            seen.invariants_first += usize::from(earlier);
        }
        seen
    }

    /// The classes of what was found, the most frequent first, each with its count.
    pub fn classes(&self) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for found in self.finds().flat_map(|row| &row.found) {
            match counts.iter_mut().find(|(class, _)| *class == found.class) {
                Some((_, count)) => *count += 1,
                None => counts.push((found.class.clone(), 1)),
            }
        }
        counts.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        counts
    }

    /// The median simulated time to the anomaly within its trial, in nanoseconds.
    pub fn simulated_ns(&self) -> Option<u64> {
        median(self.finds().filter_map(|row| row.first_ns).collect())
    }

    /// The median real time of a trial that found something, judging included, in milliseconds.
    pub fn wall_ms(&self) -> Option<u64> {
        median(self.finds().map(|row| row.ms).collect())
    }

    fn cells(&self) -> [String; HEADS.len()] {
        let Seen { clients, invariants, invariants_first } = self.seen();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let classes = self.classes().into_iter().take(3).map(|(class, count)| format!("{class} {count}"));
        let classes = classes.collect::<Vec<_>>().join(", ");
        [
            self.name().into(),
            self.first().map_or_else(|| format!("not in {}", self.rows.len()), |first| first.to_string()),
            format!("{} of {}", self.finds().count(), self.rows.len()),
            or_dash(self.simulated_ns().map(|ns| format!("{:.1} s", ns as f64 / 1e9))),
            or_dash(self.wall_ms().map(|ms| format!("{:.2} s", ms as f64 / 1e3))),
            clients.to_string(),
            format!("{invariants} ({invariants_first} first)"),
            if classes.is_empty() { "-".into() } else { classes },
            or_dash(self.shrunk.map(|size| size.to_string())),
        ]
    }
}

const HEADS: [&str; 9] = [
    "bug",
    "first seed",
    "found in",
    "after, simulated",
    "after, real",
    "clients",
    "invariants",
    "as",
    "shrunk to",
];

/// The table, for people at a terminal.
pub fn table(exhibits: &[Exhibit]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(exhibits.iter().map(Exhibit::cells));
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    text
}

/// What it all comes to, in a few sentences.
pub fn summary(exhibits: &[Exhibit], seeds: u64) -> String {
    let bugs = || exhibits.iter().filter(|exhibit| exhibit.bug.is_some());
    let found = bugs().filter_map(Exhibit::first);
    let (all, soon) = (found.clone().count(), found.filter(|first| *first <= 100).count());
    let clients_alone =
        bugs().filter(|exhibit| exhibit.first().is_some() && exhibit.seen().invariants == 0).count();
    let before = |exhibit: &&Exhibit| 2 * exhibit.seen().invariants_first > exhibit.finds().count();
    let mut text = format!(
        "{all} of {} bugs were found within {seeds} seeds{}. {clients_alone} {} seen by the clients' histories \
         alone; {} mostly by invariants before any client could notice.",
        bugs().count(),
        if seeds > 100 { format!(", {soon} within 100") } else { String::new() },
        if clients_alone == 1 { "was" } else { "were" },
        bugs().filter(before).count(),
    );
    if let Some(correct) = exhibits.iter().find(|exhibit| exhibit.bug.is_none()) {
        let _ = write!(
            text,
            " In {} trials of the correct build {} things were found; {} of them decided nothing, {} broke.",
            correct.rows.len(),
            correct.count(Ending::Invalid),
            correct.count(Ending::Unknown),
            correct.count(Ending::Broken),
        );
    }
    text
}

/// The page of the gallery, in Markdown. `note` says where and when it was measured.
pub fn markdown(exhibits: &[Exhibit], seeds: u64, campaign: &str, note: &str) -> String {
    let mut page = format!("{HEAD}{}\n\n{note}\n\n", summary(exhibits, seeds));
    let _ = writeln!(page, "| {} |\n|{}", HEADS.join(" | "), "---|".repeat(HEADS.len()));
    for exhibit in exhibits {
        let _ = writeln!(page, "| {} |", exhibit.cells().map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    let _ = write!(
        page,
        "\n{COLUMNS}\n\n## The campaign\n\n```sh\n{campaign}\n```\n\n{CAMPAIGN}\n\n## The bugs\n"
    );
    for bug in exhibits.iter().filter_map(|exhibit| exhibit.bug) {
        let Page { change, breaks, source, fault, checker } = bug.page();
        let _ = write!(
            page,
            "\n### {bug}\n\n{change}\n\n- Breaks: {breaks}\n- Source: {source}\n- Brought out by: {fault}\n- Seen \
             by: {checker}\n"
        );
    }
    page
}

const HEAD: &str = "\
# The bug gallery

Written by `elenchus gallery --markdown FILE`. Each bug is a mistake that real systems made, as small in our Raft as it was in life, off
unless asked for (`--bug NAME`). They measure the harness: all are looked for under one campaign, which was tuned to none of them.

";

const COLUMNS: &str = "\
*First seed*: how many seeds were tried until something was found. *Found in*: in how many of the seeds tried; a bug is tried until it was found often
enough. *After*: the median simulated time from the beginning of the trial to the first anomaly, and the median real time of such a trial with its
judging. *Clients*: how many of the findings the clients' histories showed; *invariants*: how many the nodes' traces showed, and in how many of them
before any client could notice. *As*: the classes of the findings. *Shrunk to*: what `elenchus shrink` left
of the finding that came soonest in its trial. *(none)* is the correct build.";

const CAMPAIGN: &str = "\
for each seed from 1 on, with `register`, `set` and `bank` in turn, on five, four, three and four nodes by turns of two seeds, even seeds with `--priorities 3`. `--vary` draws from the seed how fast links and disks are, what is lost, how often snapshots are
taken, how long elections and clients wait, how often faults strike, and whether reads rely on leases (then clocks drift by less than leases allow for, and do not jump).";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Found;
    use crate::search::Coverage;

    fn row(seed: u64, end: Ending, found: &[(&str, u64)]) -> Row {
        let found: Vec<Found> = found
            .iter()
            .map(|(checker, ns)| Found {
                checker: (*checker).into(),
                class: format!("{checker}-class"),
                first_ns: Some(*ns),
            })
            .collect();
        Row {
            trial: 0,
            workload: "register".into(),
            nemesis: "kill".into(),
            seed,
            end,
            first_ns: found.iter().filter_map(|found| found.first_ns).min(),
            found,
            why: String::new(),
            operations: 1,
            ok: 1,
            states: 0,
            new_states: 0,
            reached: Coverage::default(),
            parent: None,
            hit: Vec::new(),
            terms: None,
            ms: 250,
            again: String::new(),
        }
    }

    fn exhibits() -> [Exhibit; 3] {
        let valid = |seed| row(seed, Ending::Valid, &[]);
        let stale = vec![valid(1), row(2, Ending::Invalid, &[("linearizability", 5_000_000_000)])];
        let vote = vec![
            row(1, Ending::Invalid, &[("consensus", 1_000_000_000), ("linearizability", 2_000_000_000)]),
            row(2, Ending::Invalid, &[("consensus", 3_000_000_000)]),
        ];
        [
            Exhibit {
                bug: Some(Bug::StaleRead),
                rows: stale,
                shrunk: Some(Size { strikes: 1, operations: 3, nodes: 3 }),
            },
            Exhibit { bug: Some(Bug::ForgetVote), rows: vote, shrunk: None },
            Exhibit { bug: None, rows: vec![valid(1), row(2, Ending::Unknown, &[])], shrunk: None },
        ]
    }

    #[test]
    fn the_table_says_when_and_by_whom_each_was_seen() {
        let text = table(&exhibits());
        let words =
            |at: usize| text.lines().nth(at).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            words(1),
            "stale-read 2 1 of 2 5.0 s 0.25 s 1 0 (0 first) linearizability-class 1 1 strike, 3 operations, 3 nodes"
        );
        assert!(words(2).starts_with("forget-vote 1 2 of 2 3.0 s 0.25 s 1 2 (2 first) consensus-class 2"));
        assert_eq!(words(3), "(none) not in 2 0 of 2 - - 0 0 (0 first) - -");
    }

    #[test]
    fn the_summary_counts_what_is_asked_for() {
        let few = summary(&exhibits(), 50);
        assert!(few.starts_with("2 of 2 bugs were found within 50 seeds. 1 was seen"), "{few}");
        let text = summary(&exhibits(), 1000);
        assert!(text.starts_with("2 of 2 bugs were found within 1000 seeds, 2 within 100."), "{text}");
        assert!(
            text.contains("1 was seen by the clients' histories alone; 1 mostly by invariants"),
            "{text}"
        );
        assert!(
            text.contains("In 2 trials of the correct build 0 things were found; 1 of them decided"),
            "{text}"
        );
    }

    #[test]
    fn the_page_has_a_chapter_for_every_bug_shown() {
        let page = markdown(&exhibits(), 10, "elenchus test", "Here and now.");
        assert!(
            page.contains("### stale-read")
                && page.contains("### forget-vote")
                && !page.contains("### (none)")
        );
        assert!(page.contains("Here and now.") && page.contains("| (none) | not in 2 |"));
    }
}
