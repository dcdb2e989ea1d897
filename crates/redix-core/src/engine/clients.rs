//! Eviction of clients: closing the largest while all together use more than `maxmemory-clients`.

use super::Engine;
use crate::command::line::describe;
use crate::config::{BytesOrPercent, Config};
use crate::env::Level;
use crate::sync::lock;

/// A lower limit would keep out everybody. Source: Redis 7.0, `maxmemory-clients`.
const LIMIT_MIN: u64 = 128 * 1024;
/// After an attempt that did not suffice, the next one is made at the earliest after this time.
const REST_NS: u64 = 100_000_000;

impl Engine {
    /// Has the memory of clients counted and limited as configured.
    pub(super) fn follow_client_limit(&self, config: &Config) {
        *lock(&self.client_eviction_due_ns) = 0;
        self.registry.limit_memory(client_limit(config));
    }

    /// Closes the largest clients as long as all together use too much memory; `worker` calls. To
    /// be called after input was read and after replies were sent.
    #[inline]
    pub fn evict_clients(&self, worker: usize) {
        if self.registry.exceeds_memory() {
            self.evict_largest(worker);
        }
    }

    #[cold]
    fn evict_largest(&self, worker: usize) {
        // One thread at a time: two would close more than is necessary.
        let mut due_ns = lock(&self.client_eviction_due_ns);
        let now_ns = self.env.clock.mono_ns();
        if now_ns < *due_ns || !self.registry.exceeds_memory() {
            return;
        }
        let mut clients = self.registry.all();
        clients.retain(|client| client.may_be_evicted());
        clients.sort_by_cached_key(|client| client.memory_bytes());
        while self.registry.exceeds_memory() {
            let Some(client) = clients.pop() else {
                let text = "Clients use more memory than maxmemory-clients after all that may be \
                            closed were closed";
                self.env.log(Level::Warning, text);
                *due_ns = now_ns + REST_NS;
                return;
            };
            let line = describe(&client, self, self.env.clock.unix_us() / 1000);
            self.env.log(Level::Notice, &format!("Evicting client: {line}"));
            self.stats.thread(worker).cell.evicted_clients.bump();
            self.registry.evict(&client);
        }
    }
}

/// The limit in bytes; 0: none.
fn client_limit(config: &Config) -> u64 {
    let bytes = match config.maxmemory_clients {
        BytesOrPercent::Bytes(bytes) => bytes,
        BytesOrPercent::Percent(percent) => {
            (u128::from(config.maxmemory) * u128::from(percent) / 100) as u64
        }
    };
    if bytes == 0 { 0 } else { bytes.max(LIMIT_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_no_limit_is_no_limit_and_a_small_one_is_raised() {
        let limit = |maxmemory, maxmemory_clients| {
            client_limit(&Config { maxmemory, maxmemory_clients, ..Config::default() })
        };
        for (maxmemory, clients, bytes) in [
            (0, BytesOrPercent::Bytes(0), 0),
            (1 << 30, BytesOrPercent::Bytes(0), 0),
            (0, BytesOrPercent::Percent(50), 0),
            (0, BytesOrPercent::Bytes(1), LIMIT_MIN),
            (1 << 20, BytesOrPercent::Percent(1), LIMIT_MIN),
            (0, BytesOrPercent::Bytes(3_000_000), 3_000_000),
            (1 << 30, BytesOrPercent::Percent(7), (7 << 30) / 100),
            (u64::MAX, BytesOrPercent::Percent(100), u64::MAX),
        ] {
            assert_eq!(limit(maxmemory, clients), bytes, "{maxmemory} {clients:?}");
        }
    }
}
