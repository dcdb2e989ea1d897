local r = {}
local function t(...) local ok, e = pcall(...) r[#r+1] = tostring(ok) .. " " .. tostring(e) end
t(unpack, {}, 1, 2^53) t(unpack, {}, 1, 2^32+2) t(unpack, {}, -2^53, -2^53+1) t(unpack, {1,2,3}, 2^32+1) t(unpack,{},2^31-2,2^31-1) t(unpack,{},2^31-1,2^31) t(unpack,{},-1e300,-1e300) t(unpack,{},1,7999) t(unpack,{},1,8000) t(unpack,{},1,7998) t(unpack,{},1,1e300)
t(string.rep, "x", 2^32+2) t(string.rep, "x", 2^53) t(string.char, 2^32+65) t(string.format, "%c", 2^32+65) t(string.sub, "abcdef", 2^32+2) t(string.byte, "abc", 2^32+2) t(table.concat, {1,2,3}, ",", 2^32+1) t(math.random, 2^32) t(math.ldexp, 1, 2^32+1) t(string.sub, "abcdef", -1e300) t(string.sub,"abc",1,1e300) t(string.sub,"abc",0/0) t(select, 2^32+2, 1, 2, 3)  t(table.insert, {}, 2^32+1, 5) t(string.rep, "x", -1)  t(string.rep, "x", 2^40) t(tonumber, "10", 2^32+2) t(error, "x", 2^32) t(string.find, "abc", "b", 2^32+2) math.randomseed(5) t(math.random, 0, 2^31-1) t(math.random, -2^31, 2^31-1) t(rawset, {}, nil, 1) t(rawset, {}, 0/0, 1) t(string.format, "%d", 2^63) t(string.format, "%d", 1e300) t(string.format, "%x", -1) t(string.format, "%u", 2^64) t(string.format,"%x",2^63+2048)
local co = coroutine.wrap(function() return pcall(function() local s = "" for i = 1, 3 do s = s .. i end return s end) end) t(co)
t(function() local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x end)
local function f() return pcall(f) end t(f)
local function g() local ok, e = pcall(g) if not ok then error(e, 0) end return e end t(g)
t(function() local s = setmetatable({}, {__lt = function(a, b) return a < b end}) return s < s end)
t(table.sort, {3,2,1,4}, function(a,b) return true end) t(table.sort, {1,2,"x"}) t(string.gsub, "abc", "%w", "%2") t(string.gsub, "abc", "(", "x") t(string.find, "a", "%") t(string.rep)
return r
