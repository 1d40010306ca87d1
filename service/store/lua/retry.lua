-- Queue the job of a dead letter again, to run alone. Returns 0 if there is no such letter, or the
-- job has not ended.
local id, queue, deadline, cost, now, ttl_ms, task = unpack(ARGV, 1, 7)
if redis.call('EXISTS', names.dead_letter .. id) == 0 then return 0 end
local before = job_fields(id)
if unfinished(before) then return 0 end
if before.status then forget(id) end
admit(id, queue, deadline, cost, now, ttl_ms, task, {'quarantined', 1, unpack(ARGV, 8)})
redis.call('DEL', names.dead_letter .. id)
redis.call('ZREM', names.dead_letters, id)
return 1
