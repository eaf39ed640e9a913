//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

/// Locks over which the addresses are spread.
const SHARDS: usize = 64;

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are too many connections in all.
    InAll,
    /// There are too many from this address.
    OfClient,
}

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    max_per_client: usize,
    count: AtomicUsize,
    /// Only addresses that have a connection now: as bounded as the connections are.
    clients: Vec<Mutex<HashMap<IpAddr, usize>>>,
    refused: [AtomicUsize; 2],
}

impl Places {
    pub(crate) fn new(max: usize, max_per_client: usize) -> Self {
        Self {
            max,
            max_per_client,
            count: AtomicUsize::new(0),
            clients: (0..SHARDS).map(|_| Mutex::default()).collect(),
            refused: [AtomicUsize::new(0), AtomicUsize::new(0)],
        }
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Connections that were turned away since the start.
    pub(crate) fn refused(&self, why: Full) -> usize {
        let [in_all, of_client] = &self.refused;
        if why == Full::InAll { in_all.load(Relaxed) } else { of_client.load(Relaxed) }
    }

    /// A place for a connection that was just accepted.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place, Full> {
        let before = self.count.fetch_add(1, Relaxed);
        let place = Place { places: Arc::clone(self), client: None };
        // A place that is not given is dropped here, which takes the count back.
        if before < self.max { Ok(place) } else { Err(self.refuse(Full::InAll)) }
    }

    fn refuse(&self, why: Full) -> Full {
        let [in_all, of_client] = &self.refused;
        if why == Full::InAll { in_all } else { of_client }.fetch_add(1, Relaxed);
        why
    }

    fn shard(&self, client: IpAddr) -> Option<&Mutex<HashMap<IpAddr, usize>>> {
        let hash = match client {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
        };
        let spread = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        self.clients.get(usize::try_from(spread).unwrap_or_default())
    }
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: Option<IpAddr>,
}

impl Place {
    /// Counts the connection for a client, once it is known who that is.
    pub(crate) fn of_client(mut self, client: IpAddr) -> Result<Self, Full> {
        let client = who(client);
        let Some(shard) = self.places.shard(client) else { return Ok(self) };
        {
            let mut clients = shard.lock();
            let count = clients.entry(client).or_default();
            if *count >= self.places.max_per_client {
                drop(clients);
                return Err(self.places.refuse(Full::OfClient));
            }
            *count += 1;
        }
        self.client = Some(client);
        Ok(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.count.fetch_sub(1, Relaxed);
        let Some(client) = self.client else { return };
        let Some(shard) = self.places.shard(client) else { return };
        let mut clients = shard.lock();
        if let Some(count) = clients.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// One customer of a provider usually has a whole /64 of IPv6 (RFC 6177): its addresses count as one.
fn who(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_per_client() {
        let places = Arc::new(Places::new(4, 2));
        let enter = |client: &str| places.enter()?.of_client(client.parse().unwrap());
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("::ffff:192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Full::OfClient);
        let _third = enter("2001:db8::1").unwrap();
        let fourth = enter("2001:db8::2").unwrap();
        assert_eq!(enter("192.0.2.9").unwrap_err(), Full::InAll);
        drop(fourth);
        assert_eq!(enter("192.0.2.1").unwrap_err(), Full::OfClient);
        drop(first);
        let again = enter("192.0.2.1").unwrap();
        assert_eq!((places.open(), places.refused(Full::InAll)), (3, 1));
        assert_eq!(places.refused(Full::OfClient), 2);
        drop((again, _second, _third));
        assert_eq!(places.open(), 0);
        assert!(places.clients.iter().all(|shard| shard.lock().is_empty()));
    }
}
