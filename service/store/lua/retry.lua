-- Queue the job of a dead letter again, to run alone. Returns 0 if there is no such letter, or the
-- job has not ended.
local id, queue, owner, deadline, cost, ttl_ms, task = unpack(ARGV, 2, 8)
if redis.call('EXISTS', names.dead_letter .. id) == 0 then return 0 end
local before = job_of(id)
if unfinished(before) then return 0 end
if before.status then forget(id, before) end
admit(id, {owner = owner, queue = queue, deadline = deadline, cost = cost}, ttl_ms, task,
  {'quarantined', 1, 'company', 1, unpack(ARGV, 9)})
redis.call('DEL', names.dead_letter .. id)
call('ZREM', names.dead_letters, id)
return 1
