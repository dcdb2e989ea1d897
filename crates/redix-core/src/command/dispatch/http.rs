//! Cross-protocol attacks: HTTP requests that a web page makes a browser send here.
//!
//! The body of a POST may hold commands on lines of their own after the lines of HTTP. The request
//! line or the `Host:` line gives it away: no command has such a name.

use super::Runner;
use crate::env::Level;
use crate::registry::ClientShared;
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// Minimum distance between two warnings: a page can retry as fast as it likes.
const WARNING_PAUSE_MS: i64 = 60_000;

/// Whether the name of a command is the first word of an HTTP line.
pub(super) fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}

impl Runner<'_> {
    /// Closes the connection at once: pending output is discarded, nothing more is executed.
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
