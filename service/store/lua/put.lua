-- Admit a job: {'admitted', id}; {'mismatch'} for a key that was used for another request;
-- {'full', jobs, cost, done, done_cost, since} when too much waits.
local id, queue, deadline, cost, now = unpack(ARGV, 1, 5)
local capacity, capacity_cost, ttl_ms, task = unpack(ARGV, 6, 9)
local scope, digest, attended = unpack(ARGV, 10, 12)
local keep, about = {unpack(ARGV, 13, 16)}, {unpack(ARGV, 17)}
expire_surplus(now, keep)

local known = scope ~= '' and redis.call('HGET', names.idempotency .. scope, 'job')
if known and redis.call('EXISTS', names.task .. known) == 1 then
  if redis.call('HGET', names.idempotency .. scope, 'digest') ~= digest then
    return {'mismatch'}
  end
  if redis.call('HEXISTS', names.job .. known, 'waiters') == 1 then
    redis.call('HINCRBY', names.job .. known, 'waiters', 1)
  end
  return {'admitted', known}
end
local before = standing(id)
if unfinished(before) then return {'admitted', id} end
local waiting = redis.call('ZCARD', names.waiting)
local waiting_cost = waiting > 0 and tonumber(redis.call('GET', names.waiting_cost)) or 0
if waiting >= tonumber(capacity)
    or waiting > 0 and waiting_cost + tonumber(cost) > tonumber(capacity_cost) then
  local since, done, done_cost = now, -1, 0
  for _, line in ipairs(redis.call('LRANGE', names.drained, 0, -1)) do
    local at, spent = line:match('^(%S+) (%S+)$')
    if done < 0 then since = at else done_cost = done_cost + tonumber(spent) end
    done = done + 1
  end
  return {'full', waiting, waiting_cost, done, done_cost, since}
end
if before.status then forget(id) end
if attended == '1' then
  about[#about + 1], about[#about + 2] = 'waiters', 1
end
if scope ~= '' then
  about[#about + 1], about[#about + 2] = 'scope', scope
  redis.call('HSET', names.idempotency .. scope, 'job', id, 'digest', digest)
  redis.call('PEXPIRE', names.idempotency .. scope, ttl_ms)
end
admit(id, queue, deadline, cost, now, ttl_ms, task, about)
return {'admitted', id}
