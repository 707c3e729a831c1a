//! A campaign with every choice made: what will be done, before anything is started.
//!
//! Pure in (campaign, seed). What the machine cannot do or the system cannot suffer is refused here, by
//! name; only whether namespaces are allowed is found out at provisioning.

use crate::campaign::{BugName, Campaign, Consistency, Faults, Nodes, Values};
use crate::faults::{self, Ground};
use crate::host::IsolationRequest;
use crate::quantity::{Bytes, Concurrency, Span};
use crate::registry::{self, Registry, SystemEntry};
use crate::schedule::{self, Written};
use crate::script::Script;
use crate::trace::Level;
use elenchus_core::fault::{Fault, Target};
use elenchus_core::process::NodeId;
use elenchus_core::random::Seed;
use elenchus_nemeses::{FaultName, Strike};
use elenchus_reference::replica::Reads;
use elenchus_reference::sim::{Priorities, Simulation};
use elenchus_systems::described::description::{Absurd, Description};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// All trials of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// The version of this format.
    pub version: u32,
    /// The trials, in their order.
    pub trials: Vec<TrialPlan>,
}

/// One trial, every choice explicit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrialPlan {
    /// The campaign's name.
    pub name: String,
    /// The system under test.
    pub system: String,
    /// What the clients do.
    pub workload: String,
    /// Which values they write.
    pub values: Values,
    /// What registers promise.
    #[serde(default)]
    pub consistency: Consistency,
    /// How long locks outlive the last sign of their holder's life.
    #[serde(default = "lease_ttl")]
    pub lease_ttl: Span,
    /// Whether what a lock guards looks at tokens.
    #[serde(default)]
    pub fencing: bool,
    /// The nodes.
    pub nodes: Vec<NodeId>,
    /// How many operations may be open at once.
    pub concurrency: u32,
    /// Operations a second, all clients together; 0 is as fast as it goes.
    pub rate: f64,
    /// How long clients work and faults strike.
    pub time_limit: Span,
    /// When an operation is in doubt.
    pub timeout: Span,
    /// How long healing and the final phase may take together.
    pub final_limit: Span,
    /// The faults that strike.
    pub nemesis: Vec<FaultName>,
    /// Whether they were asked for by name: then each of them must hit.
    pub nemesis_named: bool,
    /// The mean time between actions of the nemesis.
    pub nemesis_interval: Span,
    /// The faults that were written out, each at its time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<Strike>,
    /// The strikes that stand in the place of those that the seed draws, if some do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Vec<Strike>>,
    /// What takes the place of workload and nemesis: everything that is done, written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Script>,
    /// Fixes every choice above and below.
    pub seed: Seed,
    /// Streams whose choices another seed fixes, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reseeded: BTreeMap<String, Seed>,
    /// How the nodes are kept apart.
    pub isolation: IsolationRequest,
    /// First port of the nodes under the proxy.
    pub port_base: Option<u16>,
    /// The mistakes that the nodes make.
    pub bugs: Vec<String>,
    /// What the simulated universe is like, if the trial takes place in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<Simulation>,
    /// How much they tell in their traces.
    #[serde(default)]
    pub trace: Level,
    /// The user's own system, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Description>,
    /// Whether a cluster that does not recover is a violation.
    pub require_recovery: bool,
    /// Whether the cluster goes on running after the trial until the user ends it.
    #[serde(default)]
    pub leave_running: bool,
    /// How long the checkers may take.
    pub check_timeout: Span,
    /// How much memory they may use.
    pub check_memory: Bytes,
    /// The command that runs this trial again.
    pub again: String,
}

/// A campaign that cannot be carried out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {what}")]
pub struct Impossible {
    /// The key or flag at fault.
    pub key: &'static str,
    /// Why, and what to do.
    pub what: String,
    /// Where in the campaign's file, in bytes, if that is known.
    pub at: Option<usize>,
}

fn impossible(key: &'static str, what: impl Into<String>) -> Impossible {
    Impossible { key, what: what.into(), at: None }
}

impl Plan {
    /// Makes every choice. `seed` is used where the campaign names none; `file` is how the user named the
    /// campaign file, for the command that runs a trial again.
    pub fn of(
        registry: &Registry,
        campaign: &Campaign,
        seed: u64,
        file: Option<&str>,
    ) -> Result<Plan, Impossible> {
        let first = Seed(campaign.seed.unwrap_or(seed));
        let count = campaign.test_count.unwrap_or(1);
        if count == 0 {
            return Err(impossible("test-count", "0 trials would examine nothing"));
        }
        let trials = (0..count)
            .map(|i| {
                // The first trial has the seed that the user named, so that `--seed` repeats any of them.
                let seed = if i == 0 { first } else { Seed(first.nth(u64::from(i)).0 >> 12) };
                TrialPlan::of(registry, campaign, seed, file)
            })
            .collect::<Result<_, _>>()?;
        Ok(Plan { version: 1, trials })
    }
}

