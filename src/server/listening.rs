//! The address of the web server.

use std::io::{Error, Result};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Listens at an address. `[::]` means all addresses, of IPv4 too; where the kernel has no IPv6, those of IPv4.
///
/// # Errors
/// If the address cannot be bound.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    bound(address, bind)
}

/// Binds an address, or instead of `[::]`, where that is not possible, `0.0.0.0`.
fn bound<T>(address: SocketAddr, mut bind: impl FnMut(SocketAddr) -> Result<T>) -> Result<T> {
    match bind(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&error) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        bound => bound,
    }
}

fn lacks_ipv6(error: &Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::ADDRNOTAVAIL | Errno::NETUNREACH)
    )
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, false)?; // the default is a setting of the node
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was bound, and what was tried before.
    fn tried(address: &str, fails: &[(&str, Errno)]) -> (Option<String>, Vec<String>) {
        let mut tried = Vec::new();
        let bound = bound(address.parse().expect("an address"), |address: SocketAddr| {
            tried.push(address.to_string());
            match fails.iter().find(|(failing, _)| *failing == address.to_string()) {
                Some((_, errno)) => Err(Error::from(*errno)),
                None => Ok(address.to_string()),
            }
        });
        (bound.ok(), tried)
    }

    #[test]
    fn without_ipv6_all_addresses_are_those_of_ipv4() {
        let (all, of_ipv4) = ("[::]:8080", "0.0.0.0:8080");
        for errno in [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::ADDRNOTAVAIL] {
            let (bound, tries) = tried(all, &[(all, errno)]);
            assert_eq!((bound.as_deref(), tries.len()), (Some(of_ipv4), 2), "{errno:?}");
        }
        assert_eq!(tried(all, &[]), (Some(all.to_owned()), vec![all.to_owned()]));
        // Half of the addresses would be no substitute.
        for errno in [Errno::ADDRINUSE, Errno::ACCESS] {
            assert_eq!(tried(all, &[(all, errno)]), (None, vec![all.to_owned()]), "{errno:?}");
        }
        for other in ["[::1]:8080", of_ipv4] {
            let fails = [(other, Errno::ADDRNOTAVAIL)];
            assert_eq!(tried(other, &fails), (None, vec![other.to_owned()]), "{other}");
        }
    }
}
