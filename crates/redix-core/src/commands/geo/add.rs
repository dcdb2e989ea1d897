//! GEOADD.

use redix_types::value::IntBuf;
use smallvec::SmallVec;

use super::{docs, parse_point};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, LogAs, access, acl, flag};
use crate::commands::zset::update::{Rules, add_pairs};
use crate::error::{CommandResult, ReplyError};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::write(
    "geoadd",
    Group::Geo,
    -5,
    const { &[KeySpec::one(1, access::RW | access::UPDATE)] },
    geoadd,
)
.flags(flag::DENYOOM | flag::BRIEF)
.acl(acl::GEO)
.log_as(LogAs::Effect)
.docs(docs::GEOADD)];

/// `GEOADD key [NX|XX] [CH] longitude latitude member …` -> how many members were added, with CH or
/// moved. Errors: WRONGTYPE, Syntax, NotFloat, a position that no score can express. Logged as
/// ZADD; event `zadd`.
fn geoadd(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (rules, first) = parse_rules(args)?;
    let mut pairs: SmallVec<[(f64, &[u8]); 8]> = SmallVec::new();
    for word in (first..args.len()).step_by(3) {
        let score = parse_point(args, word)?.score();
        pairs.push((score as f64, args.get(word + 2)));
    }
    let key = cx.key(args, 1);
    let tally = add_pairs(cx, key, rules, pairs.iter().copied())?;
    if tally.changes() > 0 && cx.keys.effects.recording() {
        log(cx, args, first, &pairs);
    }
    cx.reply.int(if rules.ch { tally.changes() } else { tally.added } as i64);
    Ok(())
}

/// The rules, and the word behind them, where the first triple begins. Errors: Syntax.
fn parse_rules(args: Args<'_>) -> Result<(Rules, usize), ReplyError> {
    let mut rules = Rules::default();
    let mut options = args.options(2);
    loop {
        if options.eat("NX") {
            rules.nx = true;
        } else if options.eat("XX") {
            rules.xx = true;
        } else if options.eat("CH") {
            rules.ch = true;
        } else {
            break;
        }
    }
    if !options.left().is_multiple_of(3) || (rules.nx && rules.xx) {
        return Err(ReplyError::Syntax);
    }
    Ok((rules, options.position()))
}

fn log(cx: &mut Ctx<'_, '_>, args: Args<'_>, first: usize, pairs: &[(f64, &[u8])]) {
    let scores: Vec<Vec<u8>> =
        pairs.iter().map(|(score, _)| IntBuf::new().format(*score as i64).to_vec()).collect();
    let mut words: Vec<&[u8]> = vec![b"ZADD"];
    words.extend((1..first).map(|word| args.get(word)));
    for (score, (_, member)) in scores.iter().zip(pairs) {
        words.extend([score.as_slice(), member]);
    }
    cx.keys.effects.log(cx.keys.db, &words);
}