impl TrialPlan {
    fn of(
        registry: &Registry,
        campaign: &Campaign,
        seed: Seed,
        file: Option<&str>,
    ) -> Result<TrialPlan, Impossible> {
        let asked = campaign;
        let varied = asked.vary.then(|| varied(asked, seed)).transpose()?;
        let campaign = varied.as_ref().unwrap_or(asked);
        let system = system(registry, campaign)?;
        let workload = campaign.workload.clone().unwrap_or_else(|| "register".into());
        if !registry.workload_names().contains(&workload.as_str()) {
            let known = registry.workload_names().join(", ");
            return Err(impossible(
                "workload",
                format!("there is no workload `{workload}`; there are {known}"),
            ));
        }
        let nodes: Vec<NodeId> = match &campaign.nodes {
            Some(nodes) => nodes.0.iter().map(|name| NodeId::new(name)).collect(),
            None => match campaign.cluster.as_ref().filter(|description| description.external) {
                Some(description) => description.addresses.keys().map(|name| NodeId::new(name)).collect(),
                None => hosts(campaign)?.unwrap_or_else(|| NodeId::numbered(5)),
            },
        };
        let (nemesis, nemesis_named) = nemesis_of(campaign, system, nodes.len())?;
        let time_limit = campaign.time_limit.unwrap_or(Span(Duration::from_secs(20)));
        if time_limit.0 < Duration::from_millis(100) {
            return Err(impossible("time-limit", "a trial of less than 100ms would examine nothing"));
        }
        contradictions(campaign, system, &workload)?;
        let schedule = written(campaign, system, &nodes, time_limit.0)?;
        let plan = TrialPlan {
            name: name(campaign, &workload)?,
            system: system.name.into(),
            values: campaign.values.unwrap_or(Values::Unique),
            consistency: campaign.consistency.clone().unwrap_or_default(),
            lease_ttl: campaign.lease_ttl.unwrap_or_else(lease_ttl),
            fencing: campaign.fencing,
            concurrency: concurrency(campaign, nodes.len() as u32)?,
            rate: rate(campaign, system)?,
            timeout: campaign.timeout.unwrap_or(Span(Duration::from_secs(3))),
            final_limit: Span(Duration::from_secs(30)),
            nemesis_interval: interval(campaign)?,
            isolation: isolation(campaign),
            port_base: port_base(campaign, nodes.len())?,
            bugs: bugs(campaign, system)?,
            simulation: simulation(campaign, system)?,
            trace: trace(campaign, system)?,
            cluster: described(campaign, &nodes)?,
            require_recovery: campaign.require_recovery,
            leave_running: campaign.leave_running,
            check_timeout: campaign.check_timeout.unwrap_or(Span(Duration::from_secs(60))),
            check_memory: campaign.check_memory.unwrap_or(Bytes(2 << 30)),
            again: again(registry.program_name(), asked, seed, file),
            workload,
            nodes,
            time_limit,
            nemesis,
            nemesis_named,
            schedule,
            drawn: None,
            script: None,
            seed,
            reseeded: BTreeMap::new(),
        };
        capable(registry, &plan)?;
        Ok(plan)
    }
}

fn lease_ttl() -> Span {
    Span(Duration::from_secs(2))
}

/// A workload whose clients lack what it needs is refused by name.
fn capable(registry: &Registry, plan: &TrialPlan) -> Result<(), Impossible> {
    let offered = registry.offered(plan);
    let needed = registry.trial(plan, "").map_or(&[][..], |trial| trial.needs());
    let lacking: Vec<&str> =
        needed.iter().filter(|need| !offered.contains(need)).map(|need| need.name()).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let offered: Vec<&str> = offered.iter().map(|one| one.name()).collect();
    let what = format!(
        "`{}` needs clients that offer {}; those of the system `{}` offer {}",
        plan.workload,
        lacking.join(", "),
        plan.system,
        offered.join(", ")
    );
    Err(impossible("workload", what))
}

/// What the flags of a trial mean where somebody else runs the nodes: nothing.
fn external_contradictions(campaign: &Campaign) -> Result<(), Impossible> {
    if !campaign.cluster.as_ref().is_some_and(|description| description.external) {
        return Ok(());
    }
    if campaign.isolation.is_some() {
        return Err(impossible("isolation", "somebody else runs the nodes of an external cluster"));
    }
    if campaign.leave_running {
        return Err(impossible("leave-running", "an external cluster goes on running anyway"));
    }
    Ok(())
}

impl TrialPlan {
    /// Whether it takes place in virtual time.
    pub fn is_simulated(&self) -> bool {
        self.simulation.is_some()
    }

    /// The seed of one stream of choices.
    pub fn stream(&self, name: &str) -> Seed {
        self.reseeded.get(name).copied().unwrap_or_else(|| self.seed.stream(name))
    }

    /// Whether faults of this kind strike, drawn or written out.
    pub fn strikes(&self, kind: FaultName) -> bool {
        let written = || self.schedule.iter().any(|strike| strike.fault.name() == kind.as_str());
        let scripted = || {
            let strikes = self.script.iter().flat_map(|script| &script.strikes);
            strikes.into_iter().any(|blow| blow.fault.name() == kind.as_str())
        };
        self.nemesis.contains(&kind) || written() || scripted()
    }
}

