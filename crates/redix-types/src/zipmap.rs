//! Zipmaps: how Redis before 2.6 kept small hashes. Read only.
//!
//! ```text
//! fields, u8; 254 and more: count them
//! field length | field | value length | unused bytes behind the value, u8 | value | unused bytes
//! end 0xff
//! ```
//!
//! A length takes one byte below 254, otherwise 0xfe and four bytes, LE. Source: `zipmap.c` of
//! Redis 6.2. A short length in the long form is refused, as Valkey 9.1.2 does: no server wrote it.

#[cfg(test)]
mod tests;

const END: u8 = 0xff;
const LONG: u8 = 0xfe;
const COUNT_UNKNOWN: u8 = 0xfe;

/// Whether `bytes` are a complete zipmap.
pub fn validate(bytes: &[u8]) -> bool {
    let (Some(&stated), Some(&END)) = (bytes.first(), bytes.last()) else { return false };
    if bytes.len() < 2 {
        return false;
    }
    let mut rest = &bytes[1..bytes.len() - 1];
    let mut found = 0usize;
    while !rest.is_empty() {
        let Some((_, _, after)) = pair(rest) else { return false };
        rest = after;
        found += 1;
    }
    stated >= COUNT_UNKNOWN || usize::from(stated) == found
}

/// The fields and values of a zipmap that [`validate`] accepts.
pub fn iter(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = &bytes[1..bytes.len() - 1];
    std::iter::from_fn(move || {
        let (field, value, after) = pair(rest)?;
        rest = after;
        Some((field, value))
    })
}

/// Field, value, and the rest. `None` if they are truncated.
fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (len, rest) = length(bytes)?;
    let (field, rest) = rest.split_at_checked(len)?;
    let (len, rest) = length(rest)?;
    let (&unused, rest) = rest.split_first()?;
    let (value, rest) = rest.split_at_checked(len)?;
    Some((field, value, rest.get(usize::from(unused)..)?))
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.split_first()? {
        (&END, _) => None,
        (&LONG, rest) => {
            let (word, rest) = rest.split_first_chunk()?;
            let len = u32::from_le_bytes(*word);
            if len < u32::from(LONG) {
                return None;
            }
            Some((usize::try_from(len).ok()?, rest))
        }
        (&short, rest) => Some((usize::from(short), rest)),
    }
}
