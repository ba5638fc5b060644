//! Carries the connections of clients to a server, so that one can break between a statement and its answer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Shared by all clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relay {
    /// By the address at which the server sees a client: what breaks that client's connection.
    open: Arc<Mutex<HashMap<SocketAddr, CancellationToken>>>,
}

impl Relay {
    /// Carries whoever comes to `listener` to `server`, until `stop` is cancelled; those that are there go on to their end.
    pub(crate) async fn carry(self, listener: TcpListener, server: SocketAddr, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            if let Ok((client, _)) = accepted {
                tokio::spawn(self.clone().connection(client, server));
            }
        }
    }

    /// Breaks a connection: its client hears nothing more, and the server sees that the client has gone.
    pub(crate) fn break_off(&self, peer: SocketAddr) {
        if let Some(broken) = self.open.lock().unwrap().get(&peer) {
            broken.cancel();
        }
    }

    async fn connection(self, mut client: TcpStream, server: SocketAddr) {
        let Ok(mut behind) = TcpStream::connect(server).await else {
            return;
        };
        let Ok(peer) = behind.local_addr() else { return };
        // Each packet waits for its answer, so none gets better by waiting for others.
        let _at_best = client.set_nodelay(true).and(behind.set_nodelay(true));
        let broken = CancellationToken::new();
        self.open.lock().unwrap().insert(peer, broken.clone());
        tokio::select! {
            () = broken.cancelled() => {}
            _ended = tokio::io::copy_bidirectional(&mut client, &mut behind) => {}
        }
        self.open.lock().unwrap().remove(&peer);
    }
}
