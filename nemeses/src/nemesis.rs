//! Enacts faults on a running cluster, many at a time, and knows how to undo each.
//!
//! Futures of this type may be dropped (a deadline has passed): what was begun stays on record, and
//! [`Nemesis::heal`] or [`Nemesis::heal_all`] still undo it. Whoever gives up on a future must drop it before
//! it heals that fault, or it may go on breaking afterwards.

use crate::join::join_all;
use crate::ledger::{Effect, Hold, Ledger, Standing};
use crate::partition::{self, Severed};
use crate::{clock, damage, disk, kill, membership, packets, pause, power, resources, target};
use elenchus_core::LocalFuture;
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{Fault, FaultId, Proof};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Enacts and undoes faults. Shared by the tasks that do so; each node is dealt with by one at a time.
#[derive(Debug)]
pub struct Nemesis {
    ledger: Ledger,
    in_force: RefCell<BTreeMap<FaultId, Struck>>,
}

/// What was struck, on record from before it is struck until it is undone.
#[derive(Clone, Debug)]
enum Struck {
    Links(Severed),
    Nodes { nodes: Vec<NodeId>, hold: Hold },
}

impl Nemesis {
    /// A nemesis of these nodes, which run, see each other and have true clocks.
    pub fn new(nodes: &[NodeId]) -> Nemesis {
        Nemesis { ledger: Ledger::new(nodes), in_force: RefCell::default() }
    }

    /// Brings a fault about, and says what shows it. After an error it may be there in part: heal it all the same.
    pub async fn inject(&self, cluster: &dyn Cluster, id: FaultId, fault: &Fault) -> Result<Proof, Cause> {
        if self.in_force.borrow().contains_key(&id) {
            return Err(format!("fault {} is in force already", id.0).into());
        }
        let struck = resolve(cluster, fault).await?;
        self.in_force.borrow_mut().insert(id, struck.clone());
        match struck {
            Struck::Links(severed) => partition::inject(cluster, id, &severed).await,
            Struck::Nodes { nodes, hold } => self.strike(cluster, id, &nodes, hold).await,
        }
    }

    /// Undoes a fault as far as no other wants the same, and says what shows that it had been there. Without
    /// such a fault it does nothing. After an error it can be tried again.
    pub async fn heal(&self, cluster: &dyn Cluster, id: FaultId) -> Result<Proof, Cause> {
        let struck = self.in_force.borrow().get(&id).cloned();
        let proof = match struck {
            None => Proof { nodes: vec![], links: vec![], hit: false, text: "nothing was in force".into() },
            Some(Struck::Links(severed)) => partition::heal(cluster, id, &severed).await?,
            Some(Struck::Nodes { nodes, hold }) => self.release(cluster, id, &nodes, hold).await?,
        };
        self.in_force.borrow_mut().remove(&id);
        Ok(proof)
    }

    /// Undoes everything, whatever fails: for the end of a trial, whichever way it ends. Answers what became
    /// of each fault that was in force; those that failed stay so, and a second call tries them again.
    pub async fn heal_all(&self, cluster: &dyn Cluster) -> Vec<(FaultId, Result<Proof, Cause>)> {
        let ids = self.in_force();
        let heals =
            ids.iter().map(|&id| -> LocalFuture<'_, _> { Box::pin(self.heal(cluster, id)) }).collect();
        let proofs = join_all(heals).await;
        // What an abandoned injection left half way is nobody's fault any more, but may still be wrong.
        let settle = |node| -> LocalFuture<'_, _> { Box::pin(self.ledger.settle(cluster, node)) };
        join_all(self.ledger.nodes().map(settle).collect()).await;
        ids.into_iter().zip(proofs).collect()
    }

    /// The faults that are in force, or may be in part.
    pub fn in_force(&self) -> Vec<FaultId> {
        self.in_force.borrow().keys().copied().collect()
    }

    async fn strike(
        &self,
        cluster: &dyn Cluster,
        id: FaultId,
        nodes: &[NodeId],
        hold: Hold,
    ) -> Result<Proof, Cause> {
        let strike = |node| -> LocalFuture<'_, _> {
            Box::pin(async move {
                let mut effect = self.ledger.hold(cluster, node, id, hold).await?;
                if let Hold::Skew(skew) = hold
                    && effect.standing == Standing::Running
                {
                    let shows = |offset| clock::shows(&skew, offset);
                    effect.offset_ns = clock::read_until(cluster, node, effect.offset_ns, shows).await;
                    if effect.offset_ns.is_some_and(shows) {
                        effect.hit = true;
                        self.ledger.mark_hit(node, id).await;
                    }
                }
                Ok(effect)
            })
        };
        let effects = gather(nodes, join_all(nodes.iter().map(strike).collect()).await)?;
        Ok(proof(&effects, injected(hold, &effects)))
    }

