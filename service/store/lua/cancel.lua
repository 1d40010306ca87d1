-- End a job as cancelled; its status before, or false for one that is unknown.
local id, outcome, now = ARGV[1], ARGV[2], ARGV[3]
local job = standing(id)
if unfinished(job) then cancel(id, job, outcome, now, {unpack(ARGV, 4)}) end
return job.status or false
