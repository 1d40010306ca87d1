-- Say that a job is watched until some time: {status, progress, told, story}, or false.
local id, until_s = ARGV[1], ARGV[2]
local job = standing(id)
if not job.status then return false end
if unfinished(job) then redis.call('HSET', names.job .. id, 'watched', until_s) end
return {job.status, job.progress or '0', tonumber(job.told),
  redis.call('XRANGE', names.story .. id, '-', '+')}
