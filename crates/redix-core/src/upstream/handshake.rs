//! The handshake with a primary: PING, AUTH, REPLCONF and PSYNC, and their replies.

#[cfg(test)]
mod tests;

use redix_resp::request::encode_command;

use super::Broken;
use crate::config::Config;
use crate::env::{Env, Level};
use crate::repl::log::ReplId;

/// The version, announced to the primary, of the server whose RDB files are understood.
const UNDERSTOOD_VERSION: &str = "9.0.0";

/// The longest line that a primary may send.
const LINE_MAX: usize = 8 * 1024;

/// The state of the handshake.
pub(super) struct Handshake {
    stage: Stage,
    /// The commands whose replies are pending, in order.
    due: std::collections::VecDeque<Due>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ping,
    Introduced,
    Asked,
}

/// A command whose reply is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Auth,
    Replconf(&'static str),
}

/// The meaning of a line from the primary.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A sign of life.
    Alive,
    /// The handshake is complete: PSYNC may be sent.
    Ready,
    /// A full synchronisation: the data set, then the stream `id` from `end` on.
    Full {
        /// The replication id.
        id: ReplId,
        /// The offset: bytes of the stream that the data set contains.
        end: u64,
    },
    /// A partial resynchronisation, perhaps under this new id.
    Continue(Option<ReplId>),
    /// A full synchronisation whose data set comes over another connection, which is to be made.
    TwoChannels,
    /// PSYNC is refused, with this text for the log. SYNC may still work.
    Refused(String),
}

/// Appends a command.
pub(super) fn command(out: &mut Vec<u8>, words: &[&str]) {
    encode_command(out, words);
}

impl Handshake {
    /// Begins with PING.
    pub(super) fn begin(out: &mut Vec<u8>) -> Self {
        command(out, &["PING"]);
        Self { stage: Stage::Ping, due: std::collections::VecDeque::new() }
    }

    /// Sends AUTH and REPLCONF; `dual`: the data set may come over another connection.
    pub(super) fn introduce(&mut self, config: &Config, dual: bool, out: &mut Vec<u8>) {
        self.stage = Stage::Introduced;
        if authenticate(config, out) {
            self.due.push_back(Due::Auth);
        }
        command(out, &["REPLCONF", "listening-port", &port(config).to_string()]);
        self.due.push_back(Due::Replconf("listening-port"));
        if !config.replica_announce_ip.is_empty() {
            let ip = config.replica_announce_ip.as_bytes();
            encode_command(out, &[b"REPLCONF", &b"ip-address"[..], ip]);
            self.due.push_back(Due::Replconf("ip-address"));
        }
        let capabilities = ["REPLCONF", "capa", "eof", "capa", "psync2", "capa", "dual-channel"];
        command(out, if dual { &capabilities } else { &capabilities[..5] });
        self.due.push_back(Due::Replconf("capa"));
        command(out, &["REPLCONF", "version", UNDERSTOOD_VERSION]);
        self.due.push_back(Due::Replconf("version"));
    }

    /// Sends PSYNC for the stream from `from` on, if there is such an offset; with FAILOVER, which
    /// makes the recipient the primary, if `failover`. Real primaries refuse that while other
    /// replies are pending.
    pub(super) fn ask(&mut self, from: Option<(ReplId, u64)>, failover: bool, out: &mut Vec<u8>) {
        self.stage = Stage::Asked;
        let next = from.map(|(_, end)| (end + 1).to_string());
        let mut words = match (&from, &next) {
            (Some((id, _)), Some(next)) => vec!["PSYNC", id.as_str(), next],
            _ => vec!["PSYNC", "?", "-1"],
        };
        if failover {
            words.push("FAILOVER");
        }
        command(out, &words);
    }

    /// Whether the reply to PSYNC is pending.
    pub(super) fn has_asked(&self) -> bool {
        self.stage == Stage::Asked
    }

    /// Takes lines from `inbox` until one has a meaning; `None` if more must be received.
    pub(super) fn next(
        &mut self,
        inbox: &mut Vec<u8>,
        env: &Env,
        config: &Config,
    ) -> Result<Option<Answer>, Broken> {
        while let Some(line) = take_line(inbox)? {
            // Newlines are keep-alives of a busy primary.
            if line.is_empty() {
                continue;
            }
            match self.stage {
                Stage::Ping => return pong(env, &line).map(Some),
                Stage::Asked => return psync_answer(&line, config).map(Some),
                Stage::Introduced => {}
            }
            match self.due.pop_front() {
                None => return Err(Broken::new(format!("Unexpected words: {line}"))),
                Some(Due::Auth) if line.starts_with('-') => {
                    return Err(Broken::new(format!("Unable to AUTH to PRIMARY: {line}")));
                }
                Some(Due::Replconf(option)) if line.starts_with('-') => {
                    let text = format!(
                        "(Non critical) Primary does not understand REPLCONF {option}: {line}"
                    );
                    env.log(Level::Notice, &text);
                }
                Some(Due::Auth | Due::Replconf(_)) => {}
            }
            if self.due.is_empty() {
                return Ok(Some(Answer::Ready));
            }
        }
        Ok(None)
    }
}

