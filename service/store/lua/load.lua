-- Returns {jobs, cost, done, done_cost, since, running, dead letters since a time, gaps of servers
-- that others replaced within a day, their milliseconds}.
local dead_letters_since = ARGV[2]
local waiting, waiting_cost = waits()
local inside = 0
for _, queue in ipairs(call('SMEMBERS', names.queues)) do
  inside = inside + call('XLEN', names.queue .. queue)
end
local done, done_cost, since = drained()
local gaps, gap_ms = gaps_since(whole(redis_ms() - constants.gap_ms)), 0
for _, gap in ipairs(gaps) do gap_ms = gap_ms + math.max(0, gap[2] - gap[1]) end
return {waiting, waiting_cost, done, done_cost, since, math.max(0, inside - waiting),
  call('ZCOUNT', names.dead_letters, dead_letters_since, '+inf'), #gaps, whole(gap_ms)}
