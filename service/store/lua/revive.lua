-- Fail a job whose hash is gone while its task is there. `about` has the fields that never change.
local id, deadline, cost, queue, outcome = unpack(ARGV, 2, 6)
local about = {unpack(ARGV, 7)}
if redis.call('EXISTS', names.job .. id) == 1 then return end
redis.call('HSET', names.job .. id, 'status', 'running', 'queue', queue, 'entry', '0-0',
  'deadline', deadline, 'cost', cost, 'epoch', 0, 'told', 0, unpack(about))
cancel(id, job_of(id), 'failed', outcome)
