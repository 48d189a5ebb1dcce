//! Addresses to listen on, as `--web.listen-address` writes them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted, per listener.
const BACKLOG: u32 = 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    /// As configured.
    pub address: String,
    /// What the system said.
    pub error: io::Error,
}

/// Bound sockets; connections queue from now on.
#[derive(Debug)]
pub struct Listeners(pub(super) Vec<TcpListener>);

impl Listeners {
    /// Binds all of `addresses`: `host:port`, `[v6]:port` or `:port` for every interface.
    ///
    /// # Errors
    /// When one cannot be bound; names it, and none stays bound.
    pub async fn bind<A: AsRef<str>>(addresses: &[A]) -> Result<Self, BindError> {
        let mut bound = Vec::new();
        for address in addresses {
            let address = address.as_ref();
            match bind(address).await {
                Ok(listener) => bound.push(listener),
                Err(error) => return Err(BindError { address: address.to_owned(), error }),
            }
        }
        Ok(Self(bound))
    }

    /// What was bound, with the ports that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

async fn bind(address: &str) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':') {
        let port = port.parse().map_err(|_| io::Error::other(format!("{port:?} is not a port")))?;
        // Dual stack where the machine has IPv6.
        return match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
            listener => listener,
        };
    }
    let mut last = io::Error::other("expected host:port, [address]:port or :port");
    for address in tokio::net::lookup_host(address).await? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for connections of its predecessor to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
