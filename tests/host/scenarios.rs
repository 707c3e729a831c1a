//! What happens inside a trial: each scenario is the body of a controller.

use crate::{packets, toy};
use elenchus::host::addresses::Addresses;
use elenchus::host::connections;
use elenchus::host::processes::Process;
use elenchus::host::resources::{self, freezer};
use elenchus::host::vdso::Clocks;
use elenchus::host::{Exits, Ground, Interrupt, Links, Packets, Spawn, Status, Supervisor, SupervisorError};
use elenchus::live::{LocalMachines, Machines};
use elenchus_core::fault::{FaultId, Limit, Link, Skew};
use elenchus_core::process::NodeId;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The scenario of this name, as a controller's body.
pub fn play(name: &str, ground: Ground, folder: &Path) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = folder.to_owned();
    runtime.block_on(async {
        match name {
            "links" => links(Stage::set(ground, folder)).await,
            "resets" => resets(Stage::set(ground, folder)).await,
            "nodes" => nodes(Stage::set(ground, folder)).await,
            "daemon" => daemon(Stage::set(ground, folder)).await,
            "wait" => wait(Site::set(ground, folder).await).await,
            "frozen" => frozen(Site::set(ground, folder).await).await,
            "interrupts" => interrupts(ground, &folder).await,
            "nothing" => {}
            "seven" => return 7,
            "panic" => panic!("as the test wants it"),
            "suicide" => drop(nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)),
            "deaf" => {
                fs::write(folder.join("ready"), "").unwrap();
                // It hears nothing until the test kills it: this is no wait, only a bound.
                std::thread::sleep(Duration::from_secs(600));
            }
            "clocks" => clocks(Stage::set(ground, folder)).await,
            "packets-refused" => packets::refused(Stage::set(ground, folder)).await,
            "packets-slow-streams" => packets::slow_streams(Stage::set(ground, folder)).await,
            "packets-late" => packets::late(Stage::set(ground, folder)).await,
            "packets-mangled" => packets::mangled(Stage::set(ground, folder)).await,
            "packets-streams" => packets::streams(Stage::set(ground, folder)).await,
            "packets-cut" => packets::cut(Stage::set(ground, folder)).await,
            "let-go" => let_go(Stage::set(ground, folder)).await,
            other => panic!("no such scenario: {other}"),
        }
        0
    })
}

fn spawn(addresses: &Addresses, folder: &Path, node: &NodeId) -> Spawn {
    let log = folder.join("logs").join(format!("{node}.log"));
    Spawn {
        argv: vec!["/proc/self/exe".into()],
        env: vec![
            (toy::ROLE.into(), "node".into()),
            (toy::LISTEN.into(), addresses.listen(node).to_string()),
            // By this the test finds what outlives its trial.
            ("MARK".into(), folder.display().to_string()),
        ],
        cwd: Some(folder.to_owned()),
        user: None,
        stdout: log.clone(),
        stderr: log,
    }
}

pub struct Stage {
    pub links: Links,
    pub packets: Option<Packets>,
    pub addresses: Addresses,
    supervisor: Supervisor,
    exits: Exits,
    pub nodes: Vec<NodeId>,
    folder: PathBuf,
}

impl Stage {
    fn set(ground: Ground, folder: PathBuf) -> Stage {
        let (supervisor, exits) = ground.supervisor.connect().unwrap();
        Stage {
            links: ground.links,
            packets: Some(ground.packets),
            addresses: ground.addresses,
            supervisor,
            exits,
            nodes: NodeId::numbered(2),
            folder,
        }
    }

    fn spawn(&self, node: &NodeId) -> Spawn {
        spawn(&self.addresses, &self.folder, node)
    }

    async fn start(&self, node: &NodeId) -> i32 {
        let pid = self.supervisor.start(node, &self.spawn(node)).await.unwrap();
        eventually("the node listens", || try_ask(self.addresses.client(node), "ping", EVER).is_some());
        pid
    }

    pub async fn start_all(&self) {
        for node in &self.nodes {
            self.start(node).await;
        }
    }

    pub fn ask(&self, node: &NodeId, line: &str) -> String {
        try_ask(self.addresses.client(node), line, EVER).unwrap_or_else(|| panic!("{node} answers `{line}`"))
    }

    fn dial(&self, from: usize, to: usize) -> String {
        let peer = self.addresses.peer(&self.nodes[from], &self.nodes[to]);
        self.ask(&self.nodes[from], &format!("dial {peer}"))
    }

    /// Whether a dialler hears that it is not wanted. A proxy lets it believe for a moment that it is.
    fn is_refused(&self, from: usize, to: usize) -> bool {
        let said = self.dial(from, to);
        ["refused", "reset", "fill whole buffer", "Broken pipe"].iter().any(|end| said.contains(end))
    }

