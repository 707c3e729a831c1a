//! The hosts of a running trial.

use super::helper::Helper;
use super::seat::Seated;
use super::undo::{self, HostList, agent_folder};
use super::{ANSWER_MAX, FETCH_MAX, LOGIN_MAX, UPLOAD_MAX, accesses, each};
use crate::agent::{AgentHost, AgentMachines, Connect, Right, Stream};
use crate::ending::{KEPT_MAX, fresh};
use crate::host::ssh::{Purpose, SshHost, Trouble, quoted};
use crate::live::DataFolder;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_core::host::Host;
use elenchus_core::process::NodeId;
use elenchus_core::system::System;
use elenchus_nemeses::FaultName;
use elenchus_systems::described::Seat;
use elenchus_systems::described::description::Description;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The hosts of a running trial, each with our helper on it.
pub struct HostGround {
    hosts: Vec<SshHost>,
    /// What peers and clients call each of them.
    addresses: Vec<String>,
    /// The trial's folder on each of them.
    folder: String,
    helper: Helper,
    /// The trial's folder here.
    here: PathBuf,
}

impl HostGround {
    /// Reaches all hosts at once, looks at them and writes down where they are; nothing is changed on them yet.
    pub async fn reach(
        plan: &TrialPlan,
        description: &Description,
        here: &Path,
    ) -> Result<HostGround, String> {
        let ssh = description.ssh.clone().unwrap_or_default();
        let accesses = accesses(description, &plan.nodes)?;
        let hosts = accesses.iter().map(|access| SshHost::new(access.clone(), ssh.sudo));
        let hosts = hosts.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let named = description.hosts.as_ref().ok_or("no hosts are named")?;
        let addresses = plan.nodes.iter().filter_map(|node| named.place(node.as_str()));
        let addresses = addresses.map(|place| place.address().to_owned()).collect();
        each(&hosts, |host| async move { host.connect(LOGIN_MAX).await }).await?;
        let surveys = each(&hosts, |host| async move { host.survey(ANSWER_MAX).await }).await?;
        for (host, survey) in hosts.iter().zip(surveys) {
            survey.runs_us().map_err(|why| format!("{}: {why}", host.node()))?;
        }
        let helper = Helper::new(&ssh)?;
        let trial = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let ground = HostGround {
            hosts,
            addresses,
            folder: format!("{}/{trial}", helper.base),
            helper,
            here: here.to_owned(),
        };
        HostList::new(accesses, ssh.sudo, ground.folder.clone(), ground.helper.path.clone()).keep(here)?;
        Ok(ground)
    }

    /// Sends our helper where it is not yet, and starts it. Returns what was done, a line each.
    pub async fn settle(&self, description: &Description) -> Result<Vec<String>, String> {
        let clock = description.ssh.as_ref().is_some_and(|ssh| ssh.host_clock);
        let settled = each(&self.hosts, |host| {
            let place = Place {
                folder: self.folder.clone(),
                helper: self.helper.clone(),
                clock: if clock { "host" } else { "processes" },
            };
            async move { place.settle(&host).await }
        });
        settled.await
    }

    /// The nodes' machines, asked through the helpers. To be called inside a `LocalSet`.
    pub async fn machines(&self) -> Result<AgentMachines, String> {
        let mut agents = vec![];
        for (host, address) in self.hosts.iter().zip(&self.addresses) {
            agents.push(AgentHost {
                node: host.node().clone(),
                addresses: resolved(address).map_err(|why| format!("{}: {address}: {why}", host.node()))?,
                user: None,
                work: self.connect(host),
                heal: self.connect(host),
            });
        }
        AgentMachines::open(agents).await.map_err(|error| error.to_string())
    }

    /// Which of these faults some host does not allow, in words that name the host and the reason.
    pub fn lacking(
        &self,
        machines: &AgentMachines,
        faults: &[FaultName],
    ) -> Result<Vec<(FaultName, String)>, String> {
        let mut lacking = vec![];
        for host in &self.hosts {
            let hello = machines.hello(host.node()).map_err(|error| error.to_string())?;
            for fault in faults {
                if let Some(Right::No(why)) = hello.rights.get(&fault.to_string()) {
                    let refused = Trouble::Failed(format!("it cannot suffer `{fault}`: {why}"));
                    lacking.push((*fault, host.error(refused).to_string()));
                }
            }
        }
        Ok(lacking)
    }

