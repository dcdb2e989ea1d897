//! The shebang line of a script: `#!lua flags=no-writes,allow-oom`.

use super::script_flag;
use crate::error::ReplyError;

/// The flags that a source declares, bits of [`script_flag`], and the source to compile: the line
/// is replaced by an empty one, so that lines keep their numbers. No flags without such a line.
/// Errors: another engine, an unknown option or flag.
pub fn parse(source: &[u8]) -> Result<(Option<u32>, &[u8]), ReplyError> {
    let Some(rest) = source.strip_prefix(b"#!") else { return Ok((None, source)) };
    let end = memchr::memchr(b'\n', rest);
    let Some(end) = end else { return Err(ReplyError::Static("ERR Invalid script shebang")) };
    let mut words = rest[..end].split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    let engine = words.next().unwrap_or_default();
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(ReplyError::quoting("Could not find scripting engine '", engine, "'"));
    }
    let mut flags = 0;
    for word in words {
        let Some(names) = word.strip_prefix(b"flags=") else {
            return Err(ReplyError::quoting("Unknown lua shebang option: ", word, ""));
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|byte| *byte == b',') {
            let known = script_flag::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
            let Some((_, flag)) = known else {
                return Err(ReplyError::quoting("Unexpected flag in script shebang: ", name, ""));
            };
            flags |= flag;
        }
    }
    Ok((Some(flags), &rest[end..]))
}

#[cfg(test)]
mod tests;
