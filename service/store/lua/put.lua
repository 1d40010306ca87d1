-- Admit a job: {'admitted', id}, with how many jobs wait then and their cost unless the job joins one
-- that is known; {'mismatch'} for a key that was used for another request;
-- {'full', ...} as from `overload` when too much waits.
local id, queue, deadline, cost = unpack(ARGV, 2, 5)
local capacity, capacity_cost, ttl_ms, task = unpack(ARGV, 6, 9)
local scope, digest, attended = unpack(ARGV, 10, 12)
local owner, about = ARGV[13], {unpack(ARGV, 14)}
if scope ~= '' then expire_surplus() end

local known, mismatch = joined(scope, digest)
if mismatch then return {'mismatch'} end
if known then
  if call('HEXISTS', names.job .. known, 'waiters') == 1 then
    redis.call('HSET', names.job .. known, 'waiter:' .. id, 1)
    call('HINCRBY', names.job .. known, 'waiters', 1)
  end
  return {'admitted', known}
end
local before = job_of(id)
if unfinished(before) then return {'admitted', id} end
local waiting, waiting_cost = waits()
local full = overload(owner, cost, capacity, capacity_cost, waiting, waiting_cost)
if full then return full end
if before.status then forget(id, before) end
if attended == '1' then
  about[#about + 1], about[#about + 2] = 'waiters', 1
  about[#about + 1], about[#about + 2] = 'waiter:' .. id, 1
end
if scope ~= '' then
  about[#about + 1], about[#about + 2] = 'scope', scope
  redis.call('DEL', names.idempotency .. scope)
  redis.call('HSET', names.idempotency .. scope, 'job', id, 'digest', digest)
  redis.call('PEXPIRE', names.idempotency .. scope, ttl_ms)
end
admit(id, {owner = owner, queue = queue, deadline = deadline, cost = cost}, ttl_ms, task, about,
  waiting)
if attended == '1' then
  call('ZADD', names.attended, whole(redis_ms() + constants.attended_ms), id)
end
return {'admitted', id, waiting + 1, waiting_cost + cost}
