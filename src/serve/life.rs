//! A server's life: it listens, works, and ends when a signal says so.

use super::api;
use super::audit::Act;
use super::listen::{self, Door, Peer};
use super::queue::Waiting;
use super::{Service, execute, fleet};
use crate::run::fault::{Fault, FaultKind};
use crate::run::{Signals, block_on};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Serves until a signal says otherwise; `ready` is told where. The first signal lets what is under way end or pause in the journal, the
/// second stops it at once, a third ends the process. Returns the exit status of the first signal.
pub fn serve(service: &Arc<Service>, ready: &dyn Fn(SocketAddr)) -> Result<u8, Fault> {
    let served = block_on(async {
        let cannot = |e| Fault::storage("listen on", Path::new(&service.settings.address.to_string()), &e);
        let mut signals =
            Signals::new().ok_or_else(|| Fault::new(FaultKind::Process, "signals cannot be listened for"))?;
        listen::allow(service.settings.connections);
        let listener = tokio::net::TcpListener::bind(service.settings.address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let door = Door::new(
            listener,
            service.settings.connections,
            service.settings.patience,
            !service.tenants.ask_for_tokens(),
        )
        .in_tls(service.settings.tls.clone());
        let workers: Vec<_> =
            (0..service.settings.workers).map(|n| worker(service.clone(), n)).collect::<Result<_, _>>()?;
        let watcher = fleet::spawn(service.clone())?;
        let sweeper = tokio::spawn(sweep(service.clone()));
        let app = api::router(service.clone()).into_make_service_with_connect_info::<Peer>();
        let mut stop = service.stopping();
        let stopped = async move { drop(stop.wait_for(|stops| *stops).await) };
        let mut server = Box::pin(axum::serve(door, app).with_graceful_shutdown(stopped).into_future());
        let note = address.to_string();
        service.audit.note(Act { what: "start", tenant: None, from: None, run: None, note: &note });
        ready(address);
        let status = tokio::select! {
            status = signals.next() => status,
            ended = &mut server => return Err(Fault::new(FaultKind::Process, format!("the server ended: {ended:?}"))),
        };
        service.stop.send_replace(true);
        sweeper.abort();
        service.dispatch.close();
        service.fleet.close();
        let threads = workers.into_iter().chain([watcher]);
        let joined = tokio::task::spawn_blocking(move || threads.for_each(|thread| drop(thread.join())));
        let end = async { tokio::join!(joined, tokio::time::timeout(service.settings.grace, server)) };
        tokio::pin!(end);
        let mut again = 0;
        loop {
            tokio::select! {
                _ = &mut end => break,
                status = signals.next() => {
                    again += 1;
                    service.dispatch.stop_all();
                    if again > 1 {
                        std::process::exit(status.into());
                    }
                }
            }
        }
        service.audit.note(Act { what: "stop", tenant: None, from: None, run: None, note: "" });
        Ok(status)
    });
    served.map_err(|e| Fault::new(FaultKind::Process, format!("the server has no runtime: {e}")))?
}

/// Ends leases of hosts that are silent, again and again.
async fn sweep(service: Arc<Service>) {
    loop {
        tokio::time::sleep(service.settings.lease / 8).await;
        let service = service.clone();
        drop(tokio::task::spawn_blocking(move || service.hosts.sweep(&service)).await);
    }
}

/// A thread that carries out one run after the other until there is to be no more.
fn worker(service: Arc<Service>, n: usize) -> Result<std::thread::JoinHandle<()>, Fault> {
    let work = move || {
        let may = |run: &Waiting| service.planner.sites().own_may(&run.needs);
        while let Some((run, cancel)) = service.dispatch.next(&may) {
            execute::work(&service, run.id, &cancel);
        }
    };
    let thread = std::thread::Builder::new().name(format!("run-{n}")).spawn(work);
    thread.map_err(|e| Fault::new(FaultKind::Process, format!("a worker has no thread: {e}")))
}
