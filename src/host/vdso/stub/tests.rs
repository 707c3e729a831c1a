//! The stub runs in this very process, beside a plain computation of what it should say.

use super::*;
use crate::host::vdso::lie::Lie;
use crate::host::vdso::variables::{self, Shown};
use elenchus_core::random::{Rng, Seed};
use nix::libc;

const SECOND: i64 = 1_000_000_000;

/// A block as a patched process has one, in our own memory.
struct Block(*mut u8);

impl Block {
    fn new() -> Block {
        let size = 2 * VARIABLES as usize;
        let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, written within its bounds before it is executed.
        unsafe {
            let block = libc::mmap(std::ptr::null_mut(), size, rights, kind, -1, 0).cast::<u8>();
            assert_ne!(block.cast(), libc::MAP_FAILED);
            std::ptr::copy_nonoverlapping(code().as_ptr(), block, code().len());
            let executable = libc::PROT_READ | libc::PROT_EXEC;
            assert_eq!(libc::mprotect(block.cast(), VARIABLES as usize, executable), 0);
            Block(block)
        }
    }

    fn variables(&self) -> [u8; variables::SIZE] {
        // SAFETY: the variables are part of the mapping.
        unsafe { self.0.add(VARIABLES as usize).cast::<[u8; variables::SIZE]>().read_volatile() }
    }

    fn set(&self, lie: &Lie) {
        for (at, bytes) in variables::writes(&self.variables(), lie) {
            let to = VARIABLES as usize + at as usize;
            // SAFETY: as above; nobody else knows of this block.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.add(to), bytes.len()) };
        }
    }

    /// A function of the stub.
    fn function(&self, place: usize) -> *const u8 {
        self.0.wrapping_add(entries()[place].at as usize)
    }

    fn clock(&self, id: i32) -> i64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: that is what begins there.
        let ask: extern "C" fn(i32, *mut libc::timespec) -> i32 =
            unsafe { std::mem::transmute(self.function(0)) };
        assert_eq!(ask(id, &mut now), 0);
        assert!((0..SECOND).contains(&now.tv_nsec), "{now:?}");
        now.tv_sec * SECOND + now.tv_nsec
    }

    fn day(&self) -> i64 {
        let mut now = libc::timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: that is what begins there.
        let ask: extern "C" fn(*mut libc::timeval, usize) -> i32 =
            unsafe { std::mem::transmute(self.function(1)) };
        assert_eq!((ask(&mut now, 0), ask(std::ptr::null_mut(), 0)), (0, 0));
        assert!((0..1_000_000).contains(&now.tv_usec), "{now:?}");
        now.tv_sec * SECOND + now.tv_usec * 1000
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it is our mapping, and nobody runs in it any more.
        unsafe { libc::munmap(self.0.cast(), 2 * VARIABLES as usize) };
    }
}

fn kernel(id: i32) -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer shows to a timespec.
    assert_eq!(unsafe { libc::clock_gettime(id, &mut now) }, 0);
    now.tv_sec * SECOND + now.tv_nsec
}

fn any(rng: &mut Rng, now: i64) -> Lie {
    let signed = |rng: &mut Rng, bits: u64| {
        let size = rng.next_u64() as i64 & ((1 << rng.between(1, bits)) - 1);
        if rng.chance(1, 2) { -size } else { size }
    };
    Lie {
        offset_ns: signed(rng, 61),
        rate: if rng.chance(1, 2) { 0 } else { signed(rng, 33).max(-1 << 32) },
        base_ns: now - signed(rng, 45),
        period_ns: if rng.chance(1, 2) { 0 } else { rng.next_u64() >> rng.between(1, 30) },
    }
}

#[test]
fn the_stub_says_what_it_should_whatever_the_lie() {
    let (block, mut rng) = (Block::new(), Seed(5).rng());
    let mut compared = 0;
    for turn in 0..3000 {
        let lie = any(&mut rng, kernel(libc::CLOCK_REALTIME));
        block.set(&lie);
        for function in [Block::day, |block: &Block| block.clock(libc::CLOCK_REALTIME)] {
            let before = kernel(libc::CLOCK_REALTIME);
            let said = function(&block);
            let after = kernel(libc::CLOCK_REALTIME);
            let (least, most) = (before + lie.ahead(before), after + lie.ahead(after));
            // Unless a strobe turned meanwhile: then this was no measurement.
            if most - least <= (after - before) * 4 && most >= least {
                // Microseconds are rounded down by the kernel, which a drift multiplies, and after the lie.
                assert!((least - 4000..=most).contains(&said), "{turn}: {lie:?}: {least} {said} {most}");
                compared += 1;
            }
        }
        let shown = variables::shown(&block.variables());
        assert!(shown.reads <= 2 && (shown.reads == 0) == (shown.ahead_ns == 0), "{lie:?} {shown:?}");
    }
    assert!(compared > 5000, "{compared}");
}

#[test]
fn wall_clocks_lie_and_no_others_and_only_wrong_answers_count() {
    let block = Block::new();
    let shown = || variables::shown(&block.variables());
    let near = |said: i64, wanted: i64| assert!((said - wanted).abs() < 20 * SECOND, "{said} {wanted}");
    near(block.clock(libc::CLOCK_REALTIME), kernel(libc::CLOCK_REALTIME));
    assert_eq!(shown(), Shown::default(), "the truth is no lie");
    let hour = Lie { offset_ns: 3600 * SECOND, ..Lie::default() };
    block.set(&hour);
    for id in [libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_MONOTONIC_RAW] {
        near(block.clock(id), kernel(id));
    }
    assert_eq!(shown(), Shown::default());
    for (reads, id) in (1..).zip([libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI]) {
        near(block.clock(id), kernel(id) + hour.offset_ns);
        assert_eq!(shown(), Shown { reads, ahead_ns: hour.offset_ns });
    }
}

#[test]
fn a_jump_is_known_again_and_nothing_else_is() {
    assert_eq!(destination(&jump(0x7fff_1234_5678)), Some(0x7fff_1234_5678));
    assert_eq!(destination(&[0; JUMP]), None);
}

#[test]
fn the_stub_fits_before_its_variables_and_begins_with_its_first_answer() {
    assert!(code().len() > 64 && code().len() < 4096);
    let places: Vec<u64> = entries().iter().map(|entry| entry.at).collect();
    assert!(places[0] == 0 && places.is_sorted() && *places.last().unwrap() < code().len() as u64);
}
