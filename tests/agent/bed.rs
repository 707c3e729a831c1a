//! The test bed: each node of a local trial is a host, on which an agent is started and attached to.

use crate::toy;
use elenchus::agent::{AgentError, AgentHost, AgentMachines, Connect, Stream};
use elenchus::host::{Exits, Ground, Spawn, Supervisor};
use elenchus_core::fault::Link;
use elenchus_core::process::NodeId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long to wait for an answer that is not expected; and for one that is, on a busy machine.
pub const SOON: Duration = Duration::from_millis(300);
pub const EVER: Duration = Duration::from_secs(30);

/// Hosts and what reaches them.
pub struct Bed {
    pub folder: PathBuf,
    pub nodes: Vec<NodeId>,
    addresses: Vec<SocketAddr>,
    supervisor: Supervisor,
    exits: tokio::sync::Mutex<Exits>,
    /// The bridges that run.
    pub bridges: Rc<RefCell<Vec<Child>>>,
}

impl Bed {
    /// Runs a scenario on a bed.
    pub fn run(ground: Ground, folder: &Path, scenario: impl AsyncFnOnce(&Bed)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async {
            let (supervisor, exits) = ground.supervisor.connect().unwrap();
            let nodes = NodeId::numbered(3);
            let addresses = nodes.iter().map(|node| ground.addresses.listen(node)).collect();
            let (folder, exits) = (folder.to_owned(), exits.into());
            let bed = Bed { folder, nodes, addresses, supervisor, exits, bridges: Rc::default() };
            scenario(&bed).await;
        });
    }

    /// Where the agent of a node lives.
    pub fn home(&self, node: usize) -> PathBuf {
        self.folder.join(format!("host-{}", node + 1))
    }

    pub fn address(&self, node: usize) -> SocketAddr {
        self.addresses[node]
    }

    pub fn link(&self, from: usize, to: usize) -> Link {
        Link { from: self.nodes[from].clone(), to: self.nodes[to].clone() }
    }

    /// Runs a program in the network of a node to its end. Returns what it printed.
    pub async fn on(&self, node: usize, argv: &[&str]) -> String {
        let output = self.folder.join("output");
        let _ = fs::remove_file(&output);
        let spawn = Spawn {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: vec![],
            cwd: Some(self.folder.clone()),
            user: None,
            stdout: output.clone(),
            stderr: output.clone(),
        };
        self.supervisor.start(&self.nodes[node], &spawn).await.unwrap();
        self.exits.lock().await.recv().await.unwrap();
        fs::read_to_string(output).unwrap()
    }

    /// Runs our program's subcommand `agent` in the network of a node.
    pub async fn agent(&self, node: usize, arguments: &[&str]) -> String {
        let home = self.home(node);
        let mut argv = vec!["/proc/self/exe", "agent", arguments[0], "--folder", home.to_str().unwrap()];
        argv.extend(&arguments[1..]);
        self.on(node, &argv).await
    }

    /// Starts an agent on a host.
    pub async fn serve(&self, node: usize, lease: &str, more: &[&str]) {
        let mut arguments = vec!["serve", "--node", self.nodes[node].as_str(), "--lease", lease];
        arguments.extend(more);
        let said = self.agent(node, &arguments).await;
        assert!(said.contains("\"ready\"") && said.contains("\"already\":false"), "{said}");
    }

    /// Opens bridges to the agent of a host, which takes the controller to be at `from`.
    pub fn connect(&self, node: usize, from: IpAddr) -> Connect {
        let (home, bridges) = (self.home(node), self.bridges.clone());
        Rc::new(move || {
            let mut command = Command::new("/proc/self/exe");
            command.args(["agent", "attach", "--from", &from.to_string(), "--folder"]).arg(&home);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
            let bridges = bridges.clone();
            Box::pin(async move {
                let mut child = command.spawn()?;
                let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                bridges.borrow_mut().push(child);
                Ok(Stream { reader: Box::new(stdout), writer: Box::new(stdin) })
            })
        })
    }

    /// A host as the controller knows it.
    pub fn host(&self, node: usize) -> AgentHost {
        let controller = IpAddr::from([10, 77, 0, 254]);
        AgentHost {
            node: self.nodes[node].clone(),
            addresses: vec![self.addresses[node].ip()],
            user: None,
            work: self.connect(node, controller),
            heal: self.connect(node, controller),
        }
    }

    /// The hosts of the first two nodes, as a trial.
    pub async fn open(&self) -> Result<AgentMachines, AgentError> {
        AgentMachines::open(vec![self.host(0), self.host(1)]).await
    }

    /// How to start a toy as a node.
    pub fn toy(&self, node: usize) -> Spawn {
        Spawn {
            argv: vec!["/proc/self/exe".into()],
            env: vec![
                (toy::ROLE.into(), "node".into()),
                (toy::LISTEN.into(), self.addresses[node].to_string()),
                ("MARK".into(), self.folder.display().to_string()),
            ],
            cwd: Some(self.folder.clone()),
            user: None,
            stdout: "/nowhere/on/this/host".into(),
            stderr: "/nowhere/on/this/host".into(),
        }
    }

    pub fn ask(&self, node: usize, line: &str) -> String {
        try_ask(self.addresses[node], line, EVER).unwrap_or_else(|| panic!("n{} answers", node + 1))
    }

    pub fn dial(&self, from: usize, to: usize) -> String {
        self.ask(from, &format!("dial {}", self.addresses[to]))
    }

    pub fn reach_each_other(&self) {
        let reach = |from, to| self.dial(from, to) == "reached";
        eventually("the nodes reach each other", || reach(0, 1) && reach(1, 0));
    }

    /// The rules of ours that the network of a node holds; `None` where `nft` is not installed.
    pub async fn rules(&self, node: usize) -> Option<Vec<String>> {
        if !["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].iter().any(|path| Path::new(path).exists()) {
            return None;
        }
        let said = self.on(node, &["nft", "list", "ruleset"]).await;
        Some(said.lines().filter(|line| line.contains("elenchus-")).map(str::to_owned).collect())
    }

    pub async fn no_rules(&self, node: usize) {
        if let Some(rules) = self.rules(node).await {
            assert_eq!(rules, [] as [String; 0], "on n{}", node + 1);
        }
    }

    /// The number that a file of an agent's names at this path.
    pub fn pid(&self, node: usize, file: &str, line: usize, path: &str) -> i32 {
        let text = fs::read_to_string(self.home(node).join(file)).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().nth(line).unwrap()).unwrap();
        line.pointer(path).unwrap().as_i64().unwrap() as i32
    }

    pub fn agent_pid(&self, node: usize) -> i32 {
        self.pid(node, "agent.lock", 0, "/identity/pid")
    }

    pub fn supervisor_pid(&self, node: usize) -> i32 {
        self.pid(node, "journal.jsonl", 1, "/process/identity/pid")
    }

    /// Kills agent and supervisor at once.
    pub fn kill_both(&self, node: usize) {
        let (agent, supervisor) = (self.agent_pid(node), self.supervisor_pid(node));
        // The supervisor first, but it must not have its last word.
        for (pid, how) in
            [(supervisor, Signal::SIGSTOP), (agent, Signal::SIGKILL), (supervisor, Signal::SIGKILL)]
        {
            kill(Pid::from_raw(pid), how).unwrap();
        }
        eventually("both are gone", || {
            [agent, supervisor].iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists())
        });
    }

    /// The data folder of a node, on its host.
    pub fn data(&self, node: usize) -> PathBuf {
        self.home(node).join("node/data")
    }

    /// Whether a disk of ours is mounted there.
    pub fn has_disk(&self, node: usize) -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(&format!(" {} ", self.data(node).display()))
    }

    pub fn log(&self, node: usize) -> String {
        fs::read_to_string(self.home(node).join("agent.log")).unwrap()
    }

    /// Waits until nothing lives on a host; `heal` says so, and then finds nothing to do.
    pub async fn is_deserted(&self, node: usize) {
        let deadline = Instant::now() + EVER;
        loop {
            let said = self.agent(node, &["heal"]).await;
            if said.contains("\"already\"") {
                break;
            }
            assert!(Instant::now() < deadline, "{said}{}", self.log(node));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.no_rules(node).await;
        eventually("no process of the host is left", || self.left().is_empty());
    }

    /// The toys that run.
    pub fn left(&self) -> Vec<i32> {
        let mark = format!("MARK={}", self.folder.display());
        let all = elenchus::host::processes::Process::all();
        let marked = all.into_iter().filter(|p| !p.is_zombie && p.has_environment(&mark));
        marked.map(|p| p.identity.pid).collect()
    }
}

/// What a toy answers.
pub fn try_ask(address: SocketAddr, line: &str, limit: Duration) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    writeln!(stream, "{line}").ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).ok()?;
    answer.ends_with('\n').then(|| answer.trim().to_owned())
}

/// Generous: it only bounds how long a failing test hangs.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + EVER;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
