//! Something that holds of a node until it is set otherwise: its packets' trouble, its disk's ailment, its limit.

use elenchus_core::LocalFuture;
use elenchus_core::cluster::HeldBack;
use elenchus_core::fault::FaultId;
use elenchus_core::outcome::Cause;

/// A condition, in whose name it was set last, and whether that is known to be so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition<T> {
    by: Option<(FaultId, T)>,
    is_known: bool,
}

impl<T: Copy + PartialEq> Condition<T> {
    /// Nothing is in force.
    pub(crate) fn none() -> Condition<T> {
        Condition { by: None, is_known: true }
    }

    /// Brings it from how it is to how it should be. Answers what has ended by that, with what it has touched.
    /// After an error nobody knows how it is; it is set anew next time.
    pub(crate) async fn settle<'a>(
        &mut self,
        wanted: Option<(FaultId, T)>,
        set: impl FnOnce(Option<T>) -> LocalFuture<'a, Result<HeldBack, Cause>>,
    ) -> Result<Option<(FaultId, u64)>, Cause> {
        if self.is_known && self.by == wanted {
            return Ok(None);
        }
        self.is_known = false;
        let touched = set(wanted.map(|(_, asked)| asked)).await?.count;
        let ended = std::mem::replace(&mut self.by, wanted);
        self.is_known = true;
        Ok(ended.map(|(id, _)| (id, touched)))
    }
}
