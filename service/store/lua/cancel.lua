-- End a job as cancelled; its status before, or false for one that is unknown.
local id, outcome, now = ARGV[1], ARGV[2], ARGV[3]
local job = standing(id)
if job.status == 'queued' or job.status == 'running' then
  finish(id, job, 'cancelled', outcome, now, {ARGV[4], ARGV[5], ARGV[6]})
  if job.status == 'running' then redis.call('PUBLISH', names.cancelled, id) end
end
return job.status or false
