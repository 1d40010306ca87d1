-- End queued jobs past their deadline, and take over the jobs of dead workers. Returns how many
-- jobs were redelivered, and how many given up.
regardless_of_memory()
local now, lease_ms, late, fatal, most_crashes, letter_ms = unpack(ARGV)
local keep = {unpack(ARGV, 7)}
lease_ms = tonumber(lease_ms)

for _, id in ipairs(redis.call('ZRANGEBYSCORE', names.waiting, '-inf', now, 'LIMIT', 0, 1000)) do
  local job = job_fields(id)
  if job.status == 'queued' then
    finish(id, job, 'timed-out', late, now, keep)
  else
    stop_waiting(id, job)
  end
end

-- After a long gap between sweeps Redis was away, and no lease could be renewed: all leases begin
-- anew. Workers renew every third of a lease, so that a shorter gap uses up no lease.
local time = redis.call('TIME')
local time_ms = 1000 * time[1] + math.floor(time[2] / 1000)
local swept = redis.call('GET', names.swept)
redis.call('SET', names.swept, string.format('%.0f', time_ms))
if not swept or time_ms - swept > lease_ms / 2 then
  redis.call('SET', names.grace, 1, 'PX', lease_ms)
end
if redis.call('EXISTS', names.grace) == 1 then return {0, 0} end

local function give_up(id, job)
  local letter = names.dead_letter .. id
  redis.call('HSET', letter, 'task', redis.call('GET', names.task .. id) or '',
    'reason', fatal, 'queue', job.queue, 'died_at', now)
  redis.call('PEXPIRE', letter, letter_ms)
  redis.call('ZREMRANGEBYSCORE', names.dead_letters, '-inf', now - letter_ms / 1000)
  redis.call('ZADD', names.dead_letters, now, id)
  finish(id, job, 'failed', fatal, now, keep)
end

local function take_over(id, job)
  -- A job in quarantine runs alone from its first report on: a crash after that is its own.
  if job.quarantined and job.progress then
    local crashes = redis.call('HINCRBY', names.job .. id, 'crashes', 1)
    if crashes >= tonumber(most_crashes) then
      give_up(id, job)
      return 'given_up'
    end
  end
  redis.call('HSET', names.job .. id, 'quarantined', 1)
  job.quarantined = 1
  wait_again(id, job, now)
  return 'redelivered'
end

local function abandoned(stream)
  local entries, cursor = {}, '0-0'
  repeat
    local found = redis.call('XAUTOCLAIM', stream, names.group, names.parked, lease_ms, cursor,
      'COUNT', 100)
    cursor = found[1]
    for _, entry in ipairs(found[2]) do
      if entry then entries[#entries + 1] = entry end
    end
  until cursor == '0-0'
  return entries
end

local taken = {redelivered = 0, given_up = 0}
for _, queue in ipairs(redis.call('SMEMBERS', names.queues)) do
  local stream = names.queue .. queue
  for _, entry in ipairs(abandoned(stream)) do
    local id = entry[2][2]
    local job = job_fields(id)
    if job.status == 'running' then
      local what = take_over(id, job)
      taken[what] = taken[what] + 1
    elseif job.status ~= 'queued' then
      drop_entry(queue, entry[1], id)
    end
  end
  if redis.call('EXISTS', stream) == 1 then
    for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, names.group)) do
      local consumer = {}
      for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
      if consumer.pending == 0 and consumer.idle > lease_ms then
        redis.call('XGROUP', 'DELCONSUMER', stream, names.group, consumer.name)
      end
    end
  end
end
return {taken.redelivered, taken.given_up}
