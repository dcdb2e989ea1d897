//! Glob patterns as in KEYS, SCAN, CONFIG GET and PSUBSCRIBE.
//!
//! `*` any bytes, `?` one byte, `[a-z]` and `[^a-z]` classes, `\` takes the next byte literally.
//! Everything but `*` matches exactly one byte, so a failed match only backtracks to the last star:
//! the time is at most the product of the two lengths, without recursion. The real servers recurse
//! per star and match nothing beyond a depth ([`STARS_MAX`]), and so does this.
//!
//! Corner cases were checked on the servers (Redis 7.0.15, Valkey 9.1.2): a class ends at the first
//! `]` even if that is its first byte; one that is never closed ends with the pattern; a reversed
//! range is swapped, before case is folded; ranges order bytes as signed ones; `a-]` is a range; a
//! lone `\` at the end is itself; the empty text matches nothing but the empty pattern.

#[cfg(test)]
mod tests;

/// The most stars of a pattern that are followed by something; consecutive ones count as one.
/// Source: Redis 7.0.15 and 8.2.3, Valkey 9.1.2.
const STARS_MAX: usize = 1000;

/// Whether upper and lower case ASCII letters are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Sensitive,
    Insensitive,
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Sensitive => byte,
            Case::Insensitive => byte.to_ascii_lowercase(),
        }
    }
}

/// Whether `text` as a whole matches `pattern`. Time: at most the product of their lengths.
/// Commands over keys treat the pattern `*` as no pattern at all, since here it does not match the
/// empty key.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut done) = (0, 0);
    // The backtrack point of the last star: in the pattern, and the first byte the star left over.
    let mut last_star: Option<(usize, usize)> = None;
    let mut stars = 0;
    while done < text.len() {
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            last_star = Some((at, done));
            continue;
        }
        if let Some((true, next)) = match_one(&pattern[at..], text[done], case) {
            at += next;
            done += 1;
            continue;
        }
        let Some((after_star, left_over)) = &mut last_star else { return false };
        *left_over += 1;
        (at, done) = (*after_star, *left_over);
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Matches the first element of a pattern, which is not a star, against one byte. Returns the
/// verdict and the element's length; `None` if the pattern is empty.
fn match_one(pattern: &[u8], byte: u8, case: Case) -> Option<(bool, usize)> {
    Some(match *pattern {
        [] => return None,
        [b'?', ..] => (true, 1),
        [b'[', ref class @ ..] => {
            let (matched, len) = match_class(class, byte, case);
            (matched, 1 + len)
        }
        [b'\\', literal, ..] => (case.fold(literal) == case.fold(byte), 2),
        [literal, ..] => (case.fold(literal) == case.fold(byte), 1),
    })
}

/// A byte as compared in ranges.
fn signed(byte: u8) -> i8 {
    byte as i8
}

/// Matches the class whose `[` has been read. Returns the verdict and the length including its `]`.
fn match_class(class: &[u8], byte: u8, case: Case) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    let byte = case.fold(byte);
    loop {
        match class[at..] {
            [] => break,
            [b'\\', literal, ..] => {
                found |= case.fold(literal) == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                let (low, high) =
                    (signed(first).min(signed(last)), signed(first).max(signed(last)));
                let (low, high) = (case.fold(low as u8), case.fold(high as u8));
                found |= (signed(low)..=signed(high)).contains(&signed(byte));
                at += 3;
            }
            [literal, ..] => {
                found |= case.fold(literal) == byte;
                at += 1;
            }
        }
    }
    (found != negated, at)
}
