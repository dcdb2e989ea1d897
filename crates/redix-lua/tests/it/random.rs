//! Random sources and payloads: nothing panics, whatever comes.

use proptest::prelude::*;
use redix_lua::{Options, Value, compile};

use crate::host::{TestHost, engine};

/// Pieces of programs: enough of each kind that many of the sources compile.
const PIECES: &[&str] = &[
    "local a, b = {}, 'x'",
    "local function f(...) return ... end",
    "for i = 1, 3 do",
    "for k, v in pairs(a) do",
    "while a do",
    "repeat",
    "until a",
    "if a then",
    "elseif b then",
    "else",
    "end",
    "do",
    "break",
    "return",
    "return f(a, b)",
    "a.x = b",
    "a[b] = a",
    "a = a",
    "b = b .. 1",
    "b = #a",
    "a, b = b, a",
    "f(a)",
    "f{a, b, f(), x = f}",
    "f(f(f(a, ...)))",
    "a = function(x) a = x return function() return x, a end end",
    "a = a and b or f",
    "a = not a == (b < 1)",
    "b = ('x'):rep(3):gsub('x', {x = 'y'})",
    "b = -b ^ 2 % 3",
    "setmetatable(a, {__index = f, __newindex = f, __call = f, __concat = f, __lt = f, __eq = f})",
    "table.sort(a, f)",
    "table.insert(a, b)",
    "a = table.remove(a)",
    "b = pcall(f, a)",
    "b = select('#', f(a, b))",
    "a = coroutine.wrap(function(...) while true do coroutine.yield(...) end end)",
    "a = a(1)",
    "local c <const> = 1",
    "local x, y, z = f(1, 2)",
    "a = {f(a), f(b)}",
    "goto x",
    "(a or f)(b)",
    "a.b.c:d(1)",
    "error(a)",
    "collectgarbage()",
    "b = tostring(a) .. string.format('%5s %q', b, b)",
    "b = cjson.encode(a)",
    "a = cmsgpack.unpack(cmsgpack.pack(a, b))",
];

/// Characters and words of the language.
const TOKENS: &str = concat!(
    r#"([-a-c0-9 .,;:=~<>(){}\[\]"'+*/%^#\n]|and |or |not |do |end |function |if |then |for |in |"#,
    r"return |local |nil |while |repeat |until |\.\.\.){0,60}",
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sources_of_pieces(
        picks in proptest::collection::vec(0..PIECES.len(), 1..25),
        collect_always in any::<bool>(),
    ) {
        let lines: Vec<&str> = picks.iter().map(|at| PIECES[*at]).collect();
        let source = format!("local a, b, f = {{}}, 'x', type\n{}", lines.join("\n"));
        // What blocks are left open is closed, so that more of them compile.
        let closed = (0..6).map(|ends| format!("{source}\n{}", "end ".repeat(ends)));
        for source in closed {
            let Ok(proto) = compile(source.as_bytes(), b"@user_script") else { continue };
            let mut engine = engine(&Options { memory_limit: 8 << 20, ..Options::default() });
            engine.collect_at_every_safe_point(collect_always);
            let function = engine.load(&proto).expect("there is room");
            let mut host = TestHost::new(2);
            let _ = engine.run(function, &[], &mut host);
            engine.collect();
        }
    }

    #[test]
    fn sources_of_bytes(source in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = compile(&source, b"@user_script");
    }

    #[test]
    fn sources_of_tokens(source in TOKENS) {
        let _ = compile(source.as_bytes(), b"@user_script");
    }

    #[test]
    fn payloads_of_bytes(
        data in proptest::collection::vec(any::<u8>(), 0..60),
        format in "[<>! bBhHlLTiIfdsxc0-9]{0,10}",
        offset in -3_i32..70,
    ) {
        let script = b"local data, format, offset = ...
            pcall(cjson.decode, data) pcall(cmsgpack.unpack, data)
            pcall(cmsgpack.unpack_one, data, offset) pcall(cmsgpack.unpack_limit, data, 2, offset)
            pcall(struct.unpack, format, data, offset) pcall(struct.size, format)
            pcall(struct.pack, format, 1, 'text', 2, 3) pcall(string.format, data, 1, 2, 3)
            pcall(string.format, '%' .. format, 1) pcall(string.find, data, format)
            pcall(string.gsub, data, data, format) pcall(string.match, format, data, offset)
            pcall(loadstring, data) pcall(tonumber, data) pcall(tonumber, data, 16)";
        let proto = compile(script, b"@user_script").expect("it is correct");
        let mut engine = engine(&Options { memory_limit: 8 << 20, ..Options::default() });
        let function = engine.load(&proto).expect("there is room");
        let args = [&data, format.as_bytes()].map(|bytes| engine.new_string(bytes).expect("room"));
        let args = [args[0], args[1], Value::Number(f64::from(offset))];
        engine.run(function, &args, &mut TestHost::new(50)).expect("every error is caught");
    }

    #[test]
    fn documents_come_back(document in documents()) {
        let script = b"local text = ... local value = cjson.decode(text)
            local packed = cmsgpack.unpack(cmsgpack.pack(value))
            return cjson.encode(value) .. ' ' .. cjson.encode(packed)";
        let proto = compile(script, b"@user_script").expect("it is correct");
        let mut engine = engine(&Options::default());
        let function = engine.load(&proto).expect("there is room");
        let text = engine.new_string(document.as_bytes()).expect("there is room");
        let result = engine.run(function, &[text], &mut TestHost::new(50)).expect("it succeeds");
        let expected = format!("{document} {document}");
        prop_assert_eq!(engine.bytes_of(result), Some(expected.as_bytes()));
    }
}

/// JSON that survives: no empty or null values, whose types Lua loses, few levels, and names that
/// are written as they are.
fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        "[a-z éß]{0,12}".prop_map(|text| format!("\"{text}\"")),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("\"a\\\\b\\\"c\\/d\\n\\u0001\"".to_owned()),
        (-1000_i32..1000).prop_map(|n| format!("{}", f64::from(n) + 0.5)),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(inner, 1..5).prop_map(|items| {
                let fields = items.iter().enumerate().map(|(at, item)| format!("\"k{at}\":{item}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}
