//! The command line: what can be asked, and which stage answers.

#[cfg(target_os = "linux")]
mod agent;
mod campaign;
mod check;
mod check_trace;
mod client;
mod doctor;
mod examine;
mod faults;
mod gallery;
mod heal;
mod init;
mod interrupt;
mod junit;
mod list;
mod merge;
mod replay;
mod report;
mod say;
mod shrink;
mod test;

use crate::campaign::Campaign;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::store::Store;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use say::say;
use std::path::PathBuf;

/// Breaks replicated systems while they work, and proves from the history whether they kept their promises.
#[derive(Debug, Parser)]
#[command(name = "elenchus", version, max_term_width = 100, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "Exit codes: 0 valid, 1 invalid (a promise was broken), 2 unknown (with the reason), \
254 bad arguments or input, 255 the trial itself broke.\n\nStart with: elenchus test";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run trials: a cluster, clients, faults, a verdict and a report
    Test(test::TestArgs),
    /// Run many trials: workloads × nemeses × seeds, and a table of what came of them
    Campaign(Box<campaign::CampaignArgs>),
    /// Run a simulated trial once more, and compare it with what it left, byte for byte; or run a script
    Replay(Box<replay::ReplayArgs>),
    /// Make a simulated trial's violation as small as it gets, and tell how it came about
    Shrink(shrink::ShrinkArgs),
    /// Join the results of a campaign's shards
    Merge(merge::MergeArgs),
    /// Look for each of the known bugs under one campaign, the same for all, and for none in the correct build
    Gallery(gallery::GalleryArgs),
    /// Show what `test` would do, every choice made, and start nothing
    Plan(PlanArgs),
    /// Write a commented campaign to start from
    Init(init::InitArgs),
    /// Say what this machine allows, and what the campaign lacks on it; changes nothing
    Doctor(doctor::DoctorArgs),
    /// Judge recorded histories, or the folder of a trial
    Check(check::CheckArgs),
    /// Judge traces of consensus: a trial's, etcd's, or those of a Raft of your own
    CheckTrace(check_trace::CheckTraceArgs),
    /// Build the report of a trial's folder anew
    Report(report::ReportArgs),
    /// Try out a client: a program of your own, or that of a campaign
    Client(client::ClientArgs),
    /// Undo what a killed trial left behind
    Heal(heal::HealArgs),
    /// Name the systems, workloads, faults, models and bugs there are
    List(list::ListArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Be the process that judges for `check`
    #[command(hide = true)]
    Judge(check::JudgeArgs),
    /// Run, break and heal the nodes of this host
    #[cfg(target_os = "linux")]
    #[command(hide = true, subcommand)]
    Agent(agent::AgentCommand),
    /// Be one node of the bundled cluster
    #[command(hide = true)]
    Node {
        /// What to be, as JSON
        options: String,
    },
}

/// A campaign and where it leaves its trials.
#[derive(Clone, Debug, Args)]
struct PlanArgs {
    /// A campaign file (TOML); flags override what it says
    file: Option<PathBuf>,
    #[command(flatten)]
    campaign: Campaign,
}

/// Where trials are kept.
#[derive(Debug, Args)]
struct StoreArgs {
    /// The folder that keeps the trials
    #[arg(long, value_name = "DIR", default_value = "store")]
    store: PathBuf,
}

impl StoreArgs {
    fn store(&self) -> Store {
        Store::at(&self.store)
    }
}

/// Does what the arguments say.
pub fn main(registry: &Registry, arguments: Vec<std::ffi::OsString>) -> Exit {
    let parsed = command(registry).try_get_matches_from(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; both go where clap says.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Valid };
        }
    };
    match cli.command {
        Command::Test(args) => test::run(&args, registry),
        Command::Campaign(args) => campaign::run(&args, registry),
        Command::Replay(args) => replay::run(&args, registry),
        Command::Shrink(args) => shrink::run(&args, registry),
        Command::Merge(args) => merge::run(&args),
        Command::Gallery(args) => gallery::run(&args, registry),
        Command::Init(args) => init::run(&args, registry.program_name()),
        Command::Plan(args) => plan(&args, registry),
        Command::Doctor(args) => doctor::run(&args, registry),
        Command::Check(args) => check::run(&args),
        Command::CheckTrace(args) => check_trace::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Client(args) => client::run(&args, registry),
        Command::Heal(args) => heal::run(&args),
        Command::List(args) => list::run(&args, registry),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(registry), registry.program_name(), &mut script);
            say::bytes(&script);
            Exit::Valid
        }
        Command::Judge(args) => check::judge(&args, registry),
        #[cfg(target_os = "linux")]
        Command::Agent(command) => agent::run(command),
        Command::Node { options } => node(&options),
    }
}