/// What would be ignored in silence is refused.
fn contradictions(campaign: &Campaign, system: &SystemEntry, workload: &str) -> Result<(), Impossible> {
    external_contradictions(campaign)?;
    if campaign.values.is_some() && workload != "register" {
        return Err(impossible("values", format!("the workload `{workload}` chooses its own values")));
    }
    if campaign.consistency.is_some() && workload != "register" {
        return Err(impossible("consistency", format!("the workload `{workload}` has its own promise")));
    }
    if workload != "lock" && (campaign.lease_ttl.is_some() || campaign.fencing) {
        let key = if campaign.fencing { "fencing" } else { "lease-ttl" };
        return Err(impossible(key, format!("the workload `{workload}` takes no locks")));
    }
    if campaign.lease_ttl.is_some_and(|ttl| ttl.0 < Duration::from_millis(100)) {
        return Err(impossible("lease-ttl", "a lock of less than 100ms cannot be kept alive"));
    }
    if (campaign.isolation.is_some() || campaign.port_base.is_some())
        && ["memory", registry::SIMULATED].contains(&system.name)
    {
        let key = if campaign.isolation.is_some() { "isolation" } else { "port-base" };
        return Err(impossible(key, format!("the system `{}` has no processes to keep apart", system.name)));
    }
    if campaign.isolation == Some(IsolationRequest::Proxy) && campaign.cluster.is_some() {
        let what = "a described cluster needs namespaces: each of its nodes has an address of its own";
        return Err(impossible("isolation", what));
    }
    if campaign.port_base.is_some() && campaign.cluster.is_some() {
        return Err(impossible(
            "port-base",
            "a described cluster names its ports itself, in `cluster.ports`",
        ));
    }
    if campaign.port_base.is_some() && campaign.isolation == Some(IsolationRequest::Namespaces) {
        return Err(impossible(
            "port-base",
            "in namespaces each node has an address of its own, and all ports",
        ));
    }
    Ok(())
}

fn system<'r>(registry: &'r Registry, campaign: &Campaign) -> Result<&'r SystemEntry, Impossible> {
    let system = match (campaign.sim, campaign.system.as_deref()) {
        (true, None | Some("bundled" | registry::SIMULATED)) => Some(registry::SIMULATED),
        (true, Some(name)) => {
            return Err(impossible("sim", format!("the system `{name}` cannot be simulated; leave one out")));
        }
        (false, name) => name,
    };
    let name = match (&campaign.cluster, system) {
        (Some(_), None) => registry::DESCRIBED,
        (Some(_), Some(registry::SIMULATED)) => {
            let what =
                "what `[cluster]` describes is real and cannot be simulated: only the bundled cluster can";
            return Err(impossible("sim", what));
        }
        (Some(_), Some(name)) if name != registry::DESCRIBED => {
            let what = format!("`{name}` and `[cluster]` are two systems: leave one out");
            return Err(impossible("system", what));
        }
        (None, Some(registry::DESCRIBED)) => {
            return Err(impossible(
                "system",
                "it is described in `[cluster]` of a campaign file; there is none",
            ));
        }
        (_, name) => name.unwrap_or("bundled"),
    };
    registry.find_system(name).ok_or_else(|| {
        let known: Vec<&str> = registry.systems().iter().map(|entry| entry.name).collect();
        impossible("system", format!("there is no system `{name}`; there are {}", known.join(", ")))
    })
}

/// A described cluster cannot share the loopback: its nodes know each other by address.
fn isolation(campaign: &Campaign) -> IsolationRequest {
    match (campaign.isolation, &campaign.cluster) {
        (None | Some(IsolationRequest::Auto), Some(_)) => IsolationRequest::Namespaces,
        (asked, _) => asked.unwrap_or(IsolationRequest::Auto),
    }
}

/// The nodes that have hosts, if the cluster is on hosts.
fn hosts(campaign: &Campaign) -> Result<Option<Vec<NodeId>>, Impossible> {
    let Some(hosts) = campaign.cluster.as_ref().and_then(|cluster| cluster.hosts.as_ref()) else {
        return Ok(None);
    };
    let names = hosts.0.iter().map(|(name, _)| name.clone()).collect();
    let nodes = Nodes::named(names).map_err(|why| impossible("cluster", format!("hosts: {why}")))?;
    Ok(Some(nodes.0.iter().map(|name| NodeId::new(name)).collect()))
}