/// Sends AUTH, if the primary requires it; false if not.
fn authenticate(config: &Config, out: &mut Vec<u8>) -> bool {
    if config.masterauth.is_empty() {
        return false;
    }
    match config.masteruser.as_bytes() {
        b"" => encode_command(out, &[b"AUTH", config.masterauth.as_bytes()]),
        user => encode_command(out, &[b"AUTH", user, &config.masterauth]),
    }
    true
}

/// The port to announce.
fn port(config: &Config) -> u16 {
    match config.replica_announce_port {
        0 if config.tls_replication && config.tls_port != 0 => config.tls_port,
        0 => config.port,
        announced => announced,
    }
}

/// Introduces a connection that is to receive a data set only. Returns the number of replies to
/// come.
pub(super) fn introduce_beside(config: &Config, out: &mut Vec<u8>) -> usize {
    let replies = usize::from(authenticate(config, out)) + 1;
    let port = port(config).to_string();
    let words = "REPLCONF capa eof rdb-only 1 rdb-channel 1 listening-port";
    let mut words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    words.push(port.as_bytes());
    if !config.replica_announce_ip.is_empty() {
        words.extend([&b"ip-address"[..], config.replica_announce_ip.as_bytes()]);
    }
    words.extend([&b"version"[..], UNDERSTOOD_VERSION.as_bytes()]);
    encode_command(out, &words);
    replies
}

/// The meaning of the reply to PING: a permission error is a sign of life too.
fn pong(env: &Env, line: &str) -> Result<Answer, Broken> {
    let fine = ["+", "-NOAUTH", "-NOPERM", "-ERR operation not permitted"];
    if fine.iter().any(|start| line.starts_with(start)) {
        env.log(Level::Notice, "Primary replied to PING, replication can continue...");
        return Ok(Answer::Alive);
    }
    Err(Broken::new(format!("Error reply to PING from primary: '{line}'")))
}

pub(super) fn psync_answer(line: &str, config: &Config) -> Result<Answer, Broken> {
    let mut words = line.split(' ');
    match words.next() {
        Some("+FULLRESYNC") => {
            let id = words.next().and_then(|word| ReplId::parse(word.as_bytes()));
            let end = words.next().and_then(|word| word.parse::<u64>().ok());
            match id.zip(end.filter(|end| i64::try_from(*end).is_ok())) {
                Some((id, end)) => Ok(Answer::Full { id, end }),
                None => Err(Broken::new(format!(
                    "The PRIMARY answered with a wrong +FULLRESYNC: {line}"
                ))),
            }
        }
        Some("+CONTINUE") => match words.next() {
            None | Some("") => Ok(Answer::Continue(None)),
            Some(word) => match ReplId::parse(word.as_bytes()) {
                Some(id) => Ok(Answer::Continue(Some(id))),
                None => Err(Broken::new(format!("The PRIMARY answered with a wrong id: {line}"))),
            },
        },
        Some("+DUALCHANNELSYNC") => Ok(Answer::TwoChannels),
        Some("-NOMASTERLINK" | "-LOADING") => Err(Broken::new(format!(
            "Primary is currently unable to PSYNC but should be in the future: {line}"
        ))),
        Some("-ERR") => Ok(Answer::Refused(format!(
            "Primary does not support PSYNC or is in error state (reply: {line})"
        ))),
        _ => {
            let hint = if config.masterauth.is_empty() && line.starts_with("-NOAUTH") {
                " (primaryauth is not set)"
            } else {
                ""
            };
            Ok(Answer::Refused(format!("Unexpected reply to PSYNC from primary: {line}{hint}")))
        }
    }
}

/// Bytes of a primary as logged: visible characters verbatim, the rest escaped.
fn shown(line: &[u8]) -> String {
    let escaped = |byte: &u8| match byte {
        b'\'' | b'"' | b'\\' => char::from(*byte).to_string(),
        other => other.escape_ascii().to_string(),
    };
    line.iter().map(escaped).collect()
}

/// Takes one line, without its line end, from what was received.
pub(super) fn take_line(inbox: &mut Vec<u8>) -> Result<Option<String>, Broken> {
    match memchr::memchr(b'\n', inbox) {
        Some(at) if at <= LINE_MAX => {
            let line: Vec<u8> = inbox.drain(..=at).collect();
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            Ok(Some(shown(line)))
        }
        None if inbox.len() <= LINE_MAX => Ok(None),
        _ => Err(Broken::new("The PRIMARY sent a line that is too long.")),
    }
}
