-- The hash of a job, which is the truth about it.

local function fields_of(id)
  local flat, job = call('HGETALL', names.job .. id), {}
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  return job
end

local function unfinished(job)
  return job.status == 'queued' or job.status == 'running'
end

local function is_status(text)
  return text == 'queued' or text == 'running' or text == 'succeeded' or text == 'failed'
    or text == 'cancelled' or text == 'timed-out'
end

local function is_count(text)
  return text and #text < 16 and text:find('^%d+$')
end

-- Until the year 9999, the last that clients can be told.
local function is_time(text)
  local value = number(text)
  return value and value >= 0 and value < 253402300800
end

local function queue_of(job)
  local owner = job.owner or ''
  return (job.checkpoint or '') .. ':' .. (job.priority or '') .. (owner ~= '' and ':' or '') .. owner
end

-- The first field that cannot be read of those that a job cannot do without.
local function faulty_field(job)
  if not is_status(job.status) then return 'status' end
  if not is_time(job.deadline) then return 'deadline' end
  if not is_time(job.created_at) then return 'created_at' end
  if not is_count(job.cost) then return 'cost' end
  if not is_count(job.epoch) then return 'epoch' end
  if not (job.entry and #job.entry < 19 and job.entry:find('^%d+%-0$')) then return 'entry' end
  if not job.owner then return 'owner' end
  if not job.checkpoint or job.checkpoint:find(':', 1, true) then return 'checkpoint' end
  if not (job.priority and #job.priority < 10 and job.priority:find('^%-?%d+$')) then
    return 'priority'
  end
  if job.queue ~= queue_of(job) then return 'queue' end
end

-- The fields of a job, by name; none for an unknown one. One that cannot be read counts as failed,
-- and the script `condemn` sees to it that it fails.
local function job_of(id)
  local job = fields_of(id)
  if next(job) == nil then return job end
  local field = faulty_field(job)
  if field then
    tell('condemned', id, field)
    return {status = 'failed'}
  end
  return job
end

-- The fields by these names of a job that a claim holds, in an array; nothing where it does not.
local function held_fields(id, epoch, ...)
  local fields = call('HMGET', names.job .. id, 'status', 'epoch', ...)
  return fields[1] == 'running' and fields[2] == epoch and fields
end

local function held(id, epoch)
  local job = job_of(id)
  return job.status == 'running' and job.epoch == epoch and job
end

-- How many jobs a worker may hold beside and with one that was held by a worker that died; nil for
-- others. Builds before this one run it alone, and set no number.
local function company_of(job)
  return job.quarantined and math.max(1, number(job.company, 1)) or nil
end
