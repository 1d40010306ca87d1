-- Admit a job. {1}, or {0, waiting, since, drained} when the queue is full.
local id, queue, deadline, now, capacity, ttl_ms, task = unpack(ARGV)
local before = standing(id).status
if before == 'queued' or before == 'running' then return {1} end
local waiting = redis.call('ZCARD', names.waiting)
if waiting >= tonumber(capacity) then
  local since = redis.call('LINDEX', names.drained, 0)
  return {0, waiting, since or now, redis.call('LLEN', names.drained)}
end
if before then forget(id) end
local stream = names.queue .. queue
if redis.call('SADD', names.queues, queue) == 1 then
  redis.call('XGROUP', 'CREATE', stream, names.group, '0', 'MKSTREAM')
end
-- One count for all streams: the oldest job across them is the one with the least.
local entry = redis.call('INCR', names.admitted) .. '-0'
redis.call('XADD', stream, entry, 'job', id)
redis.call('SET', names.task .. id, task, 'PX', ttl_ms)
redis.call('HSET', names.job .. id, 'status', 'queued', 'queue', queue, 'entry', entry,
  'deadline', deadline, 'epoch', 0)
redis.call('PEXPIRE', names.job .. id, ttl_ms)
begin_waiting(id, queue, deadline, now)
return {1}
