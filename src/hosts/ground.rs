//! The hosts of a running trial.

use super::seat::Seated;
use super::undo::{self, HostList, agent_folder};
use super::{ANSWER_MAX, FETCH_MAX, FOLDER, LOGIN_MAX, UPLOAD_MAX, accesses, each};
use crate::agent::{AgentHost, AgentMachines, Connect, Right, Stream};
use crate::host::ssh::{Purpose, SshHost, Trouble, quoted};
use crate::live::DataFolder;
use crate::plan::TrialPlan;
use crate::store::file;
use elenchus_core::host::Host;
use elenchus_core::process::NodeId;
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
    helper: String,
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
        let base = ssh.folder.unwrap_or_else(|| FOLDER.into());
        let trial = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let hash = own_hash().map_err(|error| format!("our own program cannot be read: {error}"))?;
        let ground = HostGround {
            hosts,
            addresses,
            folder: format!("{base}/{trial}"),
            helper: format!("{base}/bin/elenchus-{hash}"),
            here: here.to_owned(),
        };
        HostList::new(accesses, ssh.sudo, ground.folder.clone(), ground.helper.clone()).keep(here)?;
        Ok(ground)
    }

    /// Sends our helper where it is not yet, and starts it. Returns what was done, a line each.
    pub async fn settle(&self, description: &Description) -> Result<Vec<String>, String> {
        let program = std::env::current_exe().map_err(|error| format!("our own program: {error}"))?;
        let clock = description.ssh.as_ref().is_some_and(|ssh| ssh.host_clock);
        let settled = each(&self.hosts, |host| {
            let place = Place {
                folder: self.folder.clone(),
                helper: self.helper.clone(),
                program: program.clone(),
                clock: if clock { "host" } else { "processes" },
            };
            async move { place.settle(&host).await }
        });
        settled.await
    }

    /// The nodes' machines, asked through the helpers; an error if a host does not allow one of these faults. To be
    /// called inside a `LocalSet`.
    pub async fn machines(&self, faults: &[FaultName]) -> Result<AgentMachines, String> {
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
        let machines = AgentMachines::open(agents).await.map_err(|error| error.to_string())?;
        for (host, fault) in self.hosts.iter().flat_map(|host| faults.iter().map(move |fault| (host, fault)))
        {
            let hello = machines.hello(host.node()).map_err(|error| error.to_string())?;
            if let Some(Right::No(why)) = hello.rights.get(&fault.to_string()) {
                let refused = Trouble::Failed(format!("it cannot suffer `{fault}`: {why}"));
                return Err(host.error(refused).to_string());
            }
        }
        Ok(machines)
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
        let (helper, folder) = (quoted(&self.helper), quoted(&agent_folder(&self.folder)));
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
        undo::leave(&self.hosts, &self.folder, &self.helper).await?;
        HostList::done(&self.here);
        Ok(())
    }
}

/// What is to be put on one host.
struct Place {
    folder: String,
    helper: String,
    program: PathBuf,
    clock: &'static str,
}

impl Place {
    async fn settle(&self, host: &SshHost) -> Result<String, crate::host::ssh::SshError> {
        let (folder, helper) = (quoted(&self.folder), quoted(&self.helper));
        let bin = Path::new(&self.helper).parent().unwrap_or(Path::new("/"));
        let base = quoted(&bin.parent().unwrap_or(bin).to_string_lossy());
        // What root runs must not lie where somebody else may put another file in its place.
        let made = format!(
            "mkdir -p -- {base} && {{ test -O {base} || {{ echo {base} belongs to somebody else: name another \
             folder in cluster.ssh.folder >&2; exit 1; }}; }} && mkdir -p -- {base}/bin {folder} && \
             {{ test ! -x {helper} || sha1sum < {helper}; }}"
        );
        let said = host.run(Purpose::Work, &made, ANSWER_MAX).await?;
        host.expect(&said, "make its folder")?;
        let is_there = !said.text().is_empty() && self.helper.ends_with(short_hash(&said.text()));
        if !is_there {
            host.upload(&self.program, Path::new(&self.helper), UPLOAD_MAX).await?;
            let said = host.run(Purpose::Work, &format!("{helper} --version"), ANSWER_MAX).await?;
            host.expect(&said, "run our helper")?;
        }
        let serve = format!(
            "{helper} agent serve --folder {} --node {} --clock {}",
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

/// What our own program holds, in a word.
fn own_hash() -> io::Result<String> {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(&std::fs::read(std::env::current_exe()?)?);
    Ok(short_hash(&sha1.hexdigest()).to_owned())
}

/// Enough of a hash for a name.
fn short_hash(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}
