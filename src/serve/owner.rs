//! A connection of this machine → the user whose program made it, as the kernel's table of sockets says (Linux).
//!
//! A port of the loopback interface is open to every user of the machine. Without tokens, only the server's own user and root may use it.

use std::net::{IpAddr, SocketAddr};

/// The tables, for IPv4 and IPv6.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The user at the other end of a connection from `peer` to `own`, both on this machine; none where the kernel does not say.
pub fn owner(peer: SocketAddr, own: SocketAddr) -> Option<u32> {
    let look = |table: &str, peer, own| find(&std::fs::read_to_string(table).ok()?, peer, own);
    let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    let (peer, own) = (plain(peer), plain(own));
    if peer.is_ipv6() {
        return look(TABLES[1], peer, own);
    }
    // A socket of IPv6 may speak IPv4, under addresses of its own.
    let mapped = |at: SocketAddr| match at.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), at.port()),
        IpAddr::V6(_) => at,
    };
    look(TABLES[0], peer, own).or_else(|| look(TABLES[1], mapped(peer), mapped(own)))
}

/// Whether a user may use a server without tokens. Where there is no such table, nobody can be told from anybody else.
pub fn may_use(owner: Option<u32>) -> bool {
    let told = TABLES.iter().any(|table| std::path::Path::new(table).exists());
    match owner {
        Some(uid) => uid == 0 || uid == rustix::process::getuid().as_raw(),
        None => !told,
    }
}

/// The user of the socket that is connected from `local` to `remote`.
fn find(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (written(local), written(remote));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let both = (fields.next()?, fields.next()?);
        if both != (local.as_str(), remote.as_str()) {
            return None;
        }
        // State, queues, timer, retransmissions; then the user. A socket that was closed already is nobody's, and the table says 0.
        let (user, file) = (fields.nth(4)?, fields.nth(1)?);
        user.parse().ok().filter(|_| file != "0")
    })
}

/// An address as the table has it: 32 bits at a time, each in the machine's own order.
fn written(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_ne_bytes);
    let ip: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{ip}:{:04X}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1CF3 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1CF3 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1CF3 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 20 4 30 10 -1
   3: 0100007F:C352 0100007F:1CF3 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0
";

    #[test]
    fn the_user_is_that_of_the_other_end() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        if cfg!(target_endian = "little") {
            assert_eq!(find(TABLE, at(50_000), at(7_411)), Some(1000));
            assert_eq!(find(TABLE, at(50_001), at(7_411)), None);
            assert_eq!(find(TABLE, at(50_002), at(7_411)), None, "closed: nobody's, and not root's");
        }
        assert!(may_use(Some(0)) && !may_use(Some(u32::MAX - 1)));
    }

    #[test]
    fn a_connection_of_ours_is_ours() {
        for own in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(own) else { continue };
            let own = listener.local_addr().expect("an address");
            let client = std::net::TcpStream::connect(own).expect("connected");
            let found = owner(client.local_addr().expect("an address"), own);
            assert!(may_use(found), "{found:?}");
        }
        // A client whose sockets are all of IPv6.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address");
        if let Ok(client) = std::net::TcpStream::connect(format!("[::ffff:127.0.0.1]:{}", own.port())) {
            let (_stream, peer) = listener.accept().expect("accepted");
            let found = owner(peer, own);
            assert!(found.is_some() && may_use(found), "{found:?}");
            drop(client);
        }
    }
}
