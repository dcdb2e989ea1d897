//! OpenSSL's names of protocols and cipher suites, made into the suites that rustls has.
//!
//! The grammar is that of `openssl ciphers`: names, keywords and their intersections (`ECDHE+AES`),
//! with `!`, `-` and `+` before them. rustls has only suites that exchange keys over elliptic
//! curves and encrypt with AES-GCM or ChaCha20-Poly1305. What is asked for beyond them is left out,
//! and listed for the log; if nothing is left, or more strength is asked for than can be promised,
//! the list is refused.

use rustls::crypto::aws_lc_rs::cipher_suite as suite;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// A suite of TLS 1.2, its name, and the keywords that match it besides [`FOR_ALL`].
struct Known(SupportedCipherSuite, &'static str, &'static [&'static str]);

/// Keywords that match every suite.
const FOR_ALL: &[&str] = &[
    "ALL",
    "DEFAULT",
    "HIGH",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "TLSv1.2",
    "COMPLEMENTOFDEFAULT",
];

/// In the order of preference.
static TLS12: &[Known] = &[
    Known(
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        &["ECDSA", "aECDSA", "AES", "AES256", "AESGCM"],
    ),
    Known(
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        &["RSA", "aRSA", "AES", "AES256", "AESGCM"],
    ),
    Known(
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        &["ECDSA", "aECDSA", "CHACHA20"],
    ),
    Known(
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        &["RSA", "aRSA", "CHACHA20"],
    ),
    Known(
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        &["ECDSA", "aECDSA", "AES", "AES128", "AESGCM"],
    ),
    Known(
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        &["RSA", "aRSA", "AES", "AES128", "AESGCM"],
    ),
];

static TLS13: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
];

/// The highest of OpenSSL's security levels whose demands rustls always meets.
const SECURITY_LEVEL_MAX: u32 = 2;

/// A list made into what rustls has.
#[derive(Debug)]
pub struct Choice<T> {
    /// What is offered, in the order of preference.
    pub offered: Vec<T>,
    /// What was asked for and is not offered.
    pub lacking: Vec<String>,
}

/// The suites of TLS 1.2 for a list in OpenSSL's grammar; all for an empty one.
///
/// Errors: none of them is offered, or more strength is asked for than can be promised.
pub fn tls12(list: &str) -> Result<Choice<SupportedCipherSuite>, String> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut banned: Vec<usize> = Vec::new();
    let mut lacking = Vec::new();
    let list = if list.trim().is_empty() { "DEFAULT" } else { list };
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        if let Some(command) = word.strip_prefix('@') {
            check_command(command)?;
            continue;
        }
        let (sign, name) = match word.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (Some(sign), &word[1..]),
            _ => (None, word),
        };
        let found = matching(name);
        match sign {
            Some(b'!') => {
                chosen.retain(|at| !found.contains(at));
                banned.extend(found);
            }
            Some(b'-') => chosen.retain(|at| !found.contains(at)),
            Some(_) => {
                let (moved, rest) = chosen.iter().partition(|at| found.contains(at));
                chosen = rest;
                chosen.extend::<Vec<usize>>(moved);
            }
            None if found.is_empty() => lacking.push(name.to_owned()),
            None => {
                let new = found.into_iter().filter(|at| !banned.contains(at));
                let new: Vec<usize> = new.filter(|at| !chosen.contains(at)).collect();
                chosen.extend(new);
            }
        }
    }
    if chosen.is_empty() {
        return Err(
            "it leaves only ciphers that this server has not: of those up to TLS 1.2 it has \
                    ECDHE with AES-GCM or ChaCha20-Poly1305"
                .into(),
        );
    }
    let offered = chosen.into_iter().map(|at| TLS12[at].0).collect();
    Ok(Choice { offered, lacking })
}

fn check_command(command: &str) -> Result<(), String> {
    match command.strip_prefix("SECLEVEL=").map(str::parse::<u32>) {
        Some(Ok(level)) if level <= SECURITY_LEVEL_MAX => Ok(()),
        Some(Ok(level)) => Err(format!(
            "security level {level} can't be promised: {SECURITY_LEVEL_MAX} is the highest"
        )),
        // By strength they are ordered already.
        _ if command == "STRENGTH" => Ok(()),
        _ => Err(format!("'@{command}' is unknown")),
    }
}

/// The positions in [`TLS12`] of the suites that a name, a keyword or an intersection of keywords
/// stands for.
fn matching(name: &str) -> Vec<usize> {
    let has = |known: &Known, word: &str| {
        known.1 == word || FOR_ALL.contains(&word) || known.2.contains(&word)
    };
    let matches = |known: &Known| name.split('+').all(|word| has(known, word));
    (0..TLS12.len()).filter(|at| matches(&TLS12[*at])).collect()
}

/// The suites of TLS 1.3 for a list of their names; all for an empty one.
///
/// Errors: none of them is offered.
pub fn tls13(list: &str) -> Result<Choice<SupportedCipherSuite>, String> {
    if list.trim().is_empty() {
        let offered = TLS13.iter().map(|(_, suite)| *suite).collect();
        return Ok(Choice { offered, lacking: Vec::new() });
    }
    let (mut offered, mut lacking) = (Vec::new(), Vec::new());
    for word in list.split(':').filter(|word| !word.is_empty()) {
        match TLS13.iter().find(|(name, _)| *name == word) {
            Some((_, suite)) if offered.contains(suite) => {}
            Some((_, suite)) => offered.push(*suite),
            None => lacking.push(word.to_owned()),
        }
    }
    if offered.is_empty() {
        return Err("it names no cipher suite of TLS 1.3 that this server has".into());
    }
    Ok(Choice { offered, lacking })
}

/// The protocol versions for `tls-protocols`: TLS 1.2 and 1.3 for an empty list.
///
/// Errors: a word is no version, or only older versions are left.
pub fn protocols(list: &str) -> Result<Choice<&'static SupportedProtocolVersion>, String> {
    let (mut offered, mut lacking) = (Vec::new(), Vec::new());
    for word in list.split(' ').filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.3" => offered.push(&version::TLS13),
            "tlsv1.2" => offered.push(&version::TLS12),
            "tlsv1" | "tlsv1.1" => lacking.push(word.to_owned()),
            _ => {
                return Err("Invalid tls-protocols specified. Use a combination of 'TLSv1', \
                            'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."
                    .into());
            }
        }
    }
    if offered.is_empty() && !lacking.is_empty() {
        return Err("tls-protocols allows no version that this server has: TLS 1.2 and 1.3".into());
    }
    if offered.is_empty() {
        offered = vec![&version::TLS13, &version::TLS12];
    }
    Ok(Choice { offered, lacking })
}

#[cfg(test)]
mod tests;
