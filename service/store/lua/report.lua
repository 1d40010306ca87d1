-- Record progress; tell those who watch, if anybody does, and say whether.
local id, epoch, progress, preview, now, kept, ttl_ms = unpack(ARGV)
local job = held(id, epoch)
if not job then return 0 end
regardless_of_memory()
redis.call('HSET', names.job .. id, 'progress', progress)
if tonumber(job.watched or 0) < tonumber(now) then return 0 end
local number = redis.call('HINCRBY', names.job .. id, 'told', 1)
redis.call('XADD', names.story .. id, 'MAXLEN', kept, number .. '-0', 'progress', progress,
  'preview', preview)
redis.call('PEXPIRE', names.story .. id, ttl_ms)
redis.call('PUBLISH', names.news, id)
return 1
