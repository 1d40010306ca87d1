-- Drop an ended job; leave any other job.
local job = job_fields(ARGV[1])
if job.status and not unfinished(job) then forget(ARGV[1]) end