/// The command line of this program.
fn command(registry: &Registry) -> clap::Command {
    let name = registry.program_name();
    Cli::command().name(name).bin_name(name)
}

fn plan(args: &PlanArgs, registry: &Registry) -> Exit {
    match args.plan(registry) {
        Ok((plan, _)) => {
            say!("{}", serde_json::to_string_pretty(&plan).expect("a plan is plain data"));
            Exit::Valid
        }
        Err(why) => usage(&why),
    }
}

impl PlanArgs {
    /// The campaign, flags over the file, and the file's text if there is one.
    fn campaign(&self) -> Result<(Campaign, Option<String>), String> {
        let (file, text) = match &self.file {
            Some(path) => Campaign::read(path).map(|(c, text)| (c, Some(text))).map_err(|e| e.to_string())?,
            None => (Campaign::default(), None),
        };
        Ok((file.overridden_by(self.campaign.clone()), text))
    }

    /// The plan, and the campaign's text if there is a file.
    fn plan(&self, registry: &Registry) -> Result<(Plan, Option<String>), String> {
        let (campaign, text) = self.campaign()?;
        let name = self.file.as_ref().map(|path| path.display().to_string());
        let plan =
            Plan::of(registry, &campaign, fresh_seed(), name.as_deref()).map_err(
                |impossible| match &name {
                    // The key stands in the file or on the command line; both are named, flags win.
                    Some(file) if impossible.at.is_some() => {
                        let before = text.as_deref().and_then(|text| text.get(..impossible.at.unwrap_or(0)));
                        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
                        format!("{file}: line {line}: {impossible}")
                    }
                    Some(file) if campaign_names(text.as_deref(), impossible.key) => {
                        match line_of(text.as_deref(), impossible.key) {
                            Some(line) => format!("{file}: line {line}: {impossible}"),
                            None => format!("{file}: {impossible}"),
                        }
                    }
                    // A table, which no flag stands for.
                    Some(file) if impossible.key == "cluster" => format!("{file}: {impossible}"),
                    // As it is called in the file.
                    Some(file) if impossible.key == "simulation" => {
                        format!("{file}: cluster: {}", impossible.what)
                    }
                    _ => format!("--{impossible}"),
                },
            )?;
        Ok((plan, text))
    }
}

fn campaign_names(text: Option<&str>, key: &str) -> bool {
    line_of(text, key).is_some()
}

/// The line on which a campaign's text sets `key`, counted from 1.
fn line_of(text: Option<&str>, key: &str) -> Option<usize> {
    let sets = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text?.lines().position(sets).map(|i| i + 1)
}

/// A seed for whoever named none: from the clock, short enough to be typed.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    elenchus_core::random::Seed(now.as_nanos() as u64).nth(0).0 % 1_000_000
}

/// Says what was wrong with the arguments or the input.
fn usage(why: &str) -> Exit {
    eprintln!("elenchus: {why}");
    Exit::Usage
}

/// Says what broke.
fn broken(why: &str) -> Exit {
    eprintln!("elenchus: {why}");
    Exit::Broken
}

fn node(options: &str) -> Exit {
    let options: elenchus_reference::node::NodeOptions = match serde_json::from_str(options) {
        Ok(options) => options,
        Err(e) => return usage(&format!("a node's options: {e}")),
    };
    match elenchus_reference::node::run(&options) {
        Ok(()) => Exit::Valid,
        // It has said why on standard error already.
        Err(_) => Exit::Broken,
    }
}
