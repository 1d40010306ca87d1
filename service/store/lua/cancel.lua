-- Cancel a job that has not ended. Returns its status before, or false for an unknown job.
local id = ARGV[2]
local job = job_of(id)
if unfinished(job) then cancel(id, job, 'cancelled', constants.cancelled) end
return job.status or false
