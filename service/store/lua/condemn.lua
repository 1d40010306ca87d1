-- Fail a job whose hash has a field that cannot be read, and give all such fields a value that can be.
-- Returns why the job has failed, or false for a job that can be read.
local id = ARGV[2]
local job = fields_of(id)
local field = next(job) and faulty_field(job)
if not field then return false end
local found = (job[field] or 'missing'):sub(1, 40):gsub('[^%w%p ]', '?')
local why = field .. ' is ' .. found

local known, defaults = job.queue, {status = 'running', deadline = ARGV[1], created_at = ARGV[1],
  cost = '0', epoch = '0', entry = '0-0', owner = '', checkpoint = 'unknown', priority = '0'}
while field do
  job[field] = defaults[field] or queue_of(job)
  redis.call('HSET', names.job .. id, field, job[field])
  field = faulty_field(job)
end
-- What waits was counted with the values that are lost.
want_mending()
if known and known ~= job.queue then drop_entry(known, job.entry, id) end
if unfinished(job) then
  local document = cmsgpack.unpack(constants.failure)
  document.outcome.detail = 'the record of this job cannot be read: ' .. why
  document.outcome.job = id
  cancel(id, job, 'failed', cmsgpack.pack(document))
end
return why
