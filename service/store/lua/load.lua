-- Returns {jobs, cost, done, done_cost, since, running, dead letters since a time}.
local dead_letters_since = ARGV[2]
local waiting, waiting_cost = waits()
local inside = 0
for _, queue in ipairs(call('SMEMBERS', names.queues)) do
  inside = inside + call('XLEN', names.queue .. queue)
end
local done, done_cost, since = drained()
return {waiting, waiting_cost, done, done_cost, since, math.max(0, inside - waiting),
  call('ZCOUNT', names.dead_letters, dead_letters_since, '+inf')}
