-- Make everything again that follows from the hashes of jobs: which wait, what they cost, which run,
-- their queues, and the indexes. Returns how many jobs have not ended.
local looked = {call('ZREVRANGE', names.index, 0, constants.looked_at - 1),
  call('ZRANGE', names.waiting, 0, -1), call('ZRANGE', names.running, 0, -1)}
for _, owner in ipairs(call('HKEYS', names.owner_jobs)) do
  looked[#looked + 1] = call('ZREVRANGE', names.owned .. owner, 0, constants.looked_at - 1)
end
local jobs = unfinished_jobs(looked)
redis.call('DEL', names.waiting, names.running, names.owner_jobs, names.owner_cost, names.mend)
redis.call('SET', names.waiting_cost, 0)
for _, queue in ipairs(call('SMEMBERS', names.queues)) do jobs[queue] = jobs[queue] or {} end

local count, woken = 0, {}
for queue, several in pairs(jobs) do
  restack(queue, several)
  for _, both in ipairs(several) do
    local id, job = both[1], both[2]
    count = count + 1
    if job.status == 'running' then
      redis.call('ZADD', names.running, second(job.deadline), id)
    else
      redis.call('ZADD', names.waiting, second(job.deadline), id)
      redis.call('INCRBY', names.waiting_cost, job.cost)
      redis.call('HINCRBY', names.owner_jobs, job.owner, 1)
      redis.call('HINCRBY', names.owner_cost, job.owner, job.cost)
      wake(queue:match('^[^:]*'))
    end
    call('ZADD', names.index, place(job.entry), id)
    call('ZADD', names.owned .. job.owner, place(job.entry), id)
  end
end
return count
