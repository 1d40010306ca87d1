-- Returns {fields of a job, its task}; the task only where a job that has one has no fields.
local id = ARGV[2]
if job_of(id).status then return {call('HGETALL', names.job .. id)} end
return {{}, call('GET', names.task .. id)}
