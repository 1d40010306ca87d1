-- Mark a job as watched until a time. Returns {status, progress, number of the latest advance, the
-- latest advances}, or false for an unknown job.
local id, until_s = ARGV[2], ARGV[3]
local job = job_of(id)
if not job.status then return false end
if unfinished(job) then redis.call('HSET', names.job .. id, 'watched', until_s) end
return {job.status, job.progress or '0', number(job.told, 0),
  call('XRANGE', names.progress_log .. id, '-', '+')}
