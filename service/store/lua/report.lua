-- Record progress, and tell watchers. Returns 1 if the job is watched, else 0.
local id, epoch, progress, preview, kept, ttl_ms = unpack(ARGV, 2)
local job = held_fields(id, epoch, 'watched')
if not job then return 0 end
regardless_of_memory()
redis.call('HSET', names.job .. id, 'progress', progress)
if number(job[3], 0) < now then return 0 end
local told = call('HINCRBY', names.job .. id, 'told', 1)
local log, entry = names.progress_log .. id, whole(told) .. '-0'
local reply = redis.pcall('XADD', log, 'MAXLEN', kept, entry, 'progress', progress,
  'preview', preview)
if reply.err then
  -- Another value, or numbers that are higher than ours.
  redis.call('DEL', log)
  redis.call('XADD', log, entry, 'progress', progress, 'preview', preview)
end
redis.call('PEXPIRE', log, ttl_ms)
redis.call('PUBLISH', names.news, id)
return 1