    async fn release(
        &self,
        cluster: &dyn Cluster,
        id: FaultId,
        nodes: &[NodeId],
        hold: Hold,
    ) -> Result<Proof, Cause> {
        let mut looks = vec![None; nodes.len()];
        if let Hold::Skew(skew) = hold {
            let look = |node| -> LocalFuture<'_, _> {
                Box::pin(async move {
                    let offset = clock::last_look(&self.ledger, cluster, node, &skew).await;
                    if offset.is_some_and(|offset| clock::shows(&skew, offset)) {
                        self.ledger.mark_hit(node, id).await;
                    }
                    offset
                })
            };
            looks = join_all(nodes.iter().map(look).collect()).await;
        }
        let lift = |node| -> LocalFuture<'_, _> {
            Box::pin(async move {
                let effect = self.ledger.lift(cluster, node, id).await?;
                self.made_true(cluster, node, effect).await
            })
        };
        let effects = gather(nodes, join_all(nodes.iter().map(lift).collect()).await)?;
        Ok(proof(&effects, healed(hold, &effects, &looks)))
    }

    /// Sees to it that a clock which was made true reads so. Another fault's skew may rightly show instead.
    async fn made_true(
        &self,
        cluster: &dyn Cluster,
        node: &NodeId,
        mut effect: Effect,
    ) -> Result<Effect, Cause> {
        if effect.offset_ns.is_some() && !effect.skewed {
            effect.offset_ns = clock::read_until(cluster, node, effect.offset_ns, clock::is_true).await;
            if let Some(offset) = effect.offset_ns.filter(|offset| !clock::is_true(*offset)) {
                self.ledger.distrust_clock(node).await;
                return Err(clock::still_lies(node, offset));
            }
        }
        Ok(effect)
    }
}

async fn resolve(cluster: &dyn Cluster, fault: &Fault) -> Result<Struck, Cause> {
    let (nodes, hold) = match fault {
        Fault::Partition { cut, manner, .. } => {
            return Ok(Struck::Links(partition::resolve(cluster, cut, *manner).await?));
        }
        Fault::Kill { nodes } => (nodes, Hold::Kill),
        Fault::Pause { nodes } => (nodes, Hold::Pause),
        Fault::Clock { nodes, skew } => (nodes, Hold::Skew(*skew)),
        Fault::Packets { nodes, trouble } => (nodes, Hold::Trouble(*trouble)),
        Fault::Power { nodes, loss } => (nodes, Hold::Power(*loss)),
        Fault::Disk { nodes, ailment } => (nodes, Hold::Ailment(*ailment)),
        Fault::Damage { nodes, harm } => (nodes, Hold::Damage(*harm)),
        Fault::Resources { nodes, limit } => (nodes, Hold::Limit(*limit)),
        Fault::Membership { nodes } => (nodes, Hold::Out),
    };
    Ok(Struck::Nodes { nodes: target::resolve(cluster, nodes).await?, hold })
}

/// What shows that it struck, in words.
fn injected(hold: Hold, effects: &[(NodeId, Effect)]) -> String {
    match hold {
        Hold::Kill => kill::injected(effects),
        Hold::Pause => pause::injected(effects),
        Hold::Skew(skew) => clock::injected(&skew, effects),
        Hold::Trouble(trouble) => packets::injected(trouble, effects),
        Hold::Power(_) => power::injected(effects),
        Hold::Ailment(ailment) => disk::injected(ailment, effects),
        Hold::Damage(_) => damage::injected(effects),
        Hold::Limit(limit) => resources::injected(limit, effects),
        Hold::Out => membership::injected(effects),
    }
}