/// How hosts are reached, flags included; what cannot be is refused.
fn reached(campaign: &Campaign, description: &mut Description, nodes: &[NodeId]) -> Result<(), Impossible> {
    let flags = [
        ("ssh-private-key", campaign.ssh_private_key.is_some()),
        ("username", campaign.username.is_some()),
        ("strict-host-key-checking", campaign.strict_host_key_checking.is_some()),
    ];
    if description.hosts.is_none() {
        let key = if description.ssh.is_some() { Some("cluster") } else { None };
        let flag = flags.iter().find(|(_, is_said)| *is_said).map(|(flag, _)| *flag);
        return match key.or(flag) {
            None => Ok(()),
            Some(key) => Err(impossible(key, "there are no hosts to reach: name them in `[cluster.hosts]`")),
        };
    }
    if campaign.isolation.is_some() {
        return Err(impossible("isolation", "hosts are apart from each other already"));
    }
    let mut ssh = description.ssh.take().unwrap_or_default();
    if let Some(key) = &campaign.ssh_private_key {
        let absolute = std::path::absolute(key).map_err(|e| impossible("ssh-private-key", e.to_string()))?;
        ssh.key = Some(absolute);
    }
    ssh.user = campaign.username.clone().or(ssh.user);
    ssh.known_hosts = campaign.strict_host_key_checking.map(|strict| strict.trust()).or(ssh.known_hosts);
    if let Some(folder) = &ssh.folder
        && (!folder.starts_with('/') || folder.trim_end_matches('/').is_empty())
    {
        return Err(impossible(
            "cluster",
            "ssh.folder: a folder's whole path, from `/` on, and not `/` itself",
        ));
    }
    for (key, variable) in [("passphrase", &ssh.passphrase), ("password", &ssh.password)] {
        if let Some(variable) = variable
            && std::env::var(&variable.env).is_err()
        {
            let what = format!("ssh.{key}: the variable {} is not set, or is no text", variable.env);
            return Err(impossible("cluster", what));
        }
    }
    description.ssh = Some(ssh);
    crate::hosts::accesses(description, nodes).map(drop).map_err(|why| impossible("cluster", why))
}

/// The description, if nothing in it is absurd on this machine.
fn described(campaign: &Campaign, nodes: &[NodeId]) -> Result<Option<Description>, Impossible> {
    let Some(description) = &campaign.cluster else {
        let flag = campaign.ssh_private_key.as_ref().map(|_| "ssh-private-key");
        let flag = flag.or(campaign.username.as_ref().map(|_| "username"));
        let flag = flag.or(campaign.strict_host_key_checking.map(|_| "strict-host-key-checking"));
        return match flag {
            None => Ok(None),
            Some(flag) => Err(impossible(
                flag,
                "there are no hosts to reach: a campaign file names them in `[cluster.hosts]`",
            )),
        };
    };
    let refuse = |absurd: Absurd| impossible("cluster", format!("{}: {}", absurd.key, absurd.what));
    description.check().map_err(refuse)?;
    for (key, variable) in description.secrets() {
        if std::env::var(variable).is_err() {
            let what = format!("{key}: the variable {variable} is not set, or is no text");
            return Err(impossible("cluster", what));
        }
    }
    strangers(description, nodes)?;
    if let Some(user) = &description.user
        && description.hosts.is_none()
    {
        if !nix::unistd::geteuid().is_root() {
            let what =
                format!("user: only root can run nodes as `{user}`; leave it out to run them as yourself");
            return Err(impossible("cluster", what));
        }
        crate::described::account(user).map_err(|why| impossible("cluster", format!("user: {why}")))?;
    }
    let mut description = description.clone().settled(&campaign.folder).map_err(refuse)?;
    reached(campaign, &mut description, nodes)?;
    Ok(Some(description))
}

/// Names in a description that are no node's, and nodes without what they need.
fn strangers(description: &Description, nodes: &[NodeId]) -> Result<(), Impossible> {
    let known = |name: &&String| nodes.iter().any(|node| node.as_str() == name.as_str());
    let keyed = [("node", description.node.keys().find(|name| !known(name)))];
    let keyed =
        keyed.into_iter().chain([("addresses", description.addresses.keys().find(|name| !known(name)))]);
    for (key, stranger) in keyed {
        if let Some(stranger) = stranger {
            let all: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
            let what = format!("{key}.{stranger}: there is no such node; there are {}", all.join(", "));
            return Err(impossible("cluster", what));
        }
    }
    if description.external
        && let Some(node) = nodes.iter().find(|node| !description.addresses.contains_key(node.as_str()))
    {
        return Err(impossible("cluster", format!("addresses: {node} has none")));
    }
    Ok(())
}

fn name(campaign: &Campaign, workload: &str) -> Result<String, Impossible> {
    let name = campaign.name.clone().unwrap_or_else(|| workload.into());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || name.len() > 100 || !name.chars().all(is_plain) {
        return Err(impossible("name", format!("`{name}` names no folder: use letters, digits, - _ and .")));
    }
    Ok(name)
}

fn concurrency(campaign: &Campaign, nodes: u32) -> Result<u32, Impossible> {
    let concurrency = campaign.concurrency.unwrap_or(Concurrency::PerNode(4)).of(nodes);
    if concurrency > 10_000 {
        return Err(impossible(
            "concurrency",
            format!("{concurrency} open operations are too many: at most 10000"),
        ));
    }
    Ok(concurrency)
}

