-- Remove a waiter of an attended job. Without waiters the job is dropped, or kept for its key.
local id, waiter = ARGV[2], ARGV[3]
local job = job_of(id)
if call('HDEL', names.job .. id, 'waiter:' .. waiter) == 0 then return end
if call('HINCRBY', names.job .. id, 'waiters', -1) > 0 then return end
if job.scope and (job.status == 'succeeded' or job.status == 'failed') then return end
abandon(id, job)
