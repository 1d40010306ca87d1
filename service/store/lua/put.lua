-- Admit a job: {'admitted', id}; {'mismatch'} for a key that was used for another request;
-- {'full', ...} as from `overload` when too much waits.
local id, queue, deadline, cost, now = unpack(ARGV, 1, 5)
local capacity, capacity_cost, ttl_ms, task = unpack(ARGV, 6, 9)
local scope, digest, attended = unpack(ARGV, 10, 12)
local owner, keep, about = ARGV[13], {unpack(ARGV, 14, 18)}, {unpack(ARGV, 19)}
expire_surplus(now, keep)

local known, mismatch = joined(scope, digest)
if mismatch then return {'mismatch'} end
if known then
  if redis.call('HEXISTS', names.job .. known, 'waiters') == 1 then
    redis.call('HSET', names.job .. known, 'waiter:' .. id, 1)
    redis.call('HINCRBY', names.job .. known, 'waiters', 1)
  end
  return {'admitted', known}
end
local before = job_fields(id)
if unfinished(before) then return {'admitted', id} end
local full = overload(owner, cost, now, capacity, capacity_cost)
if full then return full end
if before.status then forget(id) end
if attended == '1' then
  about[#about + 1], about[#about + 2] = 'waiters', 1
  about[#about + 1], about[#about + 2] = 'waiter:' .. id, 1
end
if scope ~= '' then
  about[#about + 1], about[#about + 2] = 'scope', scope
  redis.call('HSET', names.idempotency .. scope, 'job', id, 'digest', digest)
  redis.call('PEXPIRE', names.idempotency .. scope, ttl_ms)
end
admit(id, queue, deadline, cost, now, ttl_ms, task, about)
return {'admitted', id}