fn rate(campaign: &Campaign, system: &SystemEntry) -> Result<f64, Impossible> {
    let rate = campaign.rate.unwrap_or(system.rate);
    if rate.is_finite() && (0.0..=10_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err(impossible("rate", format!("{rate} operations a second cannot be had; 0 is as fast as it goes")))
    }
}

fn interval(campaign: &Campaign) -> Result<Span, Impossible> {
    let interval = campaign.nemesis_interval.unwrap_or(Span(Duration::from_millis(2500)));
    if interval.0 < Duration::from_millis(10) {
        return Err(impossible("nemesis-interval", "faults need 10ms or more to come and go"));
    }
    Ok(interval)
}

/// The faults that strike, and whether they were named.
fn nemesis_of(
    campaign: &Campaign,
    system: &SystemEntry,
    nodes: usize,
) -> Result<(Vec<FaultName>, bool), Impossible> {
    let fits = |fault: &FaultName| fault.nodes_min() <= nodes && can_suffer(campaign, system, *fault).is_ok();
    let named = match &campaign.nemesis {
        // Whoever wrote out what strikes and when wants no more, unless he says so.
        None if !campaign.schedule.is_empty() => return Ok((Vec::new(), false)),
        None => return Ok((FaultName::CUSTOMARY.into_iter().filter(fits).collect(), false)),
        Some(Faults::All) => {
            let within = FaultName::ALL.into_iter().filter(|fault| !fault.is_beyond_assumptions());
            return Ok((within.filter(fits).collect(), false));
        }
        Some(Faults::Named(named)) => named,
    };
    for fault in named {
        can_suffer(campaign, system, *fault).map_err(|why| impossible("nemesis", why))?;
        if fault.nodes_min() > nodes {
            let what = format!("`{fault}` needs {} nodes or more; there are {nodes}", fault.nodes_min());
            return Err(impossible("nemesis", what));
        }
    }
    Ok((named.clone(), true))
}

/// The written faults, if the system can suffer each.
fn written(
    campaign: &Campaign,
    system: &SystemEntry,
    nodes: &[NodeId],
    limit: Duration,
) -> Result<Vec<Strike>, Impossible> {
    let strike = |(number, written): (usize, &Written)| {
        let refuse = |at, what| {
            let what = format!("fault {number}: {what}");
            Impossible { key: "schedule", what, at: Some(at) }
        };
        let strike = written.strike(nodes, limit).map_err(|refused| refuse(refused.at, refused.what))?;
        let can = sufferable(campaign, system, &strike.fault);
        can.map_err(|what| refuse(written.fault.span().start, what))?;
        Ok(strike)
    };
    let strikes: Vec<Strike> = (1..).zip(&campaign.schedule).map(strike).collect::<Result<_, _>>()?;
    for (number, one) in strikes.iter().enumerate() {
        if let Some(later) = strikes[number + 1..].iter().position(|other| covers(other, one)) {
            let what = format!(
                "fault {}: it would never be felt: fault {} begins with it at the same nodes, lasts as long, and of two \
                 that change the same thing of a node the newer counts",
                number + 1,
                number + later + 2
            );
            let at = Some(campaign.schedule[number].fault.span().start);
            return Err(Impossible { key: "schedule", what, at });
        }
    }
    Ok(strikes)
}

/// Whether a strike, written after another, takes its place for as long as that lasts.
fn covers(later: &Strike, one: &Strike) -> bool {
    let is_one_at_a_time = matches!(
        one.fault,
        Fault::Clock { .. } | Fault::Packets { .. } | Fault::Disk { .. } | Fault::Resources { .. }
    );
    let is_longer = later.at_ms == one.at_ms && later.lasts_ms >= one.lasts_ms;
    let nodes = match (later.fault.nodes(), one.fault.nodes()) {
        (Some(Target::Nodes(wide)), Some(Target::Nodes(narrow))) => {
            narrow.iter().all(|node| wide.contains(node))
        }
        (wide, narrow) => wide == narrow,
    };
    is_one_at_a_time && is_longer && nodes && later.fault.name() == one.fault.name()
}

fn sufferable(campaign: &Campaign, system: &SystemEntry, fault: &Fault) -> Result<(), String> {
    let kind = FaultName::ALL.into_iter().find(|name| name.as_str() == fault.name());
    can_suffer(campaign, system, kind.expect("every fault has a name"))?;
    if let Fault::Packets { trouble, .. } = fault
        && isolation(campaign) == IsolationRequest::Proxy
    {
        faults::trouble_by_proxy(*trouble)?;
    }
    let mute = campaign.cluster.as_ref().is_some_and(|description| description.leader.is_none());
    if mute && schedule::aims_at_leaders(fault) {
        return Err("nobody can tell who leads: describe it in [cluster.leader], or name the nodes".into());
    }
    Ok(())
}

