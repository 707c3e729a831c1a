//! What the user sees while a trial runs: one line a second on a terminal, nothing elsewhere.

use elenchus_core::fault::FaultId;
use elenchus_core::generator::{Event, What};
use elenchus_core::outcome::Outcome;
use elenchus_core::time::Time;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use crate::runner::Observer;

/// Counts what enters the log and shows it now and then.
pub struct Progress {
    shown: bool,
    ok: u64,
    fail: u64,
    info: u64,
    faults: BTreeMap<FaultId, String>,
    last: (Time, u64),
}

impl Progress {
    /// Shows on standard error, if that is a terminal and the user did not ask for quiet.
    pub fn new(quiet: bool) -> Progress {
        Progress {
            shown: !quiet && std::io::stderr().is_terminal(),
            ok: 0,
            fail: 0,
            info: 0,
            faults: BTreeMap::new(),
            last: (Time::ZERO, 0),
        }
    }

    /// Ends the line that is rewritten, so that what follows starts on its own.
    pub fn finish(&self) {
        if self.shown {
            eprintln!();
        }
    }

    fn line(&mut self, now: Time) -> String {
        let seconds = now.since(self.last.0).as_secs_f64();
        let rate = (self.ok - self.last.1) as f64 / seconds.max(1e-3);
        self.last = (now, self.ok);
        let faults: Vec<&str> = self.faults.values().map(String::as_str).collect();
        let faults = if faults.is_empty() { "whole".to_owned() } else { faults.join(" + ") };
        format!(
            "{:6.1}s  {} ok  {} fail  {} info  {rate:.0} ok/s  {faults}",
            now.as_secs_f64(),
            self.ok,
            self.fail,
            self.info
        )
    }
}

impl<O, R> Observer<O, R> for Progress {
    fn saw(&mut self, event: &Event<O, R>) {
        match &event.what {
            What::Done(_, Outcome::Ok(_)) => self.ok += 1,
            What::Done(_, Outcome::Fail(_)) => self.fail += 1,
            What::Done(_, Outcome::Info(_)) => self.info += 1,
            What::Inject(id, fault) => {
                self.faults.insert(*id, fault.name().to_owned());
            }
            What::Injected(id, Ok(proof)) => {
                if let Some(text) = self.faults.get_mut(id) {
                    let nodes: Vec<&str> = proof.nodes.iter().map(|node| node.as_str()).collect();
                    *text = format!("{text} {}", nodes.join(","));
                }
            }
            What::Healed(id, _) => {
                self.faults.remove(id);
            }
            _ => {}
        }
    }

    fn told(&mut self, text: &str) {
        if self.shown {
            eprintln!("\r\x1b[K{text}");
        }
    }

    fn tick(&mut self, now: Time) {
        if self.shown && now.since(self.last.0).as_millis() >= 1000 {
            let line = self.line(now);
            let mut out = std::io::stderr().lock();
            // A terminal that is gone does not end a trial.
            let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
        }
    }
}
