//! Claims about the search that look right and are not.
//!
//! Each was believed once, and each makes the search wrong on a history of a few operations. Tests put them
//! back one at a time, to see that the comparison with the oracle would catch them. Outside of tests none
//! can be held.

/// A refuted claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "only tests hold them"))]
pub(super) enum Claim {
    /// "An open write of the value that is there can be put in at once." It may be needed later.
    WritesCanBeEager,
    /// "An operation in doubt can be left out if nobody reads its value." A refusal may need it.
    OnlyReadsNotice,
    /// "An operation in doubt matters only to those that ended for certain." It may enable another one.
    DoubtNeedsNoFixpoint,
    /// "A write that was put in unseen need not be seen at its own return." It may be read afterwards.
    UnseenStaysUnseen,
    /// "A write that nobody will read need not be seen at its own return." A refusal may need it.
    UnreadStaysUnseen,
    /// "A text that nobody will get does not matter." An append may make one of it that somebody gets.
    GrowthIsUnnoticed,
}

#[cfg(test)]
thread_local! {
    static HELD: std::cell::Cell<Option<Claim>> = const { std::cell::Cell::new(None) };
}

/// Whether a test holds this claim.
#[cfg(test)]
pub(super) fn claimed(claim: Claim) -> bool {
    HELD.get() == Some(claim)
}

/// No claim is held outside of tests.
#[cfg(not(test))]
pub(super) const fn claimed(_claim: Claim) -> bool {
    false
}

/// Does something while a claim is held.
#[cfg(test)]
pub(super) fn holding<T>(claim: Claim, act: impl FnOnce() -> T) -> T {
    struct Release;
    impl Drop for Release {
        fn drop(&mut self) {
            HELD.set(None);
        }
    }
    HELD.set(Some(claim));
    let _release = Release;
    act()
}