/// Whether the campaign's cluster can suffer this fault where it stands; an error says why it cannot.
fn can_suffer(campaign: &Campaign, system: &SystemEntry, fault: FaultName) -> Result<(), String> {
    let name = system.name;
    let Some(ground) = system.ground.map(|ground| ground()) else {
        return Err(format!("the system `{name}` has no nodes and cannot suffer `{fault}`"));
    };
    let leases = campaign.simulation.is_some_and(|simulation| simulation.reads == Reads::Lease);
    if leases && fault == FaultName::Clock {
        return Err("nodes that read by lease assume that clocks run evenly: `clock` is beyond that".into());
    }
    let on_hosts = campaign.cluster.as_ref().is_some_and(|cluster| cluster.hosts.is_some());
    let ground = if on_hosts { Ground::Hosts } else { ground };
    let possible = match &campaign.cluster {
        Some(description) if description.external => {
            Err("somebody else runs the nodes of an external cluster".to_owned())
        }
        Some(description) if description.has_units() && faults::of_units(fault).is_err() => {
            faults::of_units(fault).map_err(str::to_owned)
        }
        Some(Description { membership: None, .. }) if fault == FaultName::Membership => {
            Err("`cluster.membership` does not say how".to_owned())
        }
        _ if isolation(campaign) == IsolationRequest::Proxy => faults::by_proxy(fault, ground),
        _ => faults::available(fault, ground).map(drop),
    };
    possible.map_err(|why| format!("the system `{name}` cannot suffer `{fault}` here: {why}"))
}

fn port_base(campaign: &Campaign, nodes: usize) -> Result<Option<u16>, Impossible> {
    let Some(base) = campaign.port_base else { return Ok(None) };
    let end = usize::from(base) + nodes;
    if base < 1024 || end > 65_536 {
        return Err(impossible(
            "port-base",
            format!("{nodes} nodes from port {base} on do not fit 1024..=65535"),
        ));
    }
    for port in base..=(end - 1) as u16 {
        // Bound and dropped at once: nothing listens there, nothing stays.
        std::net::TcpListener::bind(("127.0.0.1", port))
            .map_err(|e| impossible("port-base", format!("port {port} cannot be used: {e}")))?;
    }
    Ok(Some(base))
}

fn bugs(campaign: &Campaign, system: &SystemEntry) -> Result<Vec<String>, Impossible> {
    if !campaign.bug.is_empty() && !["bundled", registry::SIMULATED].contains(&system.name) {
        return Err(impossible(
            "bug",
            "only the bundled system, simulated or not, can be told to make mistakes",
        ));
    }
    Ok(campaign.bug.iter().map(|BugName(bug)| bug.name().to_owned()).collect())
}

/// The same campaign with everything drawn from the seed that varies from one universe to the next.
fn varied(asked: &Campaign, seed: Seed) -> Result<Campaign, Impossible> {
    if !asked.sim {
        return Err(impossible("vary", "only simulated universes vary: say `--sim`"));
    }
    if asked.simulation.is_some() {
        return Err(impossible("vary", "`[cluster]` says what the universe is like: leave one out"));
    }
    let seed = seed.stream("vary");
    let mut simulation = Simulation::drawn(seed.stream("universe"));
    if matches!(&asked.nemesis, Some(Faults::Named(named)) if named.contains(&FaultName::Clock)) {
        // Who asks for clocks that jump has no use for leases.
        simulation.reads = Reads::ReadIndex;
    }
    let one_of = |name: &str, choices: [u64; 4]| {
        let drawn = choices[seed.stream(name).rng().below(4) as usize];
        Some(Span(Duration::from_millis(drawn)))
    };
    Ok(Campaign {
        simulation: Some(simulation),
        timeout: asked.timeout.or(one_of("timeout", [700, 1_500, 3_000, 3_000])),
        nemesis_interval: asked.nemesis_interval.or(one_of("interval", [1_000, 1_600, 2_500, 4_000])),
        ..asked.clone()
    })
}

/// What the universe of a simulated system is like.
fn simulation(campaign: &Campaign, system: &SystemEntry) -> Result<Option<Simulation>, Impossible> {
    if system.name != registry::SIMULATED {
        if campaign.priorities.is_some() {
            return Err(impossible("priorities", "only a simulated network knows them: say `--sim`"));
        }
        return match campaign.simulation {
            None => Ok(None),
            Some(_) => Err(impossible("simulation", "nothing is simulated: say `--sim`")),
        };
    }
    if campaign.leave_running {
        return Err(impossible("leave-running", "a simulated cluster ends with its trial"));
    }
    let mut simulation = campaign.simulation.unwrap_or_default();
    if let Some(depth) = campaign.priorities {
        let usual = Priorities::new(depth);
        // Held back for longer than elections take, a cluster would do nothing else than elect.
        let hold_ms = usual.hold_ms.min(simulation.election_ms);
        simulation.weather.priorities = Some(Priorities { hold_ms, ..usual });
    }
    // What no file describes is right by itself, but for what a flag adds.
    let key = if campaign.simulation.is_some() { "simulation" } else { "priorities" };
    simulation.check().map_err(|why| impossible(key, why))?;
    Ok(Some(simulation))
}

