local r = {}
local function h(s) if type(s) ~= 'string' then return tostring(s) end return (s:gsub('[%c\128-\255]',function(c) return string.format('\\x%02x',c:byte()) end)) end
local function t(n, f, ...) local x = {pcall(f, ...)} for i = 1, #x do x[i] = h(x[i]) end r[#r+1] = n .. ": " .. table.concat(x, " | ") end
for _, s in ipairs{'TRUE','True','NULL','+1','-Infinity','inf','-nan','nAn','1e','1.e5','.5','-','--1','0x','[1,2','{"a":1','{"a":1 "b"}','{"a" 1}','"\\ud83d\\u0041"','"\\ude00"','"\\ud83dx"','"\\u12g4"','"\\u12"','\0\0','1\0','[\0]','"a\0b"','\0001','1x','1 2','[1]]',' ','\t1\n','"\\u0000"','"\\/"','"\\','true1','truex','"\127"', "[1,2}", "{]", ":", ",", "nulll","012","-01","00", '"\\uD800\\uDC00"', '"\\uDBFF\\uDFFF"','"\\uFFFF"','"\\u07ff"', "1e5", "0.1e-5","1E+2", "-0x1p4", "0x1.8","1e999","infinityx"} do t(h(s), function() return tostring(cjson.decode(s)) end) end
t('dec0', cjson.decode) t('dec2', cjson.decode, '1', 2) t('decnum', cjson.decode, 12) t('dectab', cjson.decode, {}) t('decnil', cjson.decode, nil)
t('encnil', cjson.encode, nil) t('neg0', cjson.encode, -0.0) t('thread', cjson.encode, coroutine.create(function() end))
t('meta', cjson.encode, setmetatable({1}, {__index = function() return 5 end}))
t('k', cjson.encode, {[{}] = 1}) t('k2', cjson.encode, {[0/1] = 1, x = 1}) t('kinf', cjson.encode, {[1/0] = 1}) t('k15', cjson.encode, {[2^53] = 1}) t('bigk', cjson.encode, {[1e15]=1})
t('enc null arr', cjson.encode, {cjson.null, 1})
t('prec', cjson.encode_number_precision, 15) t('prec17', cjson.encode_number_precision, 17) t('prec0', cjson.encode_number_precision, 0) t('prec3', cjson.encode_number_precision, 3) t('p3', cjson.encode, 123456.789) t('prec14', cjson.encode_number_precision, 14) t('precnil', cjson.encode_number_precision, nil) t('precx', cjson.encode_number_precision, 'x')
t('inv', cjson.encode_invalid_numbers, true) t('i1', cjson.encode, 0/0) t('i2', cjson.encode, 1/0) t('i3', cjson.encode, -1/0) t('inv', cjson.encode_invalid_numbers, "null") t('i1', cjson.encode, 0/0) t('i2', cjson.encode, {1/0}) t('invx', cjson.encode_invalid_numbers, "xx") t('invn', cjson.encode_invalid_numbers, 1) t('inv', cjson.encode_invalid_numbers, false) t('invnil', cjson.encode_invalid_numbers, nil) t('inv2', cjson.encode_invalid_numbers, true, 2) t('inv', cjson.encode_invalid_numbers, false)
t('dinv', cjson.decode_invalid_numbers, false) for _, s in ipairs{'0x10','nan','-inf','012','1','-','1.','inf','-0','0','+1','-nan'} do t('d' .. s, function() return tostring(cjson.decode(s)) end) end t('dinv', cjson.decode_invalid_numbers, true) t('dinvnull', cjson.decode_invalid_numbers, "null")
t('sparse', cjson.encode_sparse_array, true) t('s1', cjson.encode, {[1]=1,[100]=2}) t('sparse', cjson.encode_sparse_array, false, 0) t('s0', function() return #cjson.encode({[1]=1,[100]=2}) end) t('sparse', cjson.encode_sparse_array, false, 2, 10) t('sparsebad', cjson.encode_sparse_array, false, -1) t('sparsebad2', cjson.encode_sparse_array, 1)  t('sparsebad3', cjson.encode_sparse_array, false, 2, 10, 4)
t('sparse get', cjson.encode_sparse_array)
t('depth', cjson.encode_max_depth, 2) t('d3', cjson.encode, {{{}}}) t('d2', cjson.encode, {{}}) t('depth', cjson.encode_max_depth, 1000) t('depth2args', cjson.encode_max_depth, 1, 2)  t('depthx', cjson.encode_max_depth, 'x') t('depth1.5', cjson.encode_max_depth, 1.5)
t('ddepth', cjson.decode_max_depth, 2) t('dd3', cjson.decode, '[[[]]]') t('dd3o', cjson.decode, '{"a":{"b":{"c":1}}}') t('ddepth', cjson.decode_max_depth, 1000)
t('keep', cjson.encode_keep_buffer, false) t('keep', cjson.encode_keep_buffer, true) t('keepx', cjson.encode_keep_buffer, 5)
t('new', function() local n = cjson.new() local k = {} for a, b in pairs(n) do k[#k+1] = a end table.sort(k) return type(n), n ~= cjson, table.concat(k, " "), n.encode_max_depth(5), cjson.encode_max_depth() end)
t('deep enc', function() cjson.encode_max_depth(1e9) local t = {} for i = 1, 20000 do t = {t} end return #cjson.encode(t) end)
t('deep dec', function() cjson.decode_max_depth(1e9) return type(cjson.decode(('['):rep(20000) .. (']'):rep(20000))) end)
t('deep dec2', function() cjson.decode_max_depth(1e9) return type(cjson.decode(('[1,'):rep(2600) .. "1" .. (']'):rep(2600))) end)
t('deep deco', function() cjson.decode_max_depth(1e9) return type(cjson.decode(('{"a":'):rep(20000) .. "1" .. ('}'):rep(20000))) end)
cjson.encode_max_depth(1000) cjson.decode_max_depth(1000)
return r
