-- Returns {jobs, cost, done, done_cost, since, running, dead letters since a time}.
local now, dead_letters_since = unpack(ARGV)
local waiting, waiting_cost = waits()
local inside = 0
for _, queue in ipairs(redis.call('SMEMBERS', names.queues)) do
  inside = inside + redis.call('XLEN', names.queue .. queue)
end
local done, done_cost, since = drained(now)
return {waiting, waiting_cost, done, done_cost, since, math.max(0, inside - waiting),
  redis.call('ZCOUNT', names.dead_letters, dead_letters_since, '+inf')}
