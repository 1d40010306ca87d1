-- Returns a whole job, {{status, progress, started_at, finished_at}, task, result}; if `ended` is
-- '1', nothing for one that has not ended.
local id, ended = ARGV[2], ARGV[3]
local fields = call('HMGET', names.job .. id, 'status', 'progress', 'started_at', 'finished_at')
local job = {status = fields[1]}
if ended == '1' and unfinished(job) then return false end
if unfinished(job) or not is_status(job.status) then fields[1] = job_of(id).status or false end
local texts = redis.call('MGET', names.task .. id, names.result .. id)
return {fields, texts[1], texts[2]}
