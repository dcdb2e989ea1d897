//! Changes of users: ACL SETUSER, DELUSER, LOAD and SAVE.

use crate::acl::selector::{is_blank, merge};
use crate::acl::{DEFAULT_USER, User};
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::error::{CommandResult, ReplyError};
use crate::registry::ClientShared;
use crate::sync::Arc;

const NO_FILE: ReplyError = ReplyError::Static(
    "ERR This instance is not configured to use an ACL file. You may want to specify users via the \
     ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a configuration file \
     set) in order to store users in the configuration.",
);

/// `ACL SETUSER username [rule …]` -> OK; all rules or none. Closes connections that listen to
/// channels which are taken away. Errors: the name, the first rule that does not apply.
pub(super) fn setuser(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.session.secrets.add(2..args.len());
    if is_foreign(cx) {
        return done(cx.reply);
    }
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
    follow_quotas(cx);
    if let Some(old) = old {
        let closed = cx.engine.narrowed_connections(&old, &user);
        close(cx, &closed);
    }
    cx.replicate_users([name]);
    done(cx.reply)
}

/// `ACL DELUSER username …` -> number of users deleted. Closes their connections. Errors: the
/// default user.
pub(super) fn deluser(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.session.secrets.add(2..args.len());
    if is_foreign(cx) {
        return done(cx.reply);
    }
    let mut deleted = 0;
    for name in args.iter_from(2) {
        if name == DEFAULT_USER {
            return Err(ReplyError::Static("ERR The 'default' user cannot be removed"));
        }
        if cx.engine.acl.remove(name) {
            deleted += 1;
            let closed = cx.engine.connections_of(name);
            close(cx, &closed);
        }
    }
    follow_quotas(cx);
    cx.replicate_users(args.iter_from(2));
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
    let closed = cx.engine.connections_without_rights(&old);
    close(cx, &closed);
    let current = cx.engine.acl.all();
    cx.replicate_users(old.iter().chain(&current).map(|user| &*user.name));
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

/// Begins or ends to count what databases take, as users require who may have changed.
fn follow_quotas(cx: &mut ClientCx<'_, '_>) {
    cx.keys.held.release_in_world();
    cx.engine.follow_quotas(&cx.engine.config());
}

/// Closes connections: this one after its reply, others at once.
fn close(cx: &mut ClientCx<'_, '_>, clients: &[Arc<ClientShared>]) {
    for client in clients {
        if client.id == cx.shared.id {
            cx.close_after_reply();
        } else {
            cx.engine.registry.kill(client);
        }
    }
}

/// Whether a change comes from a primary and is not wanted here, or from the append-only file,
/// which says nothing of users: a transaction of a primary's stream is in it as a whole.
fn is_foreign(cx: &ClientCx<'_, '_>) -> bool {
    let from_file = cx.session.primary_link.as_ref().is_some_and(|link| link.replays);
    cx.from_primary() && (from_file || !cx.engine.config().acl_replicate)
}
