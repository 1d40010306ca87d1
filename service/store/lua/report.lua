-- Record progress, and tell watchers. Returns 1 if the job is watched, else 0.
local id, epoch, progress, preview, now, kept, ttl_ms = unpack(ARGV)
local job = held(id, epoch)
if not job then return 0 end
regardless_of_memory()
redis.call('HSET', names.job .. id, 'progress', progress)
if tonumber(job.watched or 0) < tonumber(now) then return 0 end
local number = redis.call('HINCRBY', names.job .. id, 'told', 1)
redis.call('XADD', names.progress_log .. id, 'MAXLEN', kept, number .. '-0', 'progress', progress,
  'preview', preview)
redis.call('PEXPIRE', names.progress_log .. id, ttl_ms)
redis.call('PUBLISH', names.news, id)
return 1
