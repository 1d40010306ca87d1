-- Remove a waiter of an attended job. Without waiters the job is dropped, or kept for its key.
local id, waiter, outcome, now = unpack(ARGV, 1, 4)
local job = job_fields(id)
if redis.call('HDEL', names.job .. id, 'waiter:' .. waiter) == 0 then return end
if redis.call('HINCRBY', names.job .. id, 'waiters', -1) > 0 then return end
if job.scope and (job.status == 'succeeded' or job.status == 'failed') then return end
if unfinished(job) then cancel(id, job, outcome, now, {unpack(ARGV, 5)}) end
forget(id)
