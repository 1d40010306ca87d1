local job = standing(ARGV[1])
if job.status and not unfinished(job) then forget(ARGV[1]) end
