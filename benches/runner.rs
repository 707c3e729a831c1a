//! How fast the loop drives operations through clients, with the history on disk.
//!
//! `cargo bench --bench runner`: 20 clients on one map in memory, five runs, the median. The figure to hold
//! is 200,000 completed operations a second on two cores.

use elenchus::campaign::Campaign;
use elenchus::plan::Plan;
use elenchus::store::file;
use elenchus::trial::Stage;
use std::time::Duration;

const RUNS: usize = 5;
const LENGTH: Duration = Duration::from_secs(3);

fn main() {
    let mut rates: Vec<f64> = (0..RUNS).map(run).collect();
    rates.sort_by(f64::total_cmp);
    println!("median {:.0} completed operations a second", rates[RUNS / 2]);
}

fn run(i: usize) -> f64 {
    let folder = std::env::temp_dir().join(format!("elenchus-bench-{}-{i}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let campaign = Campaign::parse(&format!(
        "system = \"memory\"\nconcurrency = 20\nrate = 0\ntime-limit = \"{}s\"\n",
        LENGTH.as_secs()
    ))
    .expect("a campaign");
    let registry = elenchus::registry::Registry::builtin();
    let plan = Plan::of(&registry, &campaign, i as u64, None).expect("a plan");
    let trial = registry.trial(&plan.trials[0], "").expect("a workload");
    trial.run(&registry, &plan.trials[0], "", Stage::Memory, &folder).expect("a trial");
    let history = std::fs::read_to_string(folder.join(file::HISTORY)).expect("a history");
    let limit = LENGTH.as_nanos() as u64;
    // The final reads come after the limit and are not counted.
    let is_done = |line: &&str| line.contains("\"type\":\"ok\"") || line.contains("\"type\":\"fail\"");
    let time = |line: &str| -> u64 {
        let rest = line.split("\"time\":").nth(1).unwrap_or("");
        rest[..rest.find(',').unwrap_or(0)].parse().unwrap_or(u64::MAX)
    };
    let done = history.lines().filter(is_done).filter(|line| time(line) <= limit).count();
    let _ = std::fs::remove_dir_all(&folder);
    let rate = done as f64 / LENGTH.as_secs_f64();
    println!("run {i}: {done} operations, {rate:.0} a second, {} bytes of history", history.len());
    rate
}