    pub fn reach_each_other(&self) {
        let reach = |from, to| self.dial(from, to) == "reached";
        eventually("the nodes reach each other", || reach(0, 1) && reach(1, 0));
    }

    pub fn tell(&self, from: usize, to: usize, word: &str) {
        let peer = self.addresses.peer(&self.nodes[from], &self.nodes[to]);
        assert_eq!(self.ask(&self.nodes[from], &format!("tell {peer} {word}")), "told");
    }

    pub fn has_heard(&self, node: usize, word: &str) -> bool {
        self.ask(&self.nodes[node], "heard").split(',').any(|heard| heard == word)
    }

    pub fn link(&self, from: usize, to: usize) -> Link {
        Link { from: self.nodes[from].clone(), to: self.nodes[to].clone() }
    }
}

/// How long to wait for an answer that is not expected; and for one that is, on a busy machine.
const SOON: Duration = Duration::from_millis(300);
const EVER: Duration = Duration::from_secs(20);

fn try_ask(address: SocketAddr, line: &str, limit: Duration) -> Option<String> {
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

async fn links(stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    stage.tell(0, 1, "before");
    stage.tell(1, 0, "before");
    eventually("words arrive", || stage.has_heard(0, "before") && stage.has_heard(1, "before"));

    // One way only: what n2 says arrives, what n1 says does not.
    stage.links.cut(FaultId(1), &[stage.link(0, 1)]).unwrap();
    stage.tell(0, 1, "held-back");
    stage.tell(1, 0, "let-through");
    eventually("the other way is open", || stage.has_heard(0, "let-through"));
    assert!(!stage.has_heard(1, "held-back"));
    assert!(stage.dial(0, 1).starts_with("cut"));
    assert!(stage.links.mend(FaultId(1)).unwrap().count > 0);
    eventually("what was held back arrives", || stage.has_heard(1, "held-back"));
    stage.reach_each_other();

    // Two faults on one link: the last one mends it. Clients are never cut off.
    let both = [stage.link(0, 1), stage.link(1, 0)];
    stage.links.cut(FaultId(2), &both).unwrap();
    stage.links.cut(FaultId(3), &both[..1]).unwrap();
    assert!(stage.dial(1, 0).starts_with("cut"));
    assert!(stage.links.mend(FaultId(2)).unwrap().count > 0);
    assert!(stage.dial(0, 1).starts_with("cut"));
    assert!(stage.links.mend(FaultId(3)).unwrap().count > 0);
    stage.reach_each_other();
    assert_eq!(stage.links.mend(FaultId(3)).unwrap().count, 0);
    // A trial may end with links cut: nothing of them outlives it.
    stage.links.cut(FaultId(4), &both).unwrap();
}

/// A link that is cut by resets refuses at once, where one that is cut by silence lets wait.
async fn resets(stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    let both = [stage.link(0, 1), stage.link(1, 0)];
    stage.tell(0, 1, "before");
    eventually("words arrive", || stage.has_heard(1, "before"));
    stage.links.reset(FaultId(1), &both).unwrap();
    for from in [0, 1] {
        assert!(stage.is_refused(from, 1 - from));
    }
    // The connection that was there ends though nobody uses it, at both ends, and what is said on it is lost.
    let peer = stage.addresses.peer(&stage.nodes[0], &stage.nodes[1]);
    let by_proxy = peer != stage.addresses.listen(&stage.nodes[1]);
    if by_proxy || connections::probe().is_ok() {
        eventually("the dialler hears", || stage.ask(&stage.nodes[0], &format!("lasts {peer}")) == "false");
    }
    if !by_proxy && connections::probe().is_ok() {
        eventually("the listener hears", || stage.ask(&stage.nodes[1], "resets") != "0");
    }
    eventually("the old connection ends", || {
        let said = stage.ask(&stage.nodes[0], &format!("tell {peer} held-back"));
        said.contains("reset") || said.contains("Broken pipe")
    });
    // Cut once more, by silence, the link stays as it is cut, until the last lets go.
    stage.links.cut(FaultId(2), &both).unwrap();
    assert!(stage.links.mend(FaultId(1)).unwrap().count > 2);
    assert!(stage.is_refused(0, 1));
    assert!(stage.links.mend(FaultId(2)).unwrap().count > 0);
    stage.reach_each_other();
    assert!(!stage.has_heard(1, "held-back"));

    // One way only: who is not heard is told so.
    stage.links.reset(FaultId(3), &both[..1]).unwrap();
    assert!(stage.is_refused(0, 1));
    stage.links.mend(FaultId(3)).unwrap();
    stage.reach_each_other();
}

async fn nodes(mut stage: Stage) {
    let node = stage.nodes[0].clone();
    let first = stage.start(&node).await;
    assert_eq!(stage.start(&node).await, first, "starting twice starts once");
    assert_eq!(stage.ask(&node, "getenv MARK"), stage.folder.display().to_string());

    stage.supervisor.pause(&node).await.unwrap();
    stage.supervisor.pause(&node).await.unwrap();
    assert_eq!(try_ask(stage.addresses.client(&node), "ping", SOON), None);
    stage.supervisor.resume(&node).await.unwrap();
    stage.supervisor.resume(&node).await.unwrap();
    assert_eq!(stage.ask(&node, "ping"), "pong");

    // Killed, even while it stands; and started again at the same address.
    stage.supervisor.pause(&node).await.unwrap();
    stage.supervisor.kill(&node).await.unwrap();
    stage.supervisor.kill(&node).await.unwrap();
    let exit = stage.exits.recv().await.unwrap();
    assert_eq!((exit.pid, exit.status, exit.expected), (first, Status::Killed(9), true));
    assert!(matches!(stage.supervisor.pause(&node).await, Err(SupervisorError::Failed(_))));
    stage.supervisor.resume(&node).await.unwrap();
    let second = stage.start(&node).await;
    assert_ne!(first, second);

    // It ends by itself: nobody expected that.
    assert_eq!(try_ask(stage.addresses.client(&node), "exit 3", EVER), None);
    let exit = stage.exits.recv().await.unwrap();
    assert_eq!((exit.pid, exit.status, exit.expected), (second, Status::Exited(3), false));

    // What cannot be started says why, and the supervisor goes on.
    let spawn = Spawn { argv: vec!["/no/such/program".into()], ..stage.spawn(&node) };
    let error = stage.supervisor.start(&node, &spawn).await.unwrap_err().to_string();
    assert!(error.contains("n1") && error.contains("/no/such/program"), "{error}");
    let spawn = Spawn { argv: vec![], ..stage.spawn(&node) };
    assert!(stage.supervisor.start(&node, &spawn).await.is_err());
    let stranger = NodeId::new("n9");
    assert!(stage.supervisor.start(&stranger, &stage.spawn(&node)).await.is_err());
    stage.start(&node).await;

    // Nothing of ours is open in a node: only its three standard streams and its listener's descriptors.
    let pid = stage.supervisor.start(&node, &stage.spawn(&node)).await.unwrap();
    if fs::read_link("/proc/self").unwrap().to_str() == Some(&std::process::id().to_string()) {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open: Vec<PathBuf> = open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).collect();
        let pipes = open.iter().filter(|target| target.to_string_lossy().starts_with("pipe:"));
        assert_eq!(pipes.count(), 0, "{open:?}");
        assert!(open.contains(&PathBuf::from("/dev/null")), "{open:?}");
    }
}

