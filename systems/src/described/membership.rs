//! Removing and adding members of a described cluster, by the commands that its user names.
//!
//! Both run beside the nodes and ask the others. A removal that is not certain is an error: what the node knows is
//! wiped only once it is no member. An addition whose answer was lost is asked for again.

use super::DescribedSystem;
use super::description::Membership;
use super::question;
use elenchus_core::LocalFuture;
use elenchus_core::outcome::Cause;
use elenchus_core::process::NodeId;
use elenchus_core::system;
use std::path::PathBuf;

impl DescribedSystem {
    /// How members are removed and added; whoever asks has made sure that it was described.
    fn described(&self) -> Result<&Membership, Cause> {
        let described = self.description.membership.as_ref();
        described.ok_or_else(|| "nobody said how members are removed and added".into())
    }

    async fn change(&self, step: &str, node: &NodeId) -> Result<(), Cause> {
        let me = self.place(node);
        let step = self.description.fill(step, me, &self.facts);
        let seat = &self.seats[me];
        question::shell(&step, &*seat.host, &seat.folder, None).await?;
        Ok(())
    }
}

impl system::Membership for DescribedSystem {
    fn remove<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move { self.change(&self.described()?.remove, node).await })
    }

    fn add<'a>(&'a self, node: &'a NodeId) -> LocalFuture<'a, Result<(), Cause>> {
        Box::pin(async move {
            self.change(&self.described()?.add, node).await?;
            self.joined.borrow_mut().insert(node.clone());
            Ok(())
        })
    }

    fn state(&self, node: &NodeId) -> Vec<PathBuf> {
        vec![PathBuf::from(&self.facts[self.place(node)].data)]
    }
}