fn trace(campaign: &Campaign, system: &SystemEntry) -> Result<Level, Impossible> {
    if campaign.trace.is_some() && system.name != "bundled" {
        return Err(impossible(
            "trace",
            "only the nodes of the bundled system can be told how much to trace",
        ));
    }
    Ok(campaign.trace.unwrap_or_default())
}

/// The command that runs this one trial again.
fn again(program: &str, campaign: &Campaign, seed: Seed, file: Option<&str>) -> String {
    let mut words = vec![program.to_owned(), "test".to_owned()];
    words.extend(file.map(quoted));
    let mut flag = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([format!("--{name}"), quoted(&value)]);
        }
    };
    flag("name", campaign.name.clone());
    flag("system", campaign.system.clone());
    flag("workload", campaign.workload.clone());
    flag("values", campaign.values.map(|v| format!("{v:?}").to_lowercase()));
    flag("consistency", campaign.consistency.as_ref().map(ToString::to_string));
    flag("lease-ttl", campaign.lease_ttl.map(|s| s.to_string()));
    flag("nodes", campaign.nodes.as_ref().map(|n| n.0.join(",")));
    flag("concurrency", campaign.concurrency.map(|c| c.to_string()));
    flag("rate", campaign.rate.map(|r| r.to_string()));
    flag("time-limit", campaign.time_limit.map(|s| s.to_string()));
    flag("timeout", campaign.timeout.map(|s| s.to_string()));
    flag("nemesis", campaign.nemesis.as_ref().map(nemesis_text));
    flag("nemesis-interval", campaign.nemesis_interval.map(|s| s.to_string()));
    flag("isolation", campaign.isolation.map(|i| i.to_string()));
    flag("port-base", campaign.port_base.map(|p| p.to_string()));
    for BugName(bug) in &campaign.bug {
        flag("bug", Some(bug.name().to_owned()));
    }
    flag("trace", campaign.trace.map(|level| level.word().to_owned()));
    flag("ssh-private-key", campaign.ssh_private_key.as_ref().map(|key| key.display().to_string()));
    flag("username", campaign.username.clone());
    flag("strict-host-key-checking", campaign.strict_host_key_checking.map(|s| s.word().to_owned()));
    flag("check-timeout", campaign.check_timeout.map(|s| s.to_string()));
    flag("check-memory", campaign.check_memory.map(|b| b.to_string()));
    flag("priorities", campaign.priorities.map(|depth| depth.to_string()));
    flag("seed", Some(seed.0.to_string()));
    if campaign.sim {
        words.push("--sim".into());
    }
    if campaign.vary {
        words.push("--vary".into());
    }
    if campaign.fencing {
        words.push("--fencing".into());
    }
    if campaign.require_recovery {
        words.push("--require-recovery".into());
    }
    words.join(" ")
}

