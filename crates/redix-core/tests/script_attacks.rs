//! The classes of attacks on script engines that the servers in C had to mend, each tried here:
//! what they run into has to be an error or an ordinary reply, and the engine goes on.
//!
//! The identifiers are those of the public lists of vulnerabilities (CVE); the scripts are our own.

// Tests print what they find.
#![allow(clippy::unwrap_used)]

use redix_core::config::Config;
use redix_testkit::engine::SimEngine;
use redix_testkit::script::ScriptTarget;

/// What must come back.
enum Outcome {
    /// An error whose text contains this.
    Refused(&'static str),
    /// Exactly this.
    Reply(&'static str),
}
use Outcome::{Refused, Reply};

struct Attack {
    /// The class, with an example of it.
    about: &'static str,
    script: &'static str,
    outcome: Outcome,
}

const ATTACKS: &[Attack] = &[
    Attack {
        about: "2021-32626: more arguments than the stack holds",
        script: "local t = {} for i = 1, 10 ^ 6 do t[i] = 'x' end return redis.call(unpack(t))",
        outcome: Refused("too many results to unpack"),
    },
    Attack {
        about: "2022-24735: code of a script left behind for another one",
        script: "function redis.call() return 'mine' end",
        outcome: Refused("readonly table"),
    },
    Attack {
        about: "2022-24735: a library function replaced",
        script: "string.rep = nil",
        outcome: Refused("readonly table"),
    },
    Attack {
        about: "2022-24735: a global through rawset",
        script: "rawset(_G, 'x', 1) return 1",
        outcome: Refused("readonly table"),
    },
    Attack {
        about: "2022-24736: a source that ends inside of itself",
        script: "return type(loadstring('return ' .. string.rep('{', 300)))",
        outcome: Reply("\"nil\""),
    },
    Attack {
        about: "2022-0543: a library that loads code of the system",
        script: "return {type(package), type(io), type(require), type(dofile), type(os.execute)}",
        outcome: Refused("nonexistent global variable 'package'"),
    },
    Attack {
        about: "2022-24834: a text that grows when it is encoded",
        script: "return #cjson.encode({string.rep('\\0', 10 ^ 6)})",
        outcome: Reply("(integer) 6000004"),
    },
    Attack {
        about: "2022-24834: a value that is nested too deeply for cjson",
        script: "local t = {} for i = 1, 10 ^ 5 do t = {t} end return cjson.encode(t)",
        outcome: Refused("Cannot serialise, excessive nesting"),
    },
    Attack {
        about: "2022-24834: a text that is nested too deeply for cjson",
        script: "return cjson.decode(string.rep('[', 10 ^ 5))",
        outcome: Refused("Found too many nested data structures"),
    },
    Attack {
        about: "a table that refers to itself, for cmsgpack",
        script: "local t = {} t[1] = t return #cmsgpack.pack(t) < 1000",
        outcome: Reply("(integer) 1"),
    },
    Attack {
        about: "2024-31449: as many digits as there are negative numbers",
        script: "return bit.tohex(65535, -2147483648)",
        outcome: Reply("\"0000FFFF\""),
    },
    Attack {
        about: "a length in a format of struct that overflows",
        script: "return struct.pack('>I2147483648', 1)",
        outcome: Refused("integral size overflow"),
    },
    Attack {
        about: "2024-46981: a callback of the collector",
        script: "local called = 0
                 setmetatable({}, {__gc = function() called = called + 1 end})
                 collectgarbage() collectgarbage()
                 return called",
        outcome: Reply("(integer) 0"),
    },
    Attack {
        about: "2025-49844: sources compiled while the collector runs",
        script: "local n = 0
                 for i = 1, 200 do
                   local names = {}
                   for j = 1, 50 do names[j] = 'local v' .. i .. '_' .. j .. ' = \"s' .. j .. i .. '\"' end
                   local f = loadstring(table.concat(names, ' ') .. ' return v' .. i .. '_50')
                   collectgarbage()
                   if f() == 's50' .. i then n = n + 1 end
                 end
                 return n",
        outcome: Reply("(integer) 200"),
    },
    Attack {
        about: "2025-46817: a range that overflows an integer",
        script: "return unpack({}, 0, 2147483647)",
        outcome: Refused("too many results to unpack"),
    },
    Attack {
        about: "2025-46817: a range from the least integer",
        script: "return unpack({}, -2147483648, 2147483647)",
        outcome: Refused("too many results to unpack"),
    },
    Attack {
        about: "2025-46818: the metatable that all strings share",
        script: "getmetatable('').__index = function() return 'mine' end",
        outcome: Refused("readonly table"),
    },
    Attack {
        about: "2025-46819: a long bracket without an end",
        script: "return type(loadstring('return [' .. string.rep('=', 10 ^ 6)))",
        outcome: Reply("\"nil\""),
    },
    Attack {
        about: "2025-46819: a number cut off at the end of the source",
        script: "return type(loadstring('return 0x'))",
        outcome: Reply("\"nil\""),
    },
    Attack {
        about: "2025-67733: lines in an error, which would be replies of their own",
        script: "return redis.error_reply('ERR a\\r\\n+OK\\r\\n')",
        outcome: Reply("-ERR a  +OK"),
    },
    Attack {
        about: "2025-67733: lines in a status",
        script: "return redis.status_reply('a\\r\\n:1\\r\\n')",
        outcome: Reply("+a  :1  "),
    },
    Attack {
        about: "a string larger than the memory limit",
        script: "local s = string.rep('x', 10 ^ 8) for i = 1, 10 do s = s .. s end return #s",
        outcome: Refused("not enough memory"),
    },
    Attack {
        about: "recursion without an end",
        script: "local function f() return 1 + f() end return f()",
        outcome: Refused("stack overflow"),
    },
    Attack {
        about: "recursion through the pattern functions",
        script: "local function f() return (string.gsub('x', 'x', f)) end return f()",
        outcome: Refused("stack overflow"),
    },
    Attack {
        about: "a pattern that is nested too deeply",
        script: "return string.find(string.rep('a', 10 ^ 6), string.rep('(', 33))",
        outcome: Refused("too many captures"),
    },
    Attack {
        about: "bytecode",
        script: "return type(loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0'))",
        outcome: Reply("\"nil\""),
    },
];

#[test]
fn attacks_end_in_errors() {
    let mut failures = Vec::new();
    for Attack { about, script, outcome } in ATTACKS {
        let mut engine = SimEngine::new(Config::default(), 1).unwrap();
        let mut eval = |script: &str| {
            let words = ["EVAL", script, "0"].map(|word| word.as_bytes().to_vec());
            engine.command(1, &words).unwrap().pretty()
        };
        let got = eval(script);
        let fits = match outcome {
            Refused(text) => got.starts_with('-') && got.contains(text),
            Reply(text) => got == *text,
        };
        if !fits {
            failures.push(format!("{about}: {}", &got[..got.len().min(300)]));
        }
        if eval("return redis.call('ping')") != "+PONG" {
            failures.push(format!("{about}: the next script does not run"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
