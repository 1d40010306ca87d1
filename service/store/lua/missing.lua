-- Why a job that was made at a time is not known: 'before' where the data is younger, 'gap' where
-- another server has taken over since; else false.
local made_ms = tonumber(ARGV[2])
regardless_of_memory()
notice_takeover()
local from_ms, to_ms = (call('GET', names.gap) or ''):match('^(%d+) (%d+)$')
if from_ms and tonumber(from_ms) <= made_ms and made_ms <= tonumber(to_ms) then return 'gap' end
local born_ms = number(call('GET', names.born))
return not (born_ms and born_ms <= made_ms) and 'before' or false
