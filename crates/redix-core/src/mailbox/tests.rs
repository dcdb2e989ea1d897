//! Who is woken.

use super::*;
use crate::sync::atomic::AtomicUsize;

struct Count(Arc<AtomicUsize>);

impl Wake for Count {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_worker_is_woken_once_by_others_and_never_by_itself() {
    let woken = Arc::new(AtomicUsize::new(0));
    let mailbox = Mailbox::new(Box::new(Count(Arc::clone(&woken))));
    mailbox.adopt();
    mailbox.post(Mail::Resume);
    assert!(mailbox.has_mail());
    assert_eq!((woken.load(Ordering::Relaxed), mailbox.take().len()), (0, 1));

    std::thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|_| mailbox.post(Mail::Resume)));
    });
    assert_eq!((woken.load(Ordering::Relaxed), mailbox.take().len()), (1, 3));
}
