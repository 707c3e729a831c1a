//! Clocks that lie: they jump, strobe or drift, and healing makes them true again.
//!
//! The proof is what the node itself reads: a clock that it did not read is not known to have struck it. A drift
//! shows only after a while, so it is read again when it heals; a strobing clock shows its offset only every
//! other moment, so it is read a few times.

use crate::Shade;
use crate::ledger::{Effect, Ledger, Standing};
use crate::target::{self, Reach};
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{Fault, Skew};
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::random::Rng;

/// How plots shade it.
pub const SHADE: Shade = Shade { color: "#A0E9E3", label: "clock" };

/// The smallest jump that is drawn, milliseconds. Half of it must show above the error of a measurement.
pub const DELTA_MS_MIN: i64 = 100;
/// The largest.
pub const DELTA_MS_MAX: i64 = 60_000;
/// The largest on a majority. A clock that jumps back (as it does when a jump ahead heals) holds its node's
/// timers up for as long: on a minority the others do without, on a majority nobody could.
pub const DELTA_MS_MAJORITY: i64 = 1_000;

/// Draws a clock fault of this reach.
pub fn draw(rng: &mut Rng, nodes: &[NodeId], reach: Reach) -> Fault {
    let majority = reach.size(nodes.len()) > target::minority(nodes.len()).max(1);
    let delta_ms = delta(rng, if majority { DELTA_MS_MAJORITY } else { DELTA_MS_MAX });
    let skew = match rng.below(3) {
        0 => Skew::Bump { delta_ms },
        1 => Skew::Strobe { delta_ms, period_ms: rng.between(50, 500) },
        _ => {
            let rate_ppm = rng.between(50_000, 500_000) as i64;
            Skew::Drift { rate_ppm: if delta_ms < 0 { -rate_ppm } else { rate_ppm } }
        }
    };
    Fault::Clock { nodes: target::draw(rng, nodes, reach), skew }
}

/// A jump ahead or back, each order of magnitude (to the base of 2) with the same chance.
fn delta(rng: &mut Rng, max: i64) -> i64 {
    let octaves = (max / DELTA_MS_MIN).ilog2();
    let low = DELTA_MS_MIN << rng.below(u64::from(octaves) + 1);
    let delta = rng.between(low as u64, (2 * low).min(max) as u64) as i64;
    if rng.chance(1, 2) { -delta } else { delta }
}

/// Whether this reading (nanoseconds ahead) shows that the clock lies as asked. A clock may be unable to lie
/// in full (none shows less than zero), so that the sign and what surely is no error of measurement are enough.
pub(crate) fn shows(skew: &Skew, offset_ns: i64) -> bool {
    let (asked, enough) = match *skew {
        Skew::Bump { delta_ms } | Skew::Strobe { delta_ms, .. } => {
            (delta_ms, (delta_ms.unsigned_abs().saturating_mul(MILLISECOND) / 2).min(SEEN_NS))
        }
        Skew::Drift { rate_ppm } => (rate_ppm, DRIFTED_NS),
    };
    asked != 0 && offset_ns.signum() == asked.signum() && offset_ns.unsigned_abs() >= enough
}

/// Whether this reading is true, but for the error of measurement.
pub(crate) fn is_true(offset_ns: i64) -> bool {
    offset_ns.unsigned_abs() <= SEEN_NS
}

/// Reads a clock until it shows what it should, a few times at most, and answers the last reading; `None` if the
/// node never read it. A reading on a busy machine may be late, and a strobing clock shows its offset only every
/// other moment.
pub(crate) async fn read_until(
    cluster: &dyn Cluster,
    node: &NodeId,
    first: Option<i64>,
    wanted: impl Fn(i64) -> bool,
) -> Option<i64> {
    let mut offset = first;
    for _ in 0..READINGS {
        if offset.is_some_and(&wanted) {
            break;
        }
        match cluster.clock(node).await {
            Ok(again) => offset = again.or(offset),
            Err(_) => break,
        }
    }
    offset
}

/// What a drift (or whatever has not shown yet) has come to, just before it heals.
pub(crate) async fn last_look(
    ledger: &Ledger,
    cluster: &dyn Cluster,
    node: &NodeId,
    skew: &Skew,
) -> Option<i64> {
    if !ledger.is_running(node).await {
        return None;
    }
    read_until(cluster, node, None, |offset| shows(skew, offset)).await
}

/// What shows that it struck.
pub(crate) fn injected(skew: &Skew, effects: &[(NodeId, Effect)]) -> String {
    let part = |(node, effect): &(NodeId, Effect)| match effect.offset_ns {
        Some(offset) => format!("{node}: clock read {}", ahead(offset)),
        None if effect.standing == Standing::Running => format!("{node}: clock not read"),
        None => format!("{node}: does not run, its clock lies when it does"),
    };
    format!("{}; {}", asked(skew), effects.iter().map(part).collect::<Vec<_>>().join("; "))
}

