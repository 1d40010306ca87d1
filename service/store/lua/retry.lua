-- Queue a dead letter's job again, to run alone; 0 when there is no such letter, or it is queued.
local id, queue, deadline, cost, now, ttl_ms, task = unpack(ARGV, 1, 7)
if redis.call('EXISTS', names.letter .. id) == 0 then return 0 end
local before = standing(id)
if unfinished(before) then return 0 end
if before.status then forget(id) end
admit(id, queue, deadline, cost, now, ttl_ms, task, {'quarantined', 1, unpack(ARGV, 8)})
redis.call('DEL', names.letter .. id)
redis.call('ZREM', names.dead, id)
return 1
