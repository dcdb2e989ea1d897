//! Browsers that were made to send a request here.
//!
//! A page can have its reader's browser post to any address, and what it posts may hold commands in
//! lines of their own behind the lines of HTTP. The first line or the `Host:` line gives it away:
//! no command has such a name.

use super::Runner;
use crate::env::Level;
use crate::registry::ClientShared;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Warnings are at least this far apart: a page can try again as fast as it likes.
const WARNING_PAUSE_MS: i64 = 60_000;

/// Whether the first word of what would be a command begins a line of HTTP.
pub(super) fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}

impl Runner<'_> {
    /// Closes the connection at once: nothing that it was owed is sent, nothing more is executed.
    #[cold]
    pub(super) fn cut_off_http(&self, shared: &Arc<ClientShared>) {
        self.engine.registry.kill(shared);
        let now_ms = self.now_ms();
        let warned_ms = &self.engine.http_warned_ms;
        let last_ms = warned_ms.load(Ordering::Relaxed);
        let due = now_ms.saturating_sub(last_ms) > WARNING_PAUSE_MS;
        if due
            && warned_ms
                .compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let text = format!(
                "Possible SECURITY ATTACK detected: somebody is sending POST or Host: commands, \
                 as a browser does that a web page has turned against this server (cross protocol \
                 scripting). Connection from {} aborted.",
                shared.addr
            );
            self.engine.env.log(Level::Warning, &text);
        }
    }
}