fn nemesis_text(faults: &Faults) -> String {
    match faults {
        Faults::All => "all".into(),
        Faults::Named(named) if named.is_empty() => "none".into(),
        Faults::Named(named) => named.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

/// A word as a shell needs it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_without_a_word_is_the_main_job() {
        let plan = Plan::of(&Registry::builtin(), &Campaign::default(), 7, None)
            .expect("the default can be planned");
        let trial = &plan.trials[0];
        assert_eq!(
            (trial.nodes.len(), trial.workload.as_str(), trial.system.as_str()),
            (5, "register", "bundled")
        );
        assert_eq!(trial.nemesis.len(), 4);
        assert_eq!(trial.time_limit.0, Duration::from_secs(20));
        assert_eq!(trial.again, "elenchus test --seed 7");
    }

    #[test]
    fn the_same_campaign_and_seed_give_the_same_plan_byte_for_byte() {
        let campaign = Campaign { test_count: Some(3), ..Campaign::default() };
        let text = |seed| {
            serde_json::to_string(&Plan::of(&Registry::builtin(), &campaign, seed, None).expect("plannable"))
                .expect("json")
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn what_a_system_cannot_suffer_is_refused_by_name() {
        let campaign =
            Campaign { system: Some("memory".into()), nemesis: "kill".parse().ok(), ..Campaign::default() };
        let refused =
            Plan::of(&Registry::builtin(), &campaign, 1, None).expect_err("memory cannot be killed");
        assert!(refused.key == "nemesis" && refused.what.contains("kill"), "{refused}");
    }

    #[test]
    fn a_workload_whose_clients_lack_what_it_needs_is_refused_by_name() {
        let campaign = Campaign { workload: Some("lock".into()), ..Campaign::default() };
        let refused =
            Plan::of(&Registry::builtin(), &campaign, 1, None).expect_err("the bundled cluster has no locks");
        assert!(refused.key == "workload" && refused.what.contains("offer lock;"), "{refused}");
        let memory = |fencing| {
            let campaign = Campaign { system: Some("memory".into()), fencing, ..campaign.clone() };
            Plan::of(&Registry::builtin(), &campaign, 1, None)
        };
        assert!(memory(false).is_ok() && memory(true).is_ok());
    }

    #[test]
    fn what_a_workload_would_not_look_at_is_refused() {
        let refused = |campaign: Campaign| {
            Plan::of(&Registry::builtin(), &campaign, 1, None).expect_err("it would be ignored").key
        };
        let set = Campaign { workload: Some("set".into()), ..Campaign::default() };
        assert_eq!(refused(Campaign { fencing: true, ..set.clone() }), "fencing");
        assert_eq!(refused(Campaign { lease_ttl: Some(lease_ttl()), ..set.clone() }), "lease-ttl");
        assert_eq!(refused(Campaign { consistency: "sequential".parse().ok(), ..set }), "consistency");
    }

    #[test]
    fn what_the_table_of_faults_denies_is_refused_with_its_reason() {
        let example =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/etcd-ssh/campaign.toml");
        let (on_hosts, _) = Campaign::read(&example).expect("an example");
        let mut denied = 0;
        for (ground, campaign) in [(Ground::Bundled, Campaign::default()), (Ground::Hosts, on_hosts)] {
            for fault in FaultName::ALL {
                let Err(why) = faults::possible(fault, ground) else { continue };
                let campaign = Campaign { nemesis: fault.as_str().parse().ok(), ..campaign.clone() };
                let refused = Plan::of(&Registry::builtin(), &campaign, 1, None).expect_err("it is denied");
                assert!(refused.key == "nemesis" && refused.what.contains(why), "{refused}");
                denied += 1;
            }
        }
        assert!(denied > 0, "the bundled cluster's members are fixed, for one");
    }

    #[test]
    fn what_units_of_systemd_cannot_suffer_is_refused_and_left_out_of_all() {
        let text = "[cluster]\nunit = \"db@{index}\"\nhosts = [\"h1\", \"h2\", \"h3\"]\n\
                    ports = { client = 1 }\nclient = { kind = \"etcd\" }";
        let path = std::env::temp_dir().join(format!("elenchus-plan-units-{}.toml", std::process::id()));
        std::fs::write(&path, text).expect("room for a file");
        let (units, _) = Campaign::read(&path).expect("a campaign");
        std::fs::remove_file(&path).expect("it is ours");
        let plan = |nemesis: &str| {
            let campaign = Campaign { nemesis: nemesis.parse().ok(), ..units.clone() };
            Plan::of(&Registry::builtin(), &campaign, 1, None)
        };
        for fault in FaultName::ALL {
            match faults::of_units(fault) {
                Ok(()) => assert!(plan(fault.as_str()).is_ok(), "{fault}"),
                Err(why) => {
                    let refused = plan(fault.as_str()).expect_err("it is denied");
                    assert!(refused.key == "nemesis" && refused.what.contains(why), "{refused}");
                }
            }
        }
        let all = plan("all").expect("what can be had");
        assert!(all.trials[0].nemesis.iter().all(|fault| faults::of_units(*fault).is_ok()));
        assert!(all.trials[0].nemesis.contains(&FaultName::Clock));
        assert!(all.trials[0].cluster.as_ref().is_some_and(Description::is_unwiped));
    }

    #[test]
    fn a_proxy_slows_streams_and_refuses_what_would_break_them() {
        let plan = |nemesis: &str| {
            let isolation = Some(IsolationRequest::Proxy);
            let campaign = Campaign { isolation, nemesis: nemesis.parse().ok(), ..Campaign::default() };
            Plan::of(&Registry::builtin(), &campaign, 1, None)
        };
        let all = plan("all").expect("what can be had");
        assert!(all.trials[0].nemesis.contains(&FaultName::Packets));
        assert!(!all.trials[0].nemesis.contains(&FaultName::Power));
        assert_eq!(plan("kill,power").expect_err("it takes mounts").key, "nemesis");
        for (trouble, can) in [
            ("delay = \"9ms\"", true),
            ("rate = { kbit = 64 }", true),
            ("loss = \"9%\"", false),
            ("corrupt = \"9%\"", false),
        ] {
            let strike = format!(
                "at = \"1s\"\nfault = {{ packets = {{ nodes = \"n1\", trouble = {{ {trouble} }} }} }}"
            );
            let text = format!("isolation = \"proxy\"\n[[schedule]]\n{strike}\n");
            let campaign = Campaign::parse(&text).expect(trouble);
            let planned = Plan::of(&Registry::builtin(), &campaign, 1, None);
            let why = planned.err().map(|refused| format!("{}: {}", refused.key, refused.what));
            assert_eq!(why.is_none(), can, "{trouble}: {why:?}");
            assert!(why.is_none_or(|why| why.contains("schedule") && why.contains("streams of bytes")));
        }
    }

    #[test]
    fn a_port_in_use_is_refused_before_anything_starts() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let campaign = Campaign { port_base: Some(port), nodes: "1".parse().ok(), ..Campaign::default() };
        let refused = Plan::of(&Registry::builtin(), &campaign, 1, None).expect_err("the port is taken");
        assert!(refused.key == "port-base" && refused.what.contains(&port.to_string()), "{refused}");
    }
}
