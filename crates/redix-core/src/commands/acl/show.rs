//! What ACL shows: users, categories, passwords to choose, and verdicts.

use redix_types::num::parse_i64;

use super::too_many;
use crate::acl::User;
use crate::acl::selector::Selector;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::rights::{Call, Names, check_user, refusal};
use crate::command::spec::acl;
use crate::error::{CommandResult, ReplyError};

/// Bits of a password unless said otherwise.
const PASSWORD_BITS: i64 = 256;
const PASSWORD_BITS_MAX: i64 = 4096;

/// `ACL CAT [category]` -> array of categories, or of the commands of one. Errors: an unknown
/// category.
pub(super) fn cat(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let wanted = match args.len() {
        2 => {
            cx.reply.array(acl::WORDS.len());
            acl::WORDS.iter().for_each(|(_, word)| cx.reply.bulk_str(word));
            return Ok(());
        }
        3 => args.get(2),
        _ => return Err(too_many(args)),
    };
    let is_named = |(_, word): &&(u32, &str)| wanted.eq_ignore_ascii_case(word.as_bytes());
    let unknown = || ReplyError::quoting("Unknown category '", wanted, "'");
    let (category, _) = acl::WORDS.iter().find(is_named).ok_or_else(unknown)?;
    let commands = &cx.data.engine.commands;
    let names: Vec<_> = commands
        .all()
        .iter()
        .filter(|command| command.spec.categories() & category != 0)
        .map(|command| commands.full_name(*command))
        .collect();
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk_str(name));
    Ok(())
}

/// `ACL WHOAMI` -> the user's name.
pub(super) fn whoami(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.data.reply.bulk(cx.session.user.name());
    Ok(())
}

/// `ACL USERS` -> array of names.
pub(super) fn users(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let users = cx.engine.acl.all();
    cx.reply.array(users.len());
    users.iter().for_each(|user| cx.reply.bulk(&user.name));
    Ok(())
}

/// `ACL LIST` -> array of lines.
pub(super) fn list(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let users = cx.engine.acl.all();
    cx.reply.array(users.len());
    users.iter().for_each(|user| cx.reply.bulk(&user.line()));
    Ok(())
}

/// `ACL GETUSER username` -> map of its properties, null if there is no such user.
pub(super) fn getuser(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.session.secrets.add(2..3);
    match cx.engine.acl.get(args.get(2)) {
        Some(user) => show_user(cx, &user),
        None => cx.reply.null(),
    }
    Ok(())
}

fn show_user(cx: &mut ClientCx<'_, '_>, user: &User) {
    let reply = &mut *cx.data.reply;
    let limits = [("mem", user.quota.memory), ("rate", user.quota.rate)];
    let limits = limits.into_iter().filter(|(_, limit)| *limit != 0);
    reply.map(7 + limits.clone().count());
    reply.bulk_str("flags");
    let is_any = user.password.is_any();
    reply.set(if is_any { 2 } else { 1 });
    reply.bulk_str(if user.is_on { "on" } else { "off" });
    if is_any {
        reply.bulk_str("nopass");
    }
    reply.bulk_str("passwords");
    let hashes: Vec<_> = user.password.texts().collect();
    reply.array(hashes.len());
    hashes.iter().for_each(|hash| reply.bulk_str(hash));
    for (name, limit) in limits {
        reply.bulk_str(name);
        reply.int(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    let (root, others) = user.selectors.split_first().expect("a user has a selector");
    show_selector(reply, root);
    reply.bulk_str("selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(4);
        show_selector(reply, selector);
    }
}

fn show_selector(reply: &mut redix_resp::Reply, selector: &Selector) {
    let parts = [
        ("commands", selector.commands_text()),
        ("keys", selector.keys_text()),
        ("channels", selector.channels_text()),
        ("databases", selector.databases_text()),
    ];
    for (name, text) in parts {
        reply.bulk_str(name);
        reply.bulk(&text);
    }
}

/// `ACL GENPASS [bits]` -> random hexadecimal digits, four bits each. Errors: the number.
pub(super) fn genpass(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let bits = match args.len() {
        2 => PASSWORD_BITS,
        3 => parse_i64(args.get(2)).ok_or(ReplyError::NotInteger)?,
        _ => return Err(too_many(args)),
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(ReplyError::err(format!(
            "ACL GENPASS argument must be the number of bits for the output password, a positive \
             number up to {PASSWORD_BITS_MAX}"
        )));
    }
    let digits = bits.unsigned_abs().div_ceil(4) as usize;
    let mut bytes = vec![0; digits.div_ceil(2)];
    cx.engine.env.entropy.fill(&mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    cx.reply.bulk_str(&text);
    Ok(())
}

/// `ACL DRYRUN username command [arg …]` -> OK, or what is denied. Errors: there is no such user or
/// command; its arity.
pub(super) fn dryrun(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let engine = cx.data.engine;
    let name = args.get(2);
    let user =
        engine.acl.get(name).ok_or_else(|| ReplyError::quoting("User '", name, "' not found"))?;
    let words = args.tail(3);
    let found = engine.commands.find(words.get(0)).and_then(|found| match words.try_get(1) {
        Some(sub) if !found.spec.subcommands.is_empty() => {
            engine.commands.find_subcommand(found, sub)
        }
        _ => Some(found),
    });
    let unknown = || ReplyError::quoting("Command '", words.get(0), "' not found");
    let command = found.ok_or_else(unknown)?;
    if !command.spec.fits(words.len()) {
        return Err(ReplyError::WrongArity(engine.commands.full_name(command).into()));
    }
    let call = Call { command, args: words, db: cx.session.db };
    match check_user(engine, &user, &call) {
        Ok(()) => cx.reply.ok(),
        Err(denial) => cx.reply.bulk(&refusal(engine, name, &call, denial, Names::Shown)),
    }
    Ok(())
}

/// `ACL HELP` -> array of statuses.
pub(super) fn help(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    crate::commands::server::help(
        cx,
        "ACL",
        &[
            ("CAT [<category>]", "The categories of commands, or the commands of one."),
            ("DELUSER <username> [<username> ...]", "Delete users and close their connections."),
            (
                "DRYRUN <username> <command> [<arg> ...]",
                "Whether a user may make a call, which is not made.",
            ),
            ("GETUSER <username>", "The rules of a user."),
            ("GENPASS [<bits>]", "A random password, of 256 bits unless said otherwise."),
            ("LIST", "All users as lines of an ACL file."),
            ("LOAD", "Read the users from the ACL file."),
            ("LOG [<count> | RESET]", "What was denied lately; RESET: forget it."),
            ("SAVE", "Write the users to the ACL file."),
            ("SETUSER <username> <rule> [<rule> ...]", "Change or add a user."),
            ("USERS", "The names of all users."),
            ("WHOAMI", "The user of this connection."),
        ],
    )
}
