-- Drop the result of an ended job; leave any other job.
local job = job_of(ARGV[2])
if job.status and not unfinished(job) then expire(ARGV[2], job) end