    /// Makes these data folders ones that faults can strike.
    pub async fn store(
        &self,
        machines: &AgentMachines,
        folders: &[(NodeId, DataFolder)],
    ) -> Result<(), String> {
        for (node, folder) in folders {
            let host = self.hosts.iter().find(|host| host.node() == node);
            let host = host.ok_or_else(|| format!("{node} has no host"))?;
            // Made by whoever logs in, and not by root, as all that lies beside it.
            Seated(host.clone()).folder(&folder.path).await.map_err(|why| why.to_string())?;
            machines.store(node, folder).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn connect(&self, host: &SshHost) -> Connect {
        let (helper, folder) = (quoted(&self.helper.path), quoted(&agent_folder(&self.folder)));
        // The first argument is whence we come: that address is never cut.
        let command = format!("exec {helper} agent attach --folder {folder} --from \"${{1%% *}}\"");
        let host = host.clone();
        Rc::new(move || {
            let (host, command) = (host.clone(), command.clone());
            Box::pin(async move {
                let stream = host.stream(&command, ANSWER_MAX).await.map_err(io::Error::other)?;
                let (reader, writer) = stream.socket.into_split();
                Ok(Stream { reader: Box::new(reader), writer: Box::new(writer) })
            })
        })
    }

    /// Where each node is, for its system.
    pub fn seats(&self) -> Vec<Seat> {
        let seat = |(host, address): (&SshHost, &String)| Seat {
            node: host.node().clone(),
            address: address.clone(),
            host: Rc::new(Seated(host.clone())),
            folder: Path::new(&self.folder).join(host.node().as_str()),
            output: self.output(host.node()),
            client_log: self.here.join(file::LOGS).join(host.node().as_str()).join("client.log"),
        };
        self.hosts.iter().zip(&self.addresses).map(seat).collect()
    }

    /// Where the helper keeps what a node prints, on its host.
    fn logs(&self, node: &NodeId) -> PathBuf {
        Path::new(&agent_folder(&self.folder)).join("logs").join(node.as_str())
    }

    /// Where a node's output goes, on its host.
    pub fn output(&self, node: &NodeId) -> PathBuf {
        self.logs(node).join("output.log")
    }

    /// Fetches the files and folders that the system says are worth keeping. Returns what could not be had, a line
    /// each.
    pub async fn keep(&self, system: &dyn System) -> Vec<String> {
        let fetched = each(&self.hosts, |host| {
            let from = system.logs(host.node());
            let logs = Logs {
                copies: format!("{}/kept", self.folder),
                to: self.here.join(file::LOGS).join(host.node().as_str()),
            };
            async move { Ok(logs.fetch(&host, &from).await) }
        });
        match fetched.await {
            Ok(lines) => lines.into_iter().flatten().collect(),
            Err(why) => vec![why],
        }
    }

    /// Fetches what the nodes printed; says what could not be fetched.
    pub async fn collect(&self) -> Result<(), String> {
        let command = format!("chmod -R a+rX -- {}/logs", quoted(&agent_folder(&self.folder)));
        let fetched = each(&self.hosts, |host| {
            let from = self.logs(host.node());
            let to = self.here.join(file::LOGS).join(host.node().as_str());
            let command = command.clone();
            async move {
                host.run_as_root(Purpose::Work, &command, FETCH_MAX).await?;
                host.download(&from, &to, UPLOAD_MAX).await
            }
        });
        fetched.await.map(drop)
    }

    /// Has the helpers undo everything and end, and removes what the trial put on the hosts. Those that cannot be
    /// reached are told by the error; their helpers undo everything by themselves, and `heal` does the rest.
    pub async fn leave(&self) -> Result<(), String> {
        undo::leave(&self.hosts, &self.folder, &self.helper.path).await?;
        HostList::done(&self.here);
        Ok(())
    }
}

/// Where logs of one node go.
struct Logs {
    /// For copies that whoever logs in may read, on the host.
    copies: String,
    /// For good, here.
    to: PathBuf,
}

impl Logs {
    /// Fetches what is at these paths; says what could not be.
    async fn fetch(&self, host: &SshHost, paths: &[PathBuf]) -> Vec<String> {
        let mut lines = vec![];
        for (number, from) in (1..).zip(paths) {
            let wrong = |why: String| format!("{}: {} is not kept: {why}", host.node(), from.display());
            let copies = format!("{}/{number}", self.copies);
            let copied = host.run_as_root(Purpose::Work, &copying(from, &copies), FETCH_MAX).await;
            match copied {
                Ok(said) if said.is_success() => {
                    let copy = Path::new(&copies).join(from.file_name().unwrap_or_default());
                    let to = fresh(&self.to, from);
                    if let Err(error) = host.download(&copy, &to, UPLOAD_MAX).await {
                        lines.push(wrong(error.to_string()));
                    }
                }
                Ok(said) => lines.push(wrong(said.ending())),
                // A host that is gone is not waited for once more.
                Err(error) => {
                    lines.push(wrong(error.to_string()));
                    break;
                }
            }
        }
        lines
    }
}

/// The command that copies a file or a folder to where everybody may read it. Links are not followed: they may lead
/// anywhere.
fn copying(from: &Path, to: &str) -> String {
    let (from, to) = (quoted(&from.to_string_lossy()), quoted(to));
    let most = KEPT_MAX >> 10;
    format!(
        "if test -L {from} || test ! -e {from}; then echo it is not there >&2; exit 1; fi; \
         size=$(du -sk -- {from} | cut -f1); if test \"$size\" -gt {most}; then \
         echo \"$size KiB are too much\" >&2; exit 1; fi; \
         mkdir -p -- {to} && cp -RP -- {from} {to}/ && find {to} -type l -delete && chmod -R a+rX -- {to}"
    )
}

/// What is to be put on one host.
struct Place {
    folder: String,
    helper: Helper,
    clock: &'static str,
}

impl Place {
    async fn settle(&self, host: &SshHost) -> Result<String, crate::host::ssh::SshError> {
        let is_there = self.helper.send(host).await?;
        let made = format!("mkdir -p -- {}", quoted(&self.folder));
        let said = host.run(Purpose::Work, &made, ANSWER_MAX).await?;
        host.expect(&said, "make the trial's folder")?;
        let serve = format!(
            "{} agent serve --folder {} --node {} --clock {}",
            quoted(&self.helper.path),
            quoted(&agent_folder(&self.folder)),
            quoted(host.node().as_str()),
            self.clock
        );
        let said = host.run_as_root(Purpose::Work, &serve, ANSWER_MAX).await?;
        host.expect(&said, "start our helper")?;
        let how = if is_there { "was there" } else { "was sent" };
        Ok(format!("{}: the helper {how} and runs", host.node()))
    }
}

/// The addresses that packets from there bear.
fn resolved(address: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = (address, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    found.sort();
    found.dedup();
    Ok(found)
}
