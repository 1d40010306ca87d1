local job = standing(ARGV[1])
if job.status and not unfinished(job) then expire(ARGV[1]) end
