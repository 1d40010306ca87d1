-- Returns a whole job, {{status, progress, started_at, finished_at}, task, result}; if `ended` is
-- '1', nothing for one that has not ended.
local id, ended = ARGV[2], ARGV[3]
if ended == '1' and unfinished({status = call('HGET', names.job .. id, 'status')}) then
  return false
end
local job = job_of(id)
return {{job.status or false, job.progress or false, job.started_at or false,
  job.finished_at or false}, call('GET', names.task .. id), call('GET', names.result .. id)}
