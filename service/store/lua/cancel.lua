-- Cancel a job that has not ended. Returns its status before, or false for an unknown job.
local id, outcome, now = ARGV[1], ARGV[2], ARGV[3]
local job = job_fields(id)
if unfinished(job) then cancel(id, job, outcome, now, {unpack(ARGV, 4)}) end
return job.status or false