async fn daemon(stage: Stage) {
    stage.start_all().await;
    assert_eq!(stage.ask(&stage.nodes[0], "daemon"), "left one behind");
}

/// The nodes of a trial as a controller has them.
struct Site {
    machines: LocalMachines,
    addresses: Addresses,
    nodes: Vec<NodeId>,
    folder: PathBuf,
}

impl Site {
    /// Both nodes run; the first has left a daemon behind, the second has a child that left its process group.
    async fn set(ground: Ground, folder: PathBuf) -> Site {
        let Ground { supervisor, links, packets, token, addresses, .. } = ground;
        let machines = LocalMachines::new(supervisor, links, packets, token).unwrap();
        let site = Site { machines, addresses, nodes: NodeId::numbered(2), folder };
        for node in &site.nodes {
            site.machines.start(node, &spawn(&site.addresses, &site.folder, node)).await.unwrap();
            eventually("the node listens", || site.ask(node, "ping").is_some());
        }
        assert_eq!(site.ask(&site.nodes[0], "daemon").as_deref(), Some("left one behind"));
        let beget = format!("beget {}", site.file().display());
        assert_eq!(site.ask(&site.nodes[1], &beget).as_deref(), Some("begotten"));
        eventually("the child counts", || site.count() > 2);
        site
    }

    fn ask(&self, node: &NodeId, line: &str) -> Option<String> {
        try_ask(self.addresses.client(node), line, EVER)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("count")
    }