/// What shows that it is undone, in words.
fn healed(hold: Hold, effects: &[(NodeId, Effect)], looks: &[Option<i64>]) -> String {
    match hold {
        Hold::Kill => kill::healed(effects),
        Hold::Pause => pause::healed(effects),
        Hold::Skew(_) => clock::healed(effects, looks),
        Hold::Trouble(_) => packets::healed(effects),
        Hold::Power(_) => power::healed(effects),
        Hold::Ailment(_) => disk::healed(effects),
        Hold::Damage(_) => damage::healed(effects),
        Hold::Limit(_) => resources::healed(effects),
        Hold::Out => membership::healed(effects),
    }
}

/// All effects, or what went wrong and where.
fn gather(nodes: &[NodeId], results: Vec<Result<Effect, Cause>>) -> Result<Vec<(NodeId, Effect)>, Cause> {
    let mut effects = Vec::new();
    let mut errors = Vec::new();
    for (node, result) in nodes.iter().zip(results) {
        match result {
            Ok(effect) => effects.push((node.clone(), effect)),
            Err(cause) => errors.push(format!("{node}: {cause}")),
        }
    }
    if errors.is_empty() { Ok(effects) } else { Err(errors.join("; ").into()) }
}

fn proof(effects: &[(NodeId, Effect)], text: String) -> Proof {
    let nodes = effects.iter().map(|(node, _)| node.clone()).collect();
    Proof { nodes, links: Vec::new(), hit: effects.iter().any(|(_, effect)| effect.hit), text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, Truth, block_on};
    use elenchus_core::fault::{Ailment, Cut, Harm, Limit, Link, Loss, Manner, Shape, Skew, Target, Trouble};
    use std::task::{Context, Waker};

    fn nodes(names: &[&str]) -> Target {
        Target::Nodes(names.iter().map(|name| NodeId::new(name)).collect())
    }

    fn kill(names: &[&str]) -> Fault {
        Fault::Kill { nodes: nodes(names) }
    }

    fn pause(names: &[&str]) -> Fault {
        Fault::Pause { nodes: nodes(names) }
    }

    fn bump(names: &[&str], delta_ms: i64) -> Fault {
        Fault::Clock { nodes: nodes(names), skew: Skew::Bump { delta_ms } }
    }

    fn cut(pairs: &[(&str, &str)]) -> Fault {
        let links = pairs.iter().map(|(a, b)| Link { from: NodeId::new(a), to: NodeId::new(b) }).collect();
        Fault::Partition { shape: Shape::OneWay, cut: Cut::Links(links), manner: Manner::Drop }
    }

    struct Trial {
        fake: Fake,
        nemesis: Nemesis,
    }

    impl Trial {
        fn new() -> Trial {
            Trial { fake: Fake::new(5), nemesis: Nemesis::new(&NodeId::numbered(5)) }
        }

        fn try_inject(&self, id: u32, fault: &Fault) -> Result<Proof, Cause> {
            block_on(self.nemesis.inject(&self.fake, FaultId(id), fault))
        }

        #[track_caller]
        fn inject(&self, id: u32, fault: &Fault) -> Proof {
            self.try_inject(id, fault).expect("injected")
        }

        fn try_heal(&self, id: u32) -> Result<Proof, Cause> {
            block_on(self.nemesis.heal(&self.fake, FaultId(id)))
        }

        #[track_caller]
        fn heal(&self, id: u32) -> Proof {
            self.try_heal(id).expect("healed")
        }

        /// Begins to inject and gives up half way.
        fn abandon(&self, id: u32, fault: &Fault) {
            let mut future = Box::pin(self.nemesis.inject(&self.fake, FaultId(id), fault));
            for _ in 0..20 {
                assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        }

        fn heal_all(&self) -> Vec<(FaultId, Result<Proof, Cause>)> {
            block_on(self.nemesis.heal_all(&self.fake))
        }
    }

    const UP: Truth = Truth { running: true, paused: false, offset_ns: 0 };
    const DOWN: Truth = Truth { running: false, ..UP };
    const STILL: Truth = Truth { paused: true, ..UP };

    #[test]
    fn a_partition_by_resets_says_so_or_is_refused() {
        let trial = Trial::new();
        let reset = partition::by_reset(cut(&[("n1", "n2")]));
        assert_eq!(
            trial.inject(0, &reset).text,
            "1 links cut by resets at n1, n2; what it holds back is known when it heals"
        );
        assert!(trial.fake.calls.borrow().iter().any(|call| call.starts_with("reset")));
        assert!(trial.heal(0).hit);
    }

    #[test]
    fn a_partition_is_proven_when_it_heals() {
        let trial = Trial::new();
        let injected = trial.inject(0, &cut(&[("n1", "n2"), ("n3", "n2")]));
        assert!(!injected.hit && injected.text.contains("known when it heals"), "{}", injected.text);
        assert_eq!((injected.links.len(), target::names(&injected.nodes).as_str()), (2, "n1, n2, n3"));
        trial.fake.held_back.set(1204);
        let healed = trial.heal(0);
        assert!(healed.hit && healed.text.contains("held back 1,204 times"), "{}", healed.text);
        assert!(trial.fake.is_whole());
        trial.inject(1, &cut(&[("n1", "n2")]));
        trial.fake.held_back.set(0);
        assert!(!trial.heal(1).hit, "nothing was sent across it");
    }

    #[test]
    fn the_leaders_are_looked_up_when_it_strikes() {
        let trial = Trial::new();
        trial.fake.lead(&["n4"]);
        let proof = trial.inject(0, &Fault::Kill { nodes: Target::Primaries });
        assert_eq!((target::names(&proof.nodes).as_str(), proof.hit), ("n4", true));
        trial.fake.lead(&["n2"]);
        assert_eq!(target::names(&trial.heal(0).nodes), "n4", "what was struck is healed, not who leads now");
        trial.fake.lead(&[]);
        let nobody = trial.try_inject(1, &Fault::Pause { nodes: Target::Primaries });
        assert_eq!(nobody, Err("no node says that it leads".into()));
        trial.heal(1);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn kill_and_pause_are_proven_at_once_and_undone() {
        let trial = Trial::new();
        let killed = trial.inject(0, &kill(&["n1", "n3"]));
        assert_eq!((killed.hit, killed.text.as_str()), (true, "n1, n3: process gone"));
        assert_eq!((trial.fake.node("n1"), trial.fake.node("n2")), (DOWN, UP));
        let paused = trial.inject(1, &pause(&["n2"]));
        assert_eq!((paused.hit, paused.text.as_str()), (true, "n2: stands still"));
        assert_eq!(trial.heal(0).text, "n1: started again; n3: started again");
        assert_eq!(trial.heal(1).text, "n2: goes on");
        assert!(trial.fake.is_whole());
        assert_eq!(trial.nemesis.in_force(), []);
    }

    fn packets(names: &[&str], trouble: Trouble) -> Fault {
        Fault::Packets { nodes: nodes(names), trouble }
    }

    #[test]
    fn what_does_not_stop_a_node_is_proven_when_it_heals() {
        let cases = [
            (packets(&["n2"], Trouble::Loss { percent: 20 }), "n2: 1,204 packets were touched"),
            (
                Fault::Disk { nodes: nodes(&["n2"]), ailment: Ailment::SlowSync { ms: 9 } },
                "n2: 1,204 calls met it",
            ),
            (
                Fault::Resources { nodes: nodes(&["n2"]), limit: Limit::Cpu { percent: 5 } },
                "n2: was held back 1,204 times",
            ),
        ];
        for (fault, text) in cases {
            let trial = Trial::new();
            trial.fake.held_back.set(1204);
            assert!(!trial.inject(0, &fault).hit, "{fault:?}");
            assert!(!trial.fake.is_whole());
            let healed = trial.heal(0);
            assert_eq!((healed.hit, healed.text.as_str()), (true, text));
            assert!(trial.fake.is_whole());
            trial.fake.held_back.set(0);
            trial.inject(1, &fault);
            assert!(!trial.heal(1).hit, "nothing was touched by {fault:?}");
        }
    }

    #[test]
    fn of_two_troubles_the_newer_counts_and_each_is_credited_with_its_own() {
        let trial = Trial::new();
        trial.inject(0, &packets(&["n1"], Trouble::Loss { percent: 20 }));
        trial.inject(1, &packets(&["n1"], Trouble::Delay { ms: 9, jitter_ms: 0 }));
        trial.fake.held_back.set(3);
        assert_eq!(trial.heal(1).text, "n1: 3 packets were touched");
        assert!(!trial.fake.is_whole(), "the older is in force again");
        assert_eq!(trial.heal(0).text, "n1: 10 packets were touched");
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn power_fails_once_and_the_node_is_dead_until_it_heals() {
        let trial = Trial::new();
        let failed = trial.inject(0, &Fault::Power { nodes: nodes(&["n1"]), loss: Loss::Unsynced });
        assert!(failed.hit && failed.text.contains("4,096 bytes of 2 files lost"), "{}", failed.text);
        assert_eq!(trial.fake.node("n1"), DOWN);
        trial.inject(1, &pause(&["n1"]));
        trial.heal(1);
        assert_eq!(trial.fake.node("n1"), DOWN);
        assert_eq!(trial.heal(0).text, "n1: started again");
        let calls = trial.fake.calls();
        assert_eq!(calls.iter().filter(|call| *call == "power off n1").count(), 1, "{calls:?}");
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_node_that_is_dead_already_loses_power_all_the_same() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1"]));
        assert!(trial.inject(1, &Fault::Power { nodes: nodes(&["n1"]), loss: Loss::Torn }).hit);
        trial.heal(0);
        assert_eq!(trial.fake.node("n1"), DOWN);
        trial.heal(1);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn files_are_harmed_only_while_their_node_is_dead() {
        let trial = Trial::new();
        let harmed = trial.inject(0, &Fault::Damage { nodes: nodes(&["n4"]), harm: Harm::BitFlip });
        assert_eq!((harmed.hit, harmed.text.as_str()), (true, "n4: bit 3 of log"));
        assert_eq!(trial.fake.calls(), ["kill n4", "damage n4"]);
        trial.heal(0);
        assert_eq!(trial.fake.calls(), ["start n4"]);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn harm_that_failed_is_not_done_after_its_end() {
        let trial = Trial::new();
        trial.fake.fail("damage n4");
        let fault = Fault::Damage { nodes: nodes(&["n4"]), harm: Harm::Truncate };
        assert!(trial.try_inject(0, &fault).is_err());
        trial.fake.recover();
        assert!(!trial.heal(0).hit);
        let damages = trial.fake.calls().iter().filter(|call| *call == "damage n4").count();
        assert!(trial.fake.is_whole() && damages == 1);
    }

    #[test]
    fn who_died_of_a_disk_is_started_when_it_is_cured() {
        let trial = Trial::new();
        let clock = Skew::Bump { delta_ms: 8_000 };
        trial.inject(1, &Fault::Clock { nodes: nodes(&["n1"]), skew: clock });
        trial.inject(0, &Fault::Disk { nodes: nodes(&["n1"]), ailment: Ailment::Failing });
        trial.fake.truth.borrow_mut().insert(NodeId::new("n1"), DOWN);
        trial.heal(0);
        let now = trial.fake.node("n1");
        assert!(now.running && now.offset_ns == 8_000_000_000, "its clock lies as it should: {now:?}");
        trial.heal(1);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn whoever_is_to_join_again_goes_on_first_and_then_stands_still_again() {
        let trial = Trial::new();
        trial.inject(0, &pause(&["n4"]));
        trial.fake.fail("leave n4");
        assert!(trial.try_inject(1, &Fault::Membership { nodes: nodes(&["n4"]) }).is_err());
        trial.fake.recover();
        trial.fake.calls();
        trial.heal(1);
        let calls = trial.fake.calls();
        let place = |call: &str| calls.iter().position(|it| it == call);
        let (resumed, joined, paused) = (place("resume n4"), place("join n4"), place("pause n4"));
        assert!(resumed.is_some() && resumed < joined && joined < paused, "{calls:?}");
        assert_eq!(trial.fake.node("n4"), STILL, "the pause is still in force");
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_removed_member_is_started_by_nobody_until_it_is_added_again() {
        let trial = Trial::new();
        let out = trial.inject(0, &Fault::Membership { nodes: nodes(&["n5"]) });
        assert_eq!((out.hit, out.text.as_str()), (true, "n5: no member any more"));
        trial.inject(1, &kill(&["n5"]));
        trial.heal(1);
        assert_eq!(trial.fake.node("n5"), DOWN);
        assert!(!trial.fake.calls().contains(&"start n5".to_owned()));
        assert_eq!(trial.heal(0).text, "n5: a member again, a new one");
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn an_abandoned_removal_is_undone_by_adding() {
        let trial = Trial::new();
        trial.fake.hanging.borrow_mut().insert("leave n5".into());
        trial.abandon(0, &Fault::Membership { nodes: nodes(&["n5"]) });
        trial.fake.recover();
        trial.heal(0);
        assert!(trial.fake.calls().contains(&"join n5".to_owned()));
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_paused_node_that_is_killed_stays_dead_when_the_pause_ends() {
        let trial = Trial::new();
        trial.inject(0, &pause(&["n1"]));
        trial.inject(1, &kill(&["n1"]));
        assert_eq!(trial.heal(0).text, "n1: is down by another fault");
        assert_eq!(trial.fake.node("n1"), DOWN);
        trial.heal(1);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_paused_node_that_is_killed_stands_still_again_when_the_kill_ends_first() {
        let trial = Trial::new();
        trial.inject(0, &pause(&["n1"]));
        trial.inject(1, &kill(&["n1"]));
        assert_eq!(trial.heal(1).text, "n1: started again, and held still by another fault");
        assert_eq!(trial.fake.node("n1"), STILL);
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_pause_of_a_dead_node_strikes_once_the_node_is_started() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1"]));
        let proof = trial.inject(1, &pause(&["n1"]));
        assert_eq!((proof.hit, trial.fake.node("n1")), (false, DOWN), "{}", proof.text);
        trial.heal(0);
        assert_eq!(trial.fake.node("n1"), STILL);
        assert!(trial.heal(1).hit, "it did hold the node after all");
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_pause_that_never_touched_a_living_node_did_not_hit() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1"]));
        trial.inject(1, &pause(&["n1"]));
        assert!(!trial.heal(1).hit);
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_node_is_started_when_the_last_kill_heals() {
        let trial = Trial::new();
        assert!(trial.inject(0, &kill(&["n1", "n2"])).hit);
        assert!(trial.inject(1, &kill(&["n2", "n3"])).hit);
        assert!(!trial.inject(2, &kill(&["n1"])).hit, "it was down already");
        trial.heal(0);
        assert_eq!(["n1", "n2", "n3"].map(|n| trial.fake.node(n)), [DOWN, DOWN, DOWN]);
        trial.heal(1);
        assert_eq!(["n1", "n2", "n3"].map(|n| trial.fake.node(n)), [DOWN, UP, UP]);
        assert!(trial.heal(2).hit, "it alone kept n1 down for a while");
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_clock_is_proven_by_what_the_node_reads() {
        let trial = Trial::new();
        let proof = trial.inject(0, &bump(&["n2"], -8_200));
        assert!(proof.hit && proof.text.contains("n2: clock read 8.200 s behind"), "{}", proof.text);
        let healed = trial.heal(0);
        assert!(healed.text.ends_with("now 0.000 s ahead"), "{}", healed.text);
        assert!(healed.hit && trial.fake.is_whole());
        trial.fake.obedience.set(0);
        assert!(
            !trial.inject(1, &bump(&["n2"], 8_200)).hit,
            "a clock that ignores the request was not struck"
        );
        assert!(!trial.heal(1).hit);
    }

    #[test]
    fn a_drift_is_proven_when_it_heals() {
        let trial = Trial::new();
        let drift = Fault::Clock { nodes: nodes(&["n2"]), skew: Skew::Drift { rate_ppm: 100_000 } };
        assert!(!trial.inject(0, &drift).hit);
        trial.fake.truth.borrow_mut().get_mut(&NodeId::new("n2")).expect("a node").offset_ns = 300_000_000;
        let healed = trial.heal(0);
        assert!(healed.hit && healed.text.contains("had come to 0.300 s ahead"), "{}", healed.text);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_clock_that_nobody_read_is_no_clock_that_read_nothing() {
        let trial = Trial::new();
        trial.fake.is_blind.set(true);
        let proof = trial.inject(0, &bump(&["n2"], 8_200));
        assert!(!proof.hit && proof.text.ends_with("n2: clock not read"), "{}", proof.text);
        let healed = trial.heal(0);
        assert_eq!((healed.hit, healed.text.as_str()), (false, "n2: clock not read at the end, true again"));
        assert!(trial.fake.is_whole());
        trial.inject(1, &bump(&["n2"], 8_200));
        trial.fake.is_blind.set(false);
        assert!(trial.heal(1).hit, "it was read at last");
        trial.inject(2, &bump(&["n2"], 8_200));
        assert!(trial.inject(3, &bump(&["n2"], 8_200)).hit, "set by another fault already, and read");
    }

    #[test]
    fn a_clock_that_does_not_become_true_is_reported_and_set_again() {
        let trial = Trial::new();
        trial.inject(0, &bump(&["n2"], 5_000));
        trial.fake.obedience.set(0);
        let error = trial.try_heal(0).expect_err("it still lies");
        assert!(error.0.contains("n2 still reads its clock 5.000 s ahead"), "{error}");
        assert_eq!(trial.nemesis.in_force(), [FaultId(0)]);
        trial.fake.obedience.set(1);
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn the_newer_of_two_skews_counts_and_the_older_comes_back() {
        let trial = Trial::new();
        trial.inject(0, &bump(&["n2"], 5_000));
        trial.inject(1, &bump(&["n2"], -3_000));
        assert_eq!(trial.fake.node("n2").offset_ns, -3_000_000_000);
        trial.heal(1);
        assert_eq!(trial.fake.node("n2").offset_ns, 5_000_000_000);
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_restarted_node_lies_on_as_long_as_its_clock_should() {
        let trial = Trial::new();
        trial.inject(0, &bump(&["n2"], 5_000));
        trial.inject(1, &kill(&["n2"]));
        assert_eq!(trial.fake.node("n2").offset_ns, 0);
        trial.heal(1);
        assert_eq!(trial.fake.node("n2").offset_ns, 5_000_000_000);
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn the_clock_of_a_node_that_does_not_run_waits() {
        for stop in [kill(&["n2"]), pause(&["n2"])] {
            let trial = Trial::new();
            trial.inject(0, &stop);
            let proof = trial.inject(1, &bump(&["n2"], 5_000));
            assert!(!proof.hit && proof.text.contains("does not run"), "{}", proof.text);
            trial.heal(0);
            assert_eq!(trial.fake.node("n2").offset_ns, 5_000_000_000);
            assert!(trial.heal(1).hit, "seen at last");
            assert!(trial.fake.is_whole());

            trial.inject(2, &bump(&["n2"], 5_000));
            trial.inject(3, &stop);
            assert!(trial.heal(2).text.contains("true when it does"));
            trial.heal(3);
            assert!(
                trial.fake.is_whole(),
                "the clock is made true as soon as the node runs: {:?}",
                trial.fake.truth
            );
        }
    }

    #[test]
    fn a_failed_injection_is_reported_and_healed_all_the_same() {
        let trial = Trial::new();
        trial.fake.fail("kill n3");
        let error = trial.try_inject(0, &kill(&["n1", "n3"])).expect_err("n3 cannot be killed");
        assert_eq!(error.0, "n3: cannot kill n3");
        assert_eq!(trial.fake.node("n1"), DOWN);
        let healed = trial.heal(0);
        assert!(healed.hit, "n1 was struck");
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_failed_healing_stays_on_record_and_is_tried_again() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1", "n2"]));
        trial.fake.fail("start n2");
        assert_eq!(trial.try_heal(0), Err("n2: cannot start n2".into()));
        assert_eq!(
            (trial.fake.node("n1"), trial.fake.node("n2")),
            (UP, DOWN),
            "one failure does not stop the rest"
        );
        assert_eq!(trial.nemesis.in_force(), [FaultId(0)]);
        trial.fake.recover();
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_hold_whose_undoing_failed_does_not_keep_others_from_undoing() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1"]));
        trial.fake.fail("start n1");
        assert!(trial.try_heal(0).is_err());
        trial.fake.recover();
        trial.inject(1, &kill(&["n1"]));
        trial.heal(1);
        assert_eq!(trial.fake.node("n1"), UP, "fault 0 is over, though its healing failed");
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn a_node_that_hangs_does_not_hold_the_others_up() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1", "n2", "n3"]));
        trial.fake.hanging.borrow_mut().insert("start n1".into());
        let mut heal = Box::pin(trial.nemesis.heal(&trial.fake, FaultId(0)));
        for _ in 0..20 {
            assert!(heal.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(heal);
        assert_eq!(["n1", "n2", "n3"].map(|n| trial.fake.node(n)), [DOWN, UP, UP]);
        trial.fake.recover();
        trial.heal(0);
        assert!(trial.fake.is_whole());
    }

    #[test]
    fn an_abandoned_injection_can_be_healed() {
        for (call, fault) in [
            ("kill n2", kill(&["n1", "n2"])),
            ("pause n2", pause(&["n1", "n2"])),
            ("skew n2", bump(&["n1", "n2"], 900)),
            ("cut 0", cut(&[("n1", "n2")])),
        ] {
            let trial = Trial::new();
            trial.fake.hanging.borrow_mut().insert(call.into());
            trial.abandon(0, &fault);
            trial.fake.recover();
            assert_eq!(trial.nemesis.in_force(), [FaultId(0)], "{call}");
            trial.heal(0);
            assert!(trial.fake.is_whole(), "{call}: {:?}", trial.fake.truth);
            assert_eq!(trial.nemesis.in_force(), []);
        }
    }

    #[test]
    fn healing_all_heals_all_and_can_be_repeated() {
        let trial = Trial::new();
        trial.inject(0, &kill(&["n1", "n2"]));
        trial.inject(1, &pause(&["n2", "n3"]));
        trial.inject(2, &bump(&["n1", "n3", "n4"], 60_000));
        trial.inject(3, &cut(&[("n1", "n5")]));
        trial.fake.fail("resume n3");
        let first = trial.heal_all();
        assert_eq!(
            first.iter().map(|(id, result)| (id.0, result.is_ok())).collect::<Vec<_>>(),
            [(0, true), (1, false), (2, true), (3, true)]
        );
        assert_eq!(trial.nemesis.in_force(), [FaultId(1)]);
        trial.fake.recover();
        assert!(trial.heal_all().iter().all(|(_, result)| result.is_ok()));
        assert!(trial.fake.is_whole(), "{:?}", trial.fake.truth);
        trial.fake.calls();
        assert_eq!(trial.heal_all(), []);
        assert_eq!(trial.fake.calls(), Vec::<String>::new(), "nothing is left to do");
    }

    #[test]
    fn healing_what_is_not_there_does_nothing() {
        let trial = Trial::new();
        assert!(!trial.heal(9).hit);
        trial.inject(0, &kill(&["n1"]));
        trial.heal(0);
        trial.fake.calls();
        trial.heal(0);
        assert_eq!(trial.fake.calls(), Vec::<String>::new());
    }

    #[test]
    fn strangers_and_reused_numbers_are_refused() {
        let trial = Trial::new();
        assert_eq!(trial.try_inject(0, &kill(&["n9"])), Err("n9 is no node of this cluster".into()));
        assert!(trial.try_inject(0, &cut(&[("n1", "n9")])).is_err());
        trial.inject(0, &kill(&["n1"]));
        assert!(trial.try_inject(0, &kill(&["n2"])).is_err());
        assert_eq!(trial.fake.node("n2"), UP);
    }

    #[test]
    fn faults_in_any_order_leave_nothing_behind() {
        use elenchus_core::random::Seed;
        for seed in 0..300 {
            let (trial, mut rng) = (Trial::new(), Seed(seed).rng());
            let all = NodeId::numbered(5);
            let mut open: Vec<u32> = Vec::new();
            for id in 0..30 {
                let (kinds, reach) = (
                    rng.below(4),
                    *rng.pick(&[target::Reach::One, target::Reach::Minority, target::Reach::All]),
                );
                let fault = match kinds {
                    0 => kill::draw(&mut rng, &all, reach),
                    1 => pause::draw(&mut rng, &all, reach),
                    2 => clock::draw(&mut rng, &all, reach),
                    _ => partition::draw(&mut rng, &all, Shape::Halves),
                };
                if rng.chance(1, 5) {
                    let call = format!(
                        "{} n{}",
                        rng.pick(&["kill", "start", "pause", "resume", "skew", "true"]),
                        1 + rng.below(5)
                    );
                    trial.fake.fail(&call);
                }
                let _ = trial.try_inject(id, &fault);
                open.push(id);
                while !open.is_empty() && rng.chance(1, 2) {
                    let healed = open.swap_remove(rng.below(open.len() as u64) as usize);
                    let _ = trial.try_heal(healed);
                }
                if rng.chance(1, 3) {
                    trial.fake.recover();
                }
            }
            trial.fake.recover();
            assert!(trial.heal_all().iter().all(|(_, result)| result.is_ok()), "seed {seed}");
            assert!(trial.fake.is_whole(), "seed {seed}: {:?}", trial.fake.truth);
        }
    }
}
