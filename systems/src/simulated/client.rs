//! A client of a simulated cluster: the bundled cluster's requests, carried by the universe.

use super::{Awaited, Simulated};
use crate::bundled::{connector, translate};
use elenchus_core::LocalFuture;
use elenchus_core::client::{Capability, Client, Connector, Request, Response};
use elenchus_core::outcome::{Cause, Outcome};
use elenchus_core::process::{NodeId, Process};
use elenchus_reference::sim::ClientId;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// What its clients offer.
pub const CAPABILITIES: &[Capability] = connector::CAPABILITIES;

struct SimulatedClient {
    id: ClientId,
    simulated: Rc<Simulated>,
}

/// Opens clients of a simulated cluster.
pub struct SimulatedConnector(pub Rc<Simulated>);

impl Connector for SimulatedConnector {
    fn capabilities(&self) -> &[Capability] {
        CAPABILITIES
    }

    fn connect<'a>(
        &'a self,
        node: &'a NodeId,
        _process: Process,
    ) -> LocalFuture<'a, Result<Box<dyn Client>, Cause>> {
        Box::pin(async move {
            let SimulatedConnector(simulated) = self;
            let peer = simulated.peer(node).ok_or_else(|| Cause::from(format!("{node} is no node here")))?;
            let id = simulated.universe.borrow_mut().open(peer).map_err(Cause::from)?;
            Ok(Box::new(SimulatedClient { id, simulated: simulated.clone() }) as Box<dyn Client>)
        })
    }
}

impl Client for SimulatedClient {
    fn call<'a>(&'a mut self, request: &'a Request) -> LocalFuture<'a, Outcome<Response>> {
        Box::pin(async move {
            let call = match translate::call(request) {
                Ok(call) => call,
                Err(cause) => return Outcome::not_done(cause),
            };
            let simulated = &self.simulated;
            let deadline = simulated.now() + simulated.operation_max;
            simulated.universe.borrow_mut().begin(self.id, call, deadline.0);
            let end = poll_fn(|cx| {
                let end = simulated.universe.borrow_mut().take_end(self.id);
                end.map_or_else(|| simulated.wait(Awaited::Client(self.id), cx), Poll::Ready)
            });
            translate::outcome(request, end.await)
        })
    }
}

impl Drop for SimulatedClient {
    fn drop(&mut self) {
        self.simulated.waiting.borrow_mut().remove(&Awaited::Client(self.id));
        self.simulated.universe.borrow_mut().close(self.id);
    }
}
