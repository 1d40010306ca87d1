-- Why a job that was made at a time is not known: 'before' where the data is younger, 'gap' where
-- another server has taken over since; else false.
local made_ms = tonumber(ARGV[2])
regardless_of_memory()
notice_takeover()
for _, gap in ipairs(gaps_since(whole(made_ms))) do
  if gap[1] <= made_ms and made_ms <= gap[2] then return 'gap' end
end
local born_ms = number(call('GET', names.born))
return not (born_ms and born_ms <= made_ms) and 'before' or false