    fn count(&self) -> u64 {
        fs::read_to_string(self.file()).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether the second node's child counts on within a moment.
    fn counts(&self) -> bool {
        let (before, until) = (self.count(), Instant::now() + SOON);
        while self.count() <= before && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.count() > before
    }
}

/// Who stands still: all of a node where the kernel freezes, else its process group.
async fn frozen(site: Site) {
    let Site { machines, nodes, .. } = &site;
    let (node, freezes) = (&nodes[1], freezer::probe().is_ok());
    for _ in 0..2 {
        machines.pause(node).await.unwrap();
        machines.pause(node).await.unwrap();
        assert_eq!(try_ask(site.addresses.client(node), "ping", SOON), None);
        assert_eq!(site.counts(), !freezes, "only the freezer reaches who left his process group");
        machines.resume(node).await.unwrap();
        machines.resume(node).await.unwrap();
        assert_eq!(site.ask(node, "ping").as_deref(), Some("pong"));
        assert!(site.counts());
    }
    // Killed while it stands; what is started then runs.
    machines.pause(node).await.unwrap();
    machines.kill(node).await.unwrap();
    assert!(machines.pause(node).await.is_err(), "nobody is there");
    machines.resume(node).await.unwrap();
    machines.start(node, &spawn(&site.addresses, &site.folder, node)).await.unwrap();
    eventually("the node listens", || site.ask(node, "ping").is_some());
    // A limit comes and goes while it stands.
    machines.pause(node).await.unwrap();
    if resources::probe().is_ok() {
        machines.restrict(node, Some(Limit::Cpu { percent: 50 })).await.unwrap();
        assert_eq!(try_ask(site.addresses.client(node), "ping", SOON), None);
        machines.restrict(node, None).await.unwrap();
        assert_eq!(try_ask(site.addresses.client(node), "ping", SOON), None);
    }
    machines.resume(node).await.unwrap();
    assert_eq!(site.ask(node, "ping").as_deref(), Some("pong"));
    // A trial may end with a node that stands.
    machines.pause(node).await.unwrap();
}

/// Stands until somebody kills it.
async fn wait(site: Site) {
    site.machines.pause(&site.nodes[1]).await.unwrap();
    let link = Link { from: site.nodes[0].clone(), to: site.nodes[1].clone() };
    site.machines.cut(FaultId(1), &[link]).await.unwrap();
    fs::write(site.folder.join("ready"), "").unwrap();
    std::future::pending().await
}

/// The nodes end when nobody commands them any more; the controller goes on.
async fn let_go(stage: Stage) {
    stage.start_all().await;
    let address = stage.addresses.client(&stage.nodes[0]);
    drop((stage.supervisor, stage.exits));
    tokio::time::sleep(Duration::from_millis(10)).await;
    eventually("the nodes are gone", || try_ask(address, "ping", EVER).is_none());
}

async fn interrupts(mut ground: Ground, folder: &Path) {
    fs::write(folder.join("ready"), "").unwrap();
    assert_eq!(ground.interrupts.next().await.unwrap(), Interrupt::Finish);
    fs::write(folder.join("first"), "").unwrap();
    assert_eq!(ground.interrupts.next().await.unwrap(), Interrupt::Hurry);
}

async fn clocks(stage: Stage) {
    let clocks = Clocks::default();
    let (liar, honest) = (stage.nodes[0].clone(), stage.nodes[1].clone());
    let mut leader = Process::find(stage.start(&liar).await).unwrap().identity;
    stage.start(&honest).await;
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let ahead = |node: &NodeId| stage.ask(node, "time").parse::<i64>().unwrap() - now();
    let shows = |node: &NodeId, seconds: i64| (ahead(node) - seconds).abs() <= 30;
    let minutes = |minutes: i64| Some(Skew::Bump { delta_ms: 60_000 * minutes });
    assert!(shows(&liar, 0) && shows(&honest, 0));
    for turn in 0..2 {
        clocks.skew(&liar, leader, minutes(-10)).await.unwrap();
        assert!(shows(&liar, -600) && shows(&honest, 0));
        assert_eq!(clocks.clock(&liar, leader).await, Ok(Some(-600_000_000_000)));
        clocks.skew(&liar, leader, minutes(60)).await.unwrap();
        assert!(shows(&liar, 3600) && shows(&honest, 0));
        if turn == 0 {
            // Started again it is another process, which tells the truth until it is told not to.
            stage.supervisor.kill(&liar).await.unwrap();
            assert!(clocks.skew(&liar, leader, minutes(1)).await.is_err());
            leader = Process::find(stage.start(&liar).await).unwrap().identity;
            assert!(shows(&liar, 0));
        }
    }
    assert_eq!(clocks.skew(&liar, leader, None).await, Ok(Some(0)));
    assert!(shows(&liar, 0));
    // A trial may end with clocks that lie: they end with their processes.
    clocks
        .skew(&honest, Process::find(stage.start(&honest).await).unwrap().identity, minutes(5))
        .await
        .unwrap();
    assert!(shows(&honest, 300));
}
