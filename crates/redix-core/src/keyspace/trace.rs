//! Which keys a thread touches, for tests: only in builds with debug assertions.

use std::cell::RefCell;

/// A key that was looked up, inserted or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Its database.
    pub db: u32,
    /// Its name.
    pub key: Vec<u8>,
    /// Whether it was changed.
    pub changed: bool,
}

thread_local! {
    static TOUCHES: RefCell<Option<Vec<Touch>>> = const { RefCell::new(None) };
}

/// Records the keys that this thread touches from now on.
pub fn start() {
    TOUCHES.with_borrow_mut(|touches| *touches = Some(Vec::new()));
}

/// Ends the recording and returns what was touched since it began.
pub fn take() -> Vec<Touch> {
    TOUCHES.with_borrow_mut(Option::take).unwrap_or_default()
}

/// Records a key, if that is wanted.
pub(super) fn note(db: u32, key: &[u8], changed: bool) {
    TOUCHES.with_borrow_mut(|touches| {
        if let Some(touches) = touches {
            touches.push(Touch { db, key: key.to_vec(), changed });
        }
    });
}