/// What shows that it is undone, and what the last look showed.
pub(crate) fn healed(effects: &[(NodeId, Effect)], looks: &[Option<i64>]) -> String {
    let part = |((node, effect), look): (&(NodeId, Effect), &Option<i64>)| {
        let before = match look {
            Some(offset) => format!("had come to {}, ", ahead(*offset)),
            None if effect.standing == Standing::Running => "clock not read at the end, ".into(),
            None => String::new(),
        };
        match effect.offset_ns {
            Some(offset) => format!("{node}: {before}now {}", ahead(offset)),
            None if effect.standing == Standing::Running => format!("{node}: {before}true again"),
            None => format!("{node}: {before}does not run, its clock is true when it does"),
        }
    };
    effects.iter().zip(looks).map(part).collect::<Vec<_>>().join("; ")
}

/// That a clock lies although it should not.
pub(crate) fn still_lies(node: &NodeId, offset_ns: i64) -> Cause {
    format!("{node} still reads its clock {}", ahead(offset_ns)).into()
}

fn asked(skew: &Skew) -> String {
    match skew {
        Skew::Bump { delta_ms } => format!("jumps by {delta_ms} ms"),
        Skew::Strobe { delta_ms, period_ms } => format!("strobes by {delta_ms} ms every {period_ms} ms"),
        Skew::Drift { rate_ppm } => format!("drifts by {rate_ppm} ppm"),
    }
}

/// An offset for people: `8.200 s ahead`.
fn ahead(offset_ns: i64) -> String {
    let side = if offset_ns < 0 { "behind" } else { "ahead" };
    let (ms, us) = (offset_ns.unsigned_abs() / MILLISECOND, offset_ns.unsigned_abs() / 1000);
    if ms == 0 && us > 0 {
        return format!("{us} µs {side}");
    }
    format!("{}.{:03} s {side}", ms / 1000, ms % 1000)
}

const MILLISECOND: u64 = 1_000_000;
/// No error of measurement is so large; half of the smallest jump.
const SEEN_NS: u64 = DELTA_MS_MIN as u64 * MILLISECOND / 2;
/// What the slowest drift has come to within 20 ms. A true clock of another host reads some tens of microseconds
/// ahead by error; a node that is killed while its clock drifts cannot be looked at much later.
const DRIFTED_NS: u64 = 1_000_000;
const READINGS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;
    use std::collections::BTreeSet;

    #[test]
    fn jumps_span_all_magnitudes_both_ways() {
        let mut rng = Seed(3).rng();
        let deltas: Vec<i64> = (0..2000).map(|_| delta(&mut rng, DELTA_MS_MAX)).collect();
        assert!(deltas.iter().all(|d| (DELTA_MS_MIN..=DELTA_MS_MAX).contains(&d.abs())));
        for range in [100..400, 400..2_000, 2_000..10_000, 10_000..60_001] {
            assert!(deltas.iter().filter(|d| range.contains(*d)).count() > 100, "{range:?}");
            assert!(deltas.iter().filter(|d| range.contains(&-**d)).count() > 100, "-{range:?}");
        }
    }

    #[test]
    fn a_majority_is_never_thrown_far() {
        let (nodes, mut rng) = (NodeId::numbered(5), Seed(3).rng());
        let mut kinds = BTreeSet::new();
        for reach in [Reach::Majority, Reach::All].repeat(200) {
            let Fault::Clock { skew, .. } = draw(&mut rng, &nodes, reach) else {
                panic!("a clock was asked for")
            };
            kinds.insert(asked(&skew).split(' ').next().map(str::to_owned));
            if let Skew::Bump { delta_ms } | Skew::Strobe { delta_ms, .. } = skew {
                assert!(delta_ms.abs() <= DELTA_MS_MAJORITY);
            }
        }
        assert_eq!(kinds.len(), 3, "jumps, strobes and drifts");
    }

    #[test]
    fn only_a_reading_askew_as_asked_is_a_proof() {
        let ms = |ms: i64| ms * 1_000_000;
        let bump = |delta_ms| Skew::Bump { delta_ms };
        assert!(shows(&bump(8_000), ms(7_990)) && shows(&bump(-100), ms(-60)));
        assert!(!shows(&bump(8_000), ms(3)) && !shows(&bump(8_000), ms(-8_000)) && !shows(&bump(-100), 0));
        assert!(
            shows(&bump(-60_000), ms(-900)),
            "a clock that has shown less than a minute cannot go back one"
        );
        let strobe = Skew::Strobe { delta_ms: 200, period_ms: 70 };
        assert!(shows(&strobe, ms(200)) && !shows(&strobe, 0));
        let drift = Skew::Drift { rate_ppm: -50_000 };
        assert!(
            shows(&drift, ms(-50)) && !shows(&drift, -20_000) && !shows(&drift, 0) && !shows(&drift, ms(50))
        );
        assert!(!shows(&bump(0), 0), "nothing asked, nothing shown");
    }

    #[test]
    fn offsets_read_well() {
        assert_eq!(
            [8_200_000_000, -1_999_999, 66_000, 0].map(ahead),
            ["8.200 s ahead", "0.001 s behind", "66 µs ahead", "0.000 s ahead"]
        );
    }
}
