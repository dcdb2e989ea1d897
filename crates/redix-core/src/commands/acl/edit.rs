//! Changes of users: ACL SETUSER, DELUSER, LOAD and SAVE.

use std::collections::HashMap;

use crate::acl::check::{allows_channel, allows_pattern};
use crate::acl::selector::{is_blank, merge};
use crate::acl::{DEFAULT_USER, User};
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::error::{CommandResult, ReplyError};
use crate::pubsub::Topic;
use crate::registry::{ClientShared, client_flag};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, lock};

const NO_FILE: ReplyError = ReplyError::Static(
    "ERR This instance is not configured to use an ACL file. You may want to specify users via the \
     ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a configuration file \
     set) in order to store users in the configuration.",
);

/// `ACL SETUSER username [rule …]` -> OK; all rules or none. Closes connections that listen to
/// channels which are taken away. Errors: the name, the first rule that does not apply.
pub(super) fn setuser(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.session.secrets.add(2..args.len());
    let name = args.get(2);
    if name.iter().any(|byte| is_blank(*byte)) {
        return Err(ReplyError::Static("ERR Usernames can't contain spaces or null characters"));
    }
    let rules = cx.data.engine.acl_rules();
    let old = cx.engine.acl.get(name);
    let mut user = old.as_ref().map_or_else(|| User::new(name, &rules), |old| (**old).clone());
    let merged = merge(args.iter_from(3)).map_err(|word| {
        ReplyError::quoting("Unmatched parenthesis in acl selector starting at '", word, "'.")
    })?;
    for rule in merged {
        user.apply(&rule, &rules).map_err(|error| {
            let after = format!("': {error}");
            ReplyError::quoting("Error in ACL SETUSER modifier '", &rule, &after)
        })?;
    }
    cx.engine.acl.put(user.clone());
    if let Some(old) = old {
        close_narrowed(cx, &old, &user);
    }
    done(cx.reply)
}

/// `ACL DELUSER username …` -> number of users deleted. Closes their connections. Errors: the
/// default user.
pub(super) fn deluser(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.session.secrets.add(2..args.len());
    let mut deleted = 0;
    for name in args.iter_from(2) {
        if name == DEFAULT_USER {
            return Err(ReplyError::Static("ERR The 'default' user cannot be removed"));
        }
        if cx.engine.acl.remove(name) {
            deleted += 1;
            close_all_of(cx, name);
        }
    }
    cx.reply.int(deleted);
    Ok(())
}

/// `ACL LOAD` -> OK; nothing changes if anything is wrong in the file. Closes the connections of
/// users who are not in it. Errors: there is no file, or it cannot be read; what is wrong in it.
pub(super) fn load(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.keys.held.release_in_world();
    let old = cx.engine.acl.all();
    if cx.engine.config().aclfile.is_empty() {
        return Err(NO_FILE);
    }
    cx.engine.load_users().map_err(|text| ReplyError::Text([b"ERR ", &text[..]].concat()))?;
    for old in old {
        match cx.engine.acl.get(&old.name) {
            Some(new) => close_narrowed(cx, &old, &new),
            None => close_all_of(cx, &old.name),
        }
    }
    done(cx.reply)
}

/// `ACL SAVE` -> OK. Errors: there is no file, or it cannot be written.
pub(super) fn save(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.keys.held.release_in_world();
    if cx.engine.config().aclfile.is_empty() {
        return Err(NO_FILE);
    }
    // What went wrong is in the log.
    cx.engine.save_users().map_err(|_| {
        ReplyError::Static(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more \
             information",
        )
    })?;
    done(cx.reply)
}

/// Closes a connection: this one after its reply, others at once.
fn close(cx: &mut ClientCx<'_, '_>, client: &Arc<ClientShared>) {
    if client.id == cx.shared.id {
        cx.close_after_reply();
    } else {
        cx.engine.registry.kill(client);
    }
}

/// The connections that have authenticated as a user.
fn connections_of(cx: &ClientCx<'_, '_>, name: &[u8]) -> Vec<Arc<ClientShared>> {
    let mut all = cx.engine.registry.all();
    all.retain(|client| !client.has_flag(client_flag::PRIMARY) && lock(&client.texts).user == name);
    all
}

fn close_all_of(cx: &mut ClientCx<'_, '_>, name: &[u8]) {
    for client in connections_of(cx, name) {
        close(cx, &client);
    }
}

/// Closes the connections of a user that subscribe to what it may no longer.
fn close_narrowed(cx: &mut ClientCx<'_, '_>, old: &User, new: &User) {
    let Some(allowed) = new.narrowed_channels(old) else { return };
    let mut listeners: HashMap<_, _> = connections_of(cx, &new.name)
        .into_iter()
        .filter(|client| client.has_flag(client_flag::PUBSUB))
        .map(|client| ((client.worker, client.token.load(Ordering::Relaxed)), client))
        .collect();
    if listeners.is_empty() {
        return;
    }
    let is_denied = |topic: Topic, name: &[u8]| match topic {
        Topic::Channel => !allows_channel(&allowed, name),
        Topic::Pattern => !allows_pattern(&allowed, name),
    };
    let mut denied = Vec::new();
    cx.engine.pubsub.each_subscriber(is_denied, |place| {
        denied.extend(listeners.remove(&(place.worker, place.token)));
    });
    for client in denied {
        close(cx, &client);
    }
}
