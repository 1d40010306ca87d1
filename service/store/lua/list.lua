-- List the jobs of an index, the latest first, below a place, and of a status unless that is ''.
-- Returns {{{id, fields}, ...}, the place to go on from, or ''}. The script looks at `most` jobs
-- only, because Redis serves nobody else meanwhile.
local index, status, limit, below, most = unpack(ARGV)
local found, looked, last = {}, 0, ''
repeat
  local page = redis.call('ZREVRANGEBYSCORE', index, below, '-inf', 'WITHSCORES', 'LIMIT', 0, 100)
  for i = 1, #page, 2 do
    local id, job = page[i], job_fields(page[i])
    if not job.status then
      redis.call('ZREM', index, id)
    elseif status == '' or job.status == status then
      if #found == tonumber(limit) then return {found, last} end
      found[#found + 1] = {id, redis.call('HGETALL', names.job .. id)}
    end
    last, looked = page[i + 1], looked + 1
    below = '(' .. last
  end
  if #page == 0 then return {found, ''} end
until looked >= tonumber(most)
return {found, last}
