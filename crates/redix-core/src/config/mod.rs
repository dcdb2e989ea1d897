//! Stub.
pub enum Policy {
    A,
}
impl Policy {
    pub fn is_lfu(&self) -> bool {
        false
    }
}
pub struct Config {
    pub databases: u32,
    pub rename_command: Vec<(String, String)>,
    pub proto_max_bulk_len: i64,
    pub slowlog_log_slower_than: i64,
    pub slowlog_max_len: usize,
    pub stop_writes_on_bgsave_error: bool,
    pub save: Vec<(u64, u64)>,
    pub maxmemory_policy: Policy,
    pub lfu_log_factor: u32,
    pub lfu_decay_time: u32,
    pub notify_keyspace_events: u32,
    pub port: u16,
    pub worker_threads: usize,
}
impl Default for Config {
    fn default() -> Self {
        Self {
            databases: 16,
            rename_command: vec![],
            proto_max_bulk_len: 512 << 20,
            slowlog_log_slower_than: 10000,
            slowlog_max_len: 128,
            stop_writes_on_bgsave_error: true,
            save: vec![],
            maxmemory_policy: Policy::A,
            lfu_log_factor: 10,
            lfu_decay_time: 1,
            notify_keyspace_events: 0,
            port: 7777,
            worker_threads: 1,
        }
    }
}
impl Config {
    pub fn worker_count(&self, cores: usize) -> usize {
        if self.worker_threads == 0 { cores } else { self.worker_threads }
    }
    pub fn protected_command_allowed(&self, _n: &str, _local: bool) -> bool {
        true
    }
}
