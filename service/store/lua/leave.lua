-- Remove waiters of attended jobs; ARGV has job and waiter in turn. A job without waiters is dropped,
-- or kept for its key.
local function leave(id, waiter)
  local fields = call('HMGET', names.job .. id, 'waiter:' .. waiter, 'waiters', 'status', 'scope',
    'owner')
  if not fields[1] then return end
  if number(fields[2], 1) <= 1 then
    local job = {waiters = fields[2], status = fields[3], scope = fields[4], owner = fields[5]}
    if unfinished(job) or not is_status(job.status) then return abandon(id, job_of(id)) end
    if not (job.scope and (job.status == 'succeeded' or job.status == 'failed')) then
      return forget(id, job)
    end
  end
  redis.call('HDEL', names.job .. id, 'waiter:' .. waiter)
  call('HINCRBY', names.job .. id, 'waiters', -1)
end

for i = 2, #ARGV, 2 do leave(ARGV[i], ARGV[i + 1]) end
