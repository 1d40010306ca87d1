-- Drop an ended job; leave any other job.
local job = job_of(ARGV[2])
if job.status and not unfinished(job) then forget(ARGV[2], job) end
