//! LMOVE and RPOPLPUSH.

use redix_types::entry::{IntBuf, Kind};
use redix_types::list::{End, ListEdit, ListRef};
use redix_types::listpack::Element;

use super::{EMPTY, docs, fill, notify, notify_taken, parse_end, pop_event, taken};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::Key;
use crate::keyspace::access::{Edited, Missing};

/// Commands: LMOVE and RPOPLPUSH.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "lmove",
        Group::List,
        5,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        lmove,
    )
    .flags(flag::DENYOOM)
    .acl(acl::LIST)
    .docs(docs::LMOVE),
    CommandSpec::write(
        "rpoplpush",
        Group::List,
        3,
        const {
            &[
                KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
                KeySpec::one(2, access::RW | access::INSERT),
            ]
        },
        rpoplpush,
    )
    .flags(flag::DENYOOM)
    .acl(acl::LIST)
    .docs(docs::RPOPLPUSH),
];

/// `LMOVE source destination LEFT | RIGHT LEFT | RIGHT` -> the element, null if there is none.
/// Errors: Syntax, WRONGTYPE.
fn lmove(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let ends = Ends { out: parse_end(args.get(3))?, into: parse_end(args.get(4))? };
    if !ends.shift(cx, args)? {
        cx.reply.null();
    }
    Ok(())
}

/// `RPOPLPUSH source destination` -> as LMOVE from the right to the left.
fn rpoplpush(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if !(Ends { out: End::Tail, into: End::Head }).shift(cx, args)? {
        cx.reply.null();
    }
    Ok(())
}

/// The end that an element is taken from, and the end that it is added to.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub out: End,
    pub into: End,
}

impl Ends {
    /// Moves an element from the list at argument 1 to that at argument 2 and replies with it;
    /// false, and no reply, if there is none. Errors: WRONGTYPE.
    pub(super) fn shift(self, cx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<bool, ReplyError> {
        let (source, destination) = (cx.key(args, 1), cx.key(args, 2));
        if cx.keys.lookup_write(source, Kind::List)?.is_none() {
            return Ok(false);
        }
        cx.keys.lookup_write(destination, Kind::List)?;
        if source.bytes == destination.bytes {
            self.rotate(cx, source)?;
        } else {
            self.shift_between(cx, source, destination)?;
        }
        Ok(true)
    }

    fn shift_between(
        self,
        cx: &mut Ctx<'_, '_>,
        source: Key<'_>,
        destination: Key<'_>,
    ) -> CommandResult {
        let fill = fill(cx);
        let popped = cx.keys.edit(source, Kind::List, Missing::Skip, |entry| {
            let mut list = ListEdit::of(entry, fill);
            let element = Popped::of(list.as_ref(), self.out);
            list.pop(self.out);
            list.settle();
            let left = list.as_ref().len();
            ((element, left), taken(1, left))
        })?;
        let (element, left) = popped.expect("the source was just seen");
        cx.keys.edit(destination, Kind::List, EMPTY, |entry| {
            let mut list = ListEdit::of(entry, fill);
            element.push(&mut list, self.into);
            // The pop has been counted as the change.
            ((), Edited::Changed(0))
        })?;
        cx.reply.bulk(&element.text);
        notify(cx, push_event(self.into), destination);
        notify_taken(cx, pop_event(self.out), source, left);
        Ok(())
    }

    /// Moves an element within one list.
    fn rotate(self, cx: &mut Ctx<'_, '_>, key: Key<'_>) -> CommandResult {
        let (fill, reply) = (fill(cx), &mut *cx.reply);
        cx.keys.edit(key, Kind::List, Missing::Skip, |entry| {
            let mut list = ListEdit::of(entry, fill);
            let element = Popped::of(list.as_ref(), self.out);
            list.pop(self.out);
            element.push(&mut list, self.into);
            list.settle();
            reply.bulk(&element.text);
            ((), Edited::Changed(1))
        })?;
        notify(cx, push_event(self.into), key);
        notify(cx, pop_event(self.out), key);
        Ok(())
    }
}

/// The name of a push's keyspace event.
pub(super) fn push_event(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// An element that was popped from one list to be pushed to another.
struct Popped {
    text: Vec<u8>,
    /// Its length in the size check of the destination: the real servers count integers that come
    /// from quicklist nodes as 0.
    reckoned: usize,
}

impl Popped {
    fn of(list: ListRef<'_>, end: End) -> Popped {
        let element = list.peek(end).expect("an empty list is no key");
        let text = element.text(&mut IntBuf::new()).to_vec();
        let reckoned = match (list, element) {
            (ListRef::Large(_), Element::Int(_)) => 0,
            _ => text.len(),
        };
        Popped { text, reckoned }
    }

    fn push(&self, list: &mut ListEdit<'_>, end: End) {
        list.make_room(self.reckoned, 1);
        list.push(end, &self.text);
    }
}
