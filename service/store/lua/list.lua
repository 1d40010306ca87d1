-- List the jobs of an index, the latest first, below a place, and of a status unless that is ''.
-- Returns {{{id, fields}, ...}, the place to go on from, or ''}. The script looks at `most` jobs
-- only, because Redis serves nobody else meanwhile. Where the index is an owner's, jobs of others
-- do not belong in it.
local index, owned, owner, status, limit, below, most = unpack(ARGV, 2)
local found, looked, last = {}, 0, ''
repeat
  local page = call('ZREVRANGEBYSCORE', index, below, '-inf', 'WITHSCORES', 'LIMIT', 0, 100)
  for i = 1, #page, 2 do
    local id, job = page[i], job_of(page[i])
    local at = job.entry and place(job.entry)
    if not job.status or owned == '1' and job.owner ~= owner then
      call('ZREM', index, id)
    elseif at ~= tonumber(page[i + 1]) then
      call('ZADD', index, at, id)
    elseif status == '' or job.status == status then
      if #found == tonumber(limit) then return {found, last} end
      found[#found + 1] = {id, call('HGETALL', names.job .. id)}
    end
    last, looked = page[i + 1], looked + 1
    below = '(' .. last
  end
  if #page == 0 then return {found, ''} end
until looked >= tonumber(most)
return {found, last}
